package jsonraw_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
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
	p, err := jsonraw.Adapter{}.Packer(export.Options{})
	require.NoError(t, err)
	_, err = p.Write(&out, doc)
	require.NoError(t, err)
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

// asStruct is the envelope as encoding/json and the canonical encoder write it.
type asStruct struct {
	Format  string `json:"format"`
	Kind    string `json:"kind"`
	Linkset struct {
		Aliases    []string `json:"aliases"`
		Ecosystems []string `json:"ecosystems"`
		Products   []string `json:"products"`
	} `json:"linkset"`
	Modified string `json:"modified,omitempty"`
	Original struct {
		Bytes  int64  `json:"bytes"`
		Digest string `json:"digest"`
	} `json:"original"`
	Source     string `json:"source"`
	Stream     string `json:"stream"`
	Subject    string `json:"subject,omitempty"`
	UpstreamID string `json:"upstreamId"`
}

func FuzzEnvelope(f *testing.F) {
	f.Add("osv", "2026", "s", "t", "pkg:npm/a", "ID", "alias", "", int64(3))
	f.Add("\u2028", "", "\"", "\\", "", "\x7f\x01\n", "é", "😀<>&", int64(-1))
	f.Add("a\xff", "", "", "", "", "", "", "", int64(0))
	f.Fuzz(func(t *testing.T, format, modified, source, stream, subject, id, one, two string, size int64) {
		size %= 1 << 53
		doc := ledger.Line{Row: ledger.Row{Kind: ledger.KindVEX, Subject: subject, UpstreamID: id, Source: source, Stream: stream,
			Digest: bundle.DigestOf([]byte(one))}, Format: format, Modified: modified, RawBytes: size,
			Ecosystems: []string{one}, Products: []string{two, one}, Canonical: []byte("{}")}
		var want asStruct
		want.Format, want.Kind, want.Modified, want.Source, want.Stream = format, "vex", modified, source, stream
		want.Subject, want.UpstreamID = subject, id
		want.Linkset.Aliases, want.Linkset.Ecosystems, want.Linkset.Products = []string{}, doc.Ecosystems, doc.Products
		want.Original.Bytes, want.Original.Digest = size, doc.Digest.String()
		tail, err := bundle.MarshalCanonical(want)
		var out lines
		p, _ := jsonraw.Adapter{}.Packer(export.Options{})
		if _, got := p.Write(&out, doc); err != nil {
			require.Error(t, got)
			return
		} else {
			require.NoError(t, got)
		}
		require.Equal(t, `{"content":{"raw":{}},`+string(tail[1:])+"\n", out.text.String())
	})
}

// void takes lines and keeps nothing.
type void struct{}

func (void) WriteLine(...[]byte) error { return nil }

func BenchmarkWrite(b *testing.B) {
	doc := document()
	for name, redaction := range map[string]*export.Redaction{
		"whole":    nil,
		"redacted": {PolicyID: "p", Allow: map[string][]string{"advisory": {"id", "summary"}}},
	} {
		b.Run(name, func(b *testing.B) {
			p, err := jsonraw.Adapter{}.Packer(export.Options{Redaction: redaction})
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Write(void{}, doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
