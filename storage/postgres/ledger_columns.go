package postgres

import (
	"crypto/sha256"
	"time"

	"github.com/stella-ops/exportcenter/ledger"
)

// identitySize is the length of an identity in the rows. 2^64 documents of one
// tenant would have to be made for two of his to share one.
const identitySize = 16

// identityOf names a document as the rows do: the first bytes of the SHA-256 of
// its identity's members. None of them can hold a line feed.
func identityOf(of ledger.Identity) (identity [identitySize]byte) {
	text := make([]byte, 0, 256)
	for i, member := range [...]string{ledger.ProjectName(of.Project), string(of.Kind), of.Source, of.Stream, of.UpstreamID} {
		if i > 0 {
			text = append(text, '\n')
		}
		text = append(text, member...)
	}
	sum := sha256.Sum256(text)
	copy(identity[:], sum[:])
	return identity
}

// column makes one column of all documents.
func column[T any](b *importBatch, of func(*importDocument) T) []T {
	values := make([]T, len(b.documents))
	for i := range b.documents {
		values[i] = of(&b.documents[i])
	}
	return values
}

// observationArgs are the parameters of insertObservations.
func (b *importBatch) observationArgs(tenant string, at time.Time) []any {
	return []any{
		tenant,
		column(b, func(d *importDocument) string { return ledger.ProjectName(d.Project) }),
		column(b, func(d *importDocument) string { return string(d.Kind) }),
		column(b, func(d *importDocument) string { return d.Format }),
		column(b, func(d *importDocument) string { return d.Source }),
		column(b, func(d *importDocument) string { return d.Stream }),
		column(b, func(d *importDocument) string { return d.UpstreamID }),
		column(b, func(d *importDocument) string { return d.Modified }),
		column(b, func(d *importDocument) []byte { return d.Digest[:] }),
		column(b, func(d *importDocument) []byte { return d.identity[:] }),
		column(b, func(d *importDocument) string { return d.Subject }),
		column(b, func(d *importDocument) int64 { return int64(len(d.Raw)) }),
		column(b, func(d *importDocument) int64 { return int64(len(d.Canonical)) }),
		column(b, func(d *importDocument) int64 { return d.place.Block }),
		column(b, func(d *importDocument) int32 { return d.place.Slot }),
		column(b, func(d *importDocument) int16 { return severityBits(d.Severities) }),
		column(b, func(d *importDocument) bool { return d.beaten }),
		at,
	}
}

// severityBits are the severities of a document as the rows have them.
func severityBits(words []string) (bits int16) {
	for _, word := range words {
		switch word {
		case "none":
			bits |= 1
		case "low":
			bits |= 2
		case "medium":
			bits |= 4
		case "high":
			bits |= 8
		case "critical":
			bits |= 16
		}
	}
	return bits
}
