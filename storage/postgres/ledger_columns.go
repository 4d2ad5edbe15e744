package postgres

import (
	"bytes"
	"strings"

	"github.com/stella-ops/exportcenter/ledger"
)

// observationArgs are the parameters of insertObservations.
func (b *importBatch) observationArgs(tenant string) []any {
	text := func(of func(ledger.Observation) string) []string {
		column := make([]string, len(b.observations))
		for i, o := range b.observations {
			column[i] = of(o)
		}
		return column
	}
	number := func(of func(ledger.Observation) int64) []int64 {
		column := make([]int64, len(b.observations))
		for i, o := range b.observations {
			column[i] = of(o)
		}
		return column
	}
	digests := make([][]byte, len(b.observations))
	for i, o := range b.observations {
		digests[i] = bytes.Clone(o.Digest[:])
	}
	t := b.terms()
	return []any{
		tenant,
		text(func(o ledger.Observation) string { return ledger.ProjectName(o.Project) }),
		text(func(o ledger.Observation) string { return string(o.Kind) }),
		text(func(o ledger.Observation) string { return o.Format }),
		text(func(o ledger.Observation) string { return o.Source }),
		text(func(o ledger.Observation) string { return o.Stream }),
		text(func(o ledger.Observation) string { return o.UpstreamID }),
		text(func(o ledger.Observation) string { return o.Modified }),
		digests,
		text(func(o ledger.Observation) string { return o.Subject }),
		number(func(o ledger.Observation) int64 { return int64(len(o.Raw)) }),
		number(func(o ledger.Observation) int64 { return int64(len(o.Canonical)) }),
		text(func(o ledger.Observation) string { return textArray(o.Ecosystems) }),
		text(func(o ledger.Observation) string { return textArray(o.Products) }),
		text(func(o ledger.Observation) string { return textArray(o.Aliases) }),
		b.beaten,
		t.positions, t.axes, t.values,
	}
}

// Axes of ledger_terms.
const (
	axisSubject   = "subject"
	axisProduct   = "product"
	axisEcosystem = "ecosystem"
	axisAlias     = "alias"
	axisModified  = "modified"
)

type termColumns struct {
	positions []int64 // of the observation in the batch, from 1
	axes      []string
	values    []string
}

func (b *importBatch) terms() termColumns {
	var t termColumns
	for i, o := range b.observations {
		add := func(axis string, values ...string) {
			for _, v := range values {
				if v != "" {
					t.positions = append(t.positions, int64(i)+1)
					t.axes = append(t.axes, axis)
					t.values = append(t.values, v)
				}
			}
		}
		add(axisSubject, o.Subject)
		add(axisProduct, o.Products...)
		add(axisEcosystem, o.Ecosystems...)
		add(axisAlias, o.Aliases...)
		add(axisModified, o.Modified)
	}
	return t
}

var arrayEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// textArray writes an array literal. unnest takes an array of arrays apart
// into single values, so lists travel as text and are cast on the server.
func textArray(values []string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		b.WriteString(arrayEscape.Replace(v))
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}
