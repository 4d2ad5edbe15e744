package client

import (
	"archive/tar"
	"bytes"
	"strings"
	"testing"

	"github.com/stella-ops/exportcenter/ledger"
)

// BenchmarkBody is what a document of usual size costs the sender in each of
// the two bodies, the network left out; bytes/doc is what goes over it.
func BenchmarkBody(b *testing.B) {
	record := ImportRecord{Source: "osv", Stream: "npm", File: "npm.jsonl", Entry: "line 12345", Bytes: []byte(strings.Repeat("x", 1660))}
	b.Run("ndjson", func(b *testing.B) {
		p := &parcel{}
		for n := 0; b.Loop(); n++ {
			if n%ledger.BatchDocuments == 0 {
				p.reset()
			}
			p.add(record)
		}
		b.ReportMetric(float64(len(p.lines))/float64(len(p.ends)), "bytes/doc")
	})
	b.Run("tar", func(b *testing.B) {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		count := 0
		for n := 0; b.Loop(); n++ {
			if n%ledger.BatchDocuments == 0 {
				out.Reset()
				w, count = tar.NewWriter(&out), 0
			}
			count++
			if err := w.WriteHeader(&tar.Header{Name: record.File + "/" + record.Entry + ".json", Size: int64(len(record.Bytes)), Typeflag: tar.TypeReg}); err != nil {
				b.Fatal(err)
			}
			if _, err := w.Write(record.Bytes); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(out.Len())/float64(count), "bytes/doc")
	})
}
