package activities

import (
	"bytes"
	"hash/crc32"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// evidenceGuard stands between an adapter and a payload file and proves that no
// line has evidence that differs from the ledger's: the canonical form is hashed
// before the adapter sees it, and the bytes that stand in the line are hashed
// when they are handed on (CONTRACT section 8). The hash is CRC-32C, for a
// hundred nanoseconds per document: it finds what goes wrong within this process,
// not what somebody means to hide from it. That the ledger's canonical form is that of the original bytes
// is fsck's to prove.
//
// Under a redaction evidence cannot stay the same. It must still be canonical,
// and shorter.
type evidenceGuard struct {
	payload  adapters.LineWriter
	redacted bool // the run has a redaction

	kind   ledger.Kind // of the document that is being written
	id     string
	size   int    // of its canonical form
	before uint32 // hash of that
	lines  int    // written for it
	whole  bool   // the line has all of it
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newEvidenceGuard(payload adapters.LineWriter, redacted bool) *evidenceGuard {
	return &evidenceGuard{payload: payload, redacted: redacted}
}

// write has packer write doc and watches what it writes.
func (g *evidenceGuard) write(packer adapters.Packer, doc ledger.Line) (adapters.Written, error) {
	g.kind, g.id, g.size, g.lines = doc.Kind, doc.UpstreamID, len(doc.Canonical), 0
	g.before = crc32.Checksum(doc.Canonical, castagnoli)
	written, err := packer.Write(g, doc)
	switch {
	case err != nil:
		return written, err
	case g.lines != 1:
		return written, g.refuse("the adapter wrote %d lines for it", g.lines)
	case !g.whole && written.Dropped < 1:
		return written, g.refuse("the adapter left something out and counted nothing")
	}
	return written, nil
}

// WriteLine hands a line on whose evidence is as it has to be.
func (g *evidenceGuard) WriteLine(parts ...[]byte) error {
	if len(parts) < 2 || string(parts[0]) != adapters.RawStart {
		return g.refuse("the adapter's line does not begin with %s", adapters.RawStart)
	}
	raw := parts[1]
	g.lines++
	g.whole = len(raw) == g.size && crc32.Checksum(raw, castagnoli) == g.before
	if g.whole {
		return g.payload.WriteLine(parts...)
	}
	if !g.redacted {
		return g.refuse("the adapter's line has other evidence than the ledger")
	}
	if again, err := bundle.Canonical(raw); err != nil || !bytes.Equal(again, raw) || len(raw) >= g.size {
		return g.refuse("what the redaction left of it is not canonical, or not less")
	}
	return g.payload.WriteLine(parts...)
}

func (g *evidenceGuard) refuse(format string, args ...any) error {
	err := export.Errorf(export.CodeAOC, "the evidence of %s %s would change: "+format+"; report it, nothing was exported",
		append([]any{g.kind, g.id}, args...)...)
	err.Field = g.id
	return err
}
