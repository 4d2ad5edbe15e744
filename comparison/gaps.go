package comparison

import (
	"cmp"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
)

// common gives the shards that both plans have: the same documents, under the same keys.
func common(from, to []Shard) map[bundle.Digest]bool {
	there := make(map[bundle.Digest]bool, len(from))
	for _, s := range from {
		there[s.Hash] = true
	}
	both := map[bundle.Digest]bool{}
	for _, s := range to {
		if there[s.Hash] {
			both[s.Hash] = true
		}
	}
	return both
}

// gaps gives the ranges of keys in which the two plans may differ, in order. Between
// two shards that both have, each has shards that the other has not, or none; a gap
// reaches from the first of them to the shard that both have again.
func (c Comparison) gaps(kinds []string) (gaps []ledger.KeyRange) {
	same := common(c.From.Shards, c.To.Shards)
	all := slices.Concat(c.From.Shards, c.To.Shards)
	slices.SortStableFunc(all, func(a, b Shard) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Cursor, b.Cursor))
	})
	open := false
	for _, s := range all {
		if len(kinds) > 0 && !slices.Contains(kinds, s.Kind) {
			continue
		}
		if open && gaps[len(gaps)-1].Kind != s.Kind {
			open = false
		}
		switch {
		case !same[s.Hash] && !open:
			gaps, open = append(gaps, ledger.KeyRange{Kind: s.Kind, From: s.Cursor}), true
		case same[s.Hash] && open:
			gaps[len(gaps)-1].To, open = s.Cursor, false
		}
	}
	return gaps
}

// behind cuts off what of a gap is up to a key; empty reports that nothing is left.
func behind(gap ledger.KeyRange, after string) (rest ledger.KeyRange, empty bool) {
	kind, _, _ := strings.Cut(after, "\n")
	switch {
	case after == "" || gap.Kind > kind:
		return gap, false
	case gap.Kind < kind, gap.To != "" && gap.To <= after:
		return gap, true
	}
	if from := follows(after); from > gap.From {
		gap.From = from
	}
	return gap, false
}

// follows is what begins behind a key: no member of a key has a control character
// (ledger.Row.Key), so no key is between the two.
func follows(key string) string { return key + "\x01" }
