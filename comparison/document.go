package comparison

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/sbom"
	"github.com/stella-ops/exportcenter/vex"
)

// document is what is compared of one revision.
type document struct {
	aliases   []string
	withdrawn string
	severity  map[Subject][]advisory.Severity
	packages  map[Subject]*affected
	// statements have the status of the last one about each thing.
	statements map[statement]vex.Statement
	components map[string]int
	note       string
}

// readAtOnce bounds the documents that are asked of the ledger together.
const readAtOnce = 16 << 20

// read calls yield with what changed of each pair. It holds the documents of a few
// pairs, as the ledger gives them, and what one of them says.
func (c Comparison) read(ctx context.Context, pairs []pair, yield func(Change)) error {
	for len(pairs) > 0 {
		var places []ledger.Place
		n, size := 0, int64(0)
		for n < len(pairs) && (n == 0 || size+pairs[n].bytes() <= readAtOnce) {
			for _, row := range []*ledger.Row{pairs[n].from, pairs[n].to} {
				if row != nil {
					places = append(places, row.Place)
				}
			}
			size += pairs[n].bytes()
			n++
		}
		if err := c.readSome(ctx, pairs[:n], places, yield); err != nil {
			return err
		}
		pairs = pairs[n:]
	}
	return nil
}

func (c Comparison) readSome(ctx context.Context, pairs []pair, places []ledger.Place, yield func(Change)) error {
	var before *document
	err := c.Lines(ctx, places, func(line ledger.Line) error {
		p := pairs[0]
		wanted := p.from
		if before != nil || p.from == nil {
			wanted = p.to
		}
		if line.Digest != wanted.Digest {
			return fmt.Errorf("the ledger gave another document than %s of %s", wanted.UpstreamID, wanted.Source)
		}
		read := understand(line)
		switch {
		case p.way() == Changed && before == nil:
			before = &read
			return nil
		case p.way() == Changed:
			yield(changed(p, *before, read))
		default:
			yield(alone(p, read))
		}
		before, pairs = nil, pairs[1:]
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what changed: %w", err)
	}
	return nil
}

// understand makes sense of a document, as far as its kind is understood.
func understand(line ledger.Line) document {
	d := document{aliases: slices.Clone(line.Aliases)}
	leave := func(err error) {
		if err != nil && d.note == "" {
			d.note = fmt.Sprintf("%s is not understood: %v", line.UpstreamID, err)
		}
	}
	switch line.Kind {
	case ledger.KindAdvisory:
		read, err := advisory.Read(line.Format, line.Canonical)
		leave(err)
		d.advise(read)
	case ledger.KindVEX:
		read, err := vex.Read(line.Format, line.Canonical)
		leave(err)
		d.state(read)
	case ledger.KindSBOM:
		read, err := sbom.Read(line.Format, line.Canonical)
		leave(err)
		d.list(read)
		if slices.Contains(vex.Formats, line.Format) { // CycloneDX has both
			stated, err := vex.Read(line.Format, line.Canonical)
			leave(err)
			d.state(stated)
		}
	}
	return d
}

// about begins the change of a pair.
func about(p pair, newer document) Change {
	row := p.row()
	return Change{Change: p.way(), Kind: string(row.Kind), Source: row.Source, Stream: row.Stream, ID: row.UpstreamID, Aliases: newer.aliases}
}

// alone is a document that one of the runs does not have.
func alone(p pair, d document) Change {
	c := about(p, d)
	c.Note = d.note
	said := saidOf(d.severity[Subject{}])
	if len(said.Said) == 0 {
		return c
	}
	change := SeverityChange{To: said}
	if p.to == nil {
		change = SeverityChange{From: said}
	}
	c.Severity = []SeverityChange{change}
	return c
}

// changed compares two revisions.
func changed(p pair, from, to document) Change {
	c := about(p, to)
	if c.Note = cmp.Or(from.note, to.note); c.Note != "" { // half a comparison says what is not so
		c.What = []string{OtherAspect}
		return c
	}
	left := &budget{left: mostParts}
	what := map[string]bool{}
	c.Severity = severities(from, to, left, what)
	c.Packages = packages(from, to, left, what)
	if from.withdrawn != to.withdrawn {
		c.Withdrawn, what[WithdrawnAspect] = &Words{From: from.withdrawn, To: to.withdrawn}, true
	}
	added, removed := differ(from.aliases, to.aliases)
	what[AliasesAspect] = len(added)+len(removed) > 0
	c.AliasesAdded, c.AliasesRemoved = left.few(added), left.few(removed)
	c.Statements = statements(from, to, left, what)
	if parts := components(from, to); parts != (Counts{}) {
		c.Components, what[PartsAspect] = &parts, true
	}
	for _, aspect := range Aspects {
		if what[aspect] {
			c.What = append(c.What, aspect)
		}
	}
	if len(c.What) == 0 {
		c.What = []string{OtherAspect}
	}
	c.More = left.more
	return c
}

// differ gives what of two sets is in the second only, and in the first only, sorted.
func differ(from, to []string) (added, removed []string) {
	before, after := map[string]bool{}, map[string]bool{}
	for _, text := range from {
		before[text] = true
	}
	for _, text := range to {
		if after[text] = true; !before[text] {
			added = append(added, text)
		}
	}
	for _, text := range from {
		if !after[text] {
			removed = append(removed, text)
		}
	}
	return sorted(added), sorted(removed)
}

func sorted(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}
