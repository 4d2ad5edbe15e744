package postgres

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// pattern is what a term must be like to be wanted.
type pattern struct {
	first, end string // wanted terms lie in [first, end); "" is no end
	match      func(term []byte) bool
}

// exactly wants one term.
func exactly(term string) pattern {
	return pattern{first: term, end: term + "\x01", match: func(t []byte) bool { return string(t) == term }}
}

// beginningWith wants all terms with a prefix.
func beginningWith(prefix string) pattern {
	return pattern{first: prefix, end: afterPrefix(prefix), match: func([]byte) bool { return true }}
}

// product wants a package URL, of any version unless it names one, or a glob of
// them, in which * stands for any characters.
func product(text string) pattern {
	prefix, _, glob := strings.Cut(text, "*")
	p := pattern{first: prefix, end: afterPrefix(prefix)}
	switch {
	case glob:
		parts := strings.Split(text, "*")
		p.match = func(term []byte) bool { return globMatches(parts, term) }
	case strings.ContainsAny(text, "@?#"):
		return exactly(text)
	default:
		p.match = func(term []byte) bool {
			return string(term) == text || strings.IndexByte("@?#", term[len(text)]) >= 0
		}
	}
	return p
}

// id wants one id, or a glob of ids, in which * stands for any characters.
func id(text string) pattern {
	prefix, _, glob := strings.Cut(text, "*")
	if !glob {
		return exactly(text)
	}
	parts := strings.Split(text, "*")
	return pattern{first: prefix, end: afterPrefix(prefix), match: func(term []byte) bool { return globMatches(parts, term) }}
}

// wants reports whether term is wanted; it may be any term.
func (p pattern) wants(term []byte) bool {
	return len(term) >= len(p.first) && string(term[:len(p.first)]) == p.first && p.match(term)
}

// globMatches reports whether text is parts, in order, with anything between.
func globMatches(parts []string, text []byte) bool {
	if len(text) < len(parts[0]) || string(text[:len(parts[0])]) != parts[0] {
		return false
	}
	rest, last := string(text[len(parts[0]):]), parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return strings.HasSuffix(rest, last)
}

// afterPrefix is the least text greater than all that begin with prefix; ""
// when there is none that is sure to be text.
func afterPrefix(prefix string) string {
	if prefix == "" || prefix[len(prefix)-1] >= 0x7e {
		return ""
	}
	return prefix[:len(prefix)-1] + string(prefix[len(prefix)-1]+1)
}

// documentsWith gives the sequences, up to seq, of the revisions that have a
// term of the axis that one of the patterns wants; sorted, each once.
func documentsWith(ctx context.Context, tx pgx.Tx, tenant string, seq int64, axis string, patterns []pattern) ([]int64, error) {
	var found []int64
	for _, p := range patterns {
		rows, err := tx.Query(ctx, `
			select base, data from ledger_terms
			where tenant = $1 and axis = $2 and base < $3 and last >= $4 and ($5 = '' or first < $5)`,
			pgx.QueryResultFormats{pgx.BinaryFormatCode}, tenant, axis, seq, p.first, p.end)
		if err != nil {
			return nil, err
		}
		err = collectDocuments(rows, seq, p, &found)
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// compactAt is how many documents are found before the first look for doubles.
const compactAt = 1 << 16

func collectDocuments(rows pgx.Rows, seq int64, p pattern, found *[]int64) error {
	defer rows.Close()
	compacted := max(2*len(*found), compactAt)
	for rows.Next() {
		raw := rows.RawValues()
		base := int64FromWire(raw[0])
		err := eachTerm(raw[1], func(term []byte, documents []int64) {
			if !p.wants(term) {
				return
			}
			for _, n := range documents {
				if base+n <= seq {
					*found = append(*found, base+n)
				}
			}
		})
		if err != nil {
			return err
		}
		if len(*found) > compacted { // a document may have thousands of wanted terms
			slices.Sort(*found)
			*found = slices.Compact(*found)
			compacted = max(2*len(*found), compactAt)
		}
	}
	return rows.Err()
}

// termsOf calls yield with every term of an axis that documents have, which are
// given by their sequences.
func termsOf[V any](ctx context.Context, tx pgx.Tx, tenant, axis string, documents map[int64]V, yield func(term string, seq int64)) error {
	if len(documents) == 0 {
		return nil
	}
	least, most := int64(math.MaxInt64), int64(0)
	for seq := range documents {
		least, most = min(least, seq), max(most, seq)
	}
	rows, err := tx.Query(ctx, `
		select base, data from ledger_terms where tenant = $1 and axis = $2 and base >= $3 and base < $4`,
		pgx.QueryResultFormats{pgx.BinaryFormatCode}, tenant, axis, least-maxBatch, most)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		raw := rows.RawValues()
		base := int64FromWire(raw[0])
		err := eachTerm(raw[1], func(term []byte, of []int64) {
			for _, n := range of {
				if _, wanted := documents[base+n]; wanted {
					yield(string(term), base+n)
				}
			}
		})
		if err != nil {
			return err
		}
	}
	return rows.Err()
}
