package jsonraw_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
)

// lines collects what an adapter writes.
type lines struct{ text bytes.Buffer }

func (l *lines) WriteLine(parts ...[]byte) error {
	for _, part := range parts {
		l.text.Write(part)
	}
	l.text.WriteByte('\n')
	return nil
}

func document() ledger.Line {
	raw := []byte(`{ "id": "EXC-2026-0001", "summary": "Ä tab\tin text", "score": 1.0 }`)
	canonical, err := bundle.Canonical(raw)
	if err != nil {
		panic(err)
	}
	return ledger.Line{
		Row: ledger.Row{Seq: 4711, Kind: ledger.KindAdvisory, Subject: "pkg:npm/left", UpstreamID: "EXC-2026-0001",
			Source: "osv", Stream: "sample", Digest: bundle.DigestOf(raw), CanonicalBytes: int64(len(canonical))},
		Format: "osv", Modified: "2026-01-02T03:04:05.000000000Z", RawBytes: int64(len(raw)),
		Ecosystems: []string{"npm"}, Products: []string{"pkg:npm/left"}, Aliases: nil, Canonical: canonical,
	}
}

func write(t *testing.T, doc ledger.Line) string {
	t.Helper()
	var out lines
	require.NoError(t, jsonraw.Adapter{}.Write(&out, doc))
	return out.text.String()
}

func TestLineIsTheDocumentedForm(t *testing.T) {
	const want = `{"content":{"raw":{"id":"EXC-2026-0001","score":1,"summary":"Ä tab\tin text"}},"format":"osv","kind":"advisory",` +
		`"linkset":{"aliases":[],"ecosystems":["npm"],"products":["pkg:npm/left"]},"modified":"2026-01-02T03:04:05.000000000Z",` +
		`"original":{"bytes":69,"digest":"sha256:` + "DIGEST" + `"},"source":"osv","stream":"sample","subject":"pkg:npm/left","upstreamId":"EXC-2026-0001"}` + "\n"
	doc := document()
	got := write(t, doc)
	require.Equal(t, want, string(bytes.ReplaceAll([]byte(got), []byte(doc.Digest.Hex()), []byte("DIGEST"))))
}

func TestLineIsCanonicalAsAWhole(t *testing.T) {
	for name, change := range map[string]func(*ledger.Line){
		"full":            func(*ledger.Line) {},
		"no time":         func(d *ledger.Line) { d.Modified = "" },
		"no subject":      func(d *ledger.Line) { d.Subject = "" },
		"empty linkset":   func(d *ledger.Line) { d.Products, d.Ecosystems = nil, nil },
		"non-ASCII names": func(d *ledger.Line) { d.Subject, d.Aliases = "pkg:npm/é<>&", []string{"\u2028", "ß"} },
	} {
		t.Run(name, func(t *testing.T) {
			doc := document()
			change(&doc)
			line := bytes.TrimSuffix([]byte(write(t, doc)), []byte("\n"))
			canonical, err := bundle.Canonical(line)
			require.NoError(t, err)
			require.Equal(t, string(canonical), string(line))
		})
	}
}

func TestLineTellsNothingAboutArrival(t *testing.T) {
	first, later := document(), document()
	later.Seq = 99
	require.Equal(t, write(t, first), write(t, later), "a ledger number must leave no trace")
}

func TestEvidenceIsUnchanged(t *testing.T) {
	doc := document()
	var line struct{ Content struct{ Raw json.RawMessage } }
	require.NoError(t, json.Unmarshal([]byte(write(t, doc)), &line))
	require.Equal(t, string(doc.Canonical), string(line.Content.Raw))
}
