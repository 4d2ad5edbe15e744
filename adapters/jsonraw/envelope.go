package jsonraw

import (
	"encoding/hex"
	"strconv"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
)

// envelope writes a line behind its first member, "content", which sorts
// before all others. The members stand here in the order of RFC 8785, so that
// each is written once; a test holds the result to MarshalCanonical.
type envelope struct {
	text []byte
	err  error // the first one
}

func (e *envelope) write(doc ledger.Line) {
	e.member(`"format":`, doc.Format)
	e.member(`,"kind":`, string(doc.Kind))
	e.list(`,"linkset":{"aliases":`, doc.Aliases)
	e.list(`,"ecosystems":`, doc.Ecosystems)
	e.list(`,"products":`, doc.Products)
	e.bare(`}`)
	if doc.Modified != "" {
		e.member(`,"modified":`, doc.Modified)
	}
	e.bare(`,"original":{"bytes":`)
	e.text = strconv.AppendInt(e.text, doc.RawBytes, 10)
	e.bare(`,"digest":"sha256:`)
	e.text = hex.AppendEncode(e.text, doc.Digest[:])
	e.bare(`"}`)
	e.member(`,"source":`, doc.Source)
	e.member(`,"stream":`, doc.Stream)
	if doc.Subject != "" {
		e.member(`,"subject":`, doc.Subject)
	}
	e.member(`,"upstreamId":`, doc.UpstreamID)
	e.bare(`}`)
}

func (e *envelope) bare(s string) { e.text = append(e.text, s...) }

func (e *envelope) member(name, value string) {
	e.bare(name)
	e.value(value)
}

// list writes an absent list as [] and not as null.
func (e *envelope) list(name string, values []string) {
	e.bare(name)
	e.bare(`[`)
	for i, v := range values {
		if i > 0 {
			e.bare(`,`)
		}
		e.value(v)
	}
	e.bare(`]`)
}

func (e *envelope) value(s string) {
	text, err := bundle.AppendText(e.text, s)
	if e.text = text; e.err == nil {
		e.err = err
	}
}

func (e *envelope) release() {
	if e.text, e.err = e.text[:0], nil; cap(e.text) > keepEnvelope {
		e.text = nil
	}
	envelopes.Put(e)
}
