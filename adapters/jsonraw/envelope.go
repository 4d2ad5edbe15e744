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

	raw       []byte // room for redacted evidence
	redaction redactionNote
}

// redactionNote is what a line says about its redaction; zero without one.
type redactionNote struct {
	policyID string
	dropped  int64
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
	if e.redaction.policyID != "" {
		e.bare(`,"redaction":{"droppedFields":`)
		e.text = strconv.AppendInt(e.text, e.redaction.dropped, 10)
		e.member(`,"policyId":`, e.redaction.policyID)
		e.bare(`}`)
	}
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
	e.text, e.err, e.raw, e.redaction = e.text[:0], nil, e.raw[:0], redactionNote{}
	if cap(e.text) > keepEnvelope {
		e.text = nil
	}
	if cap(e.raw) > keepEnvelope {
		e.raw = nil
	}
	envelopes.Put(e)
}
