package storage

import (
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
)

// Tally is what the manifest and the README of a bundle have to know of a
// packed shard besides its lines. It depends on the documents and the options
// alone, as the shard's bytes do, so it is reused with them.
type Tally struct {
	// Redaction is the fingerprint of the redaction the shard was packed under,
	// "" without one.
	Redaction string `json:"redaction,omitempty"`
	// Dropped counts the fields that the redaction left out.
	Dropped int64 `json:"dropped,omitempty"`
	// Sources counts documents by origin (ledger/attribution); OtherSources
	// counts those past the bound of MaxSources.
	Sources map[string]int64 `json:"sources,omitempty"`
}

// OtherSources is the name of all sources past the bound.
const OtherSources = "*"

// MaxSources bounds the sources that one tally tells apart.
const MaxSources = 1000

// Count adds documents of a source.
func (t *Tally) Count(source string, documents int64) {
	if t.Sources == nil {
		t.Sources = map[string]int64{}
	}
	if _, known := t.Sources[source]; !known && len(t.Sources) >= MaxSources {
		source = OtherSources
	}
	t.Sources[source] += documents
}

// Encode gives the one text of t, as File.Tally has it.
func (t Tally) Encode() (string, error) {
	text, err := bundle.MarshalCanonical(t)
	if err != nil {
		return "", fmt.Errorf("encode tally: %w", err)
	}
	return string(text), nil
}

// ParseTally reads what Encode writes; known is false for "".
func ParseTally(text string) (t Tally, known bool, err error) {
	if text == "" {
		return t, false, nil
	}
	if err := bundle.UnmarshalStrict([]byte(text), &t); err != nil {
		return Tally{}, false, fmt.Errorf("tally of a shard: %w: %w", err, ErrCorrupt)
	}
	if t.Dropped < 0 {
		return Tally{}, false, fmt.Errorf("tally of a shard: %d fields were dropped: %w", t.Dropped, ErrCorrupt)
	}
	for source, n := range t.Sources {
		if n < 1 {
			return Tally{}, false, fmt.Errorf("tally of a shard: %d documents of %.100q: %w", n, source, ErrCorrupt)
		}
	}
	return t, true, nil
}
