package osv_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/feed"
	"github.com/stella-ops/exportcenter/ledger/osv"
)

const corpus = "../../../shared/data/osv"

// BenchmarkParse reads every real advisory, when they are there; ns/doc is what
// one costs.
func BenchmarkParse(b *testing.B) {
	if _, err := os.Stat(corpus); err != nil {
		b.Skipf("real advisories are missing: %s", corpus)
	}
	var all [][]byte
	bytes := int64(0)
	require.NoError(b, feed.Reader{
		Entry: func(e ledger.Entry) error {
			all, bytes = append(all, e.Bytes), bytes+int64(len(e.Bytes))
			return nil
		},
		Reject: func(r ledger.Rejection) error { b.Fatalf("%+v", r); return nil },
	}.Read(b.Context(), corpus))
	b.SetBytes(bytes)
	for b.Loop() {
		for _, doc := range all {
			if _, err := osv.Parse(ledger.Entry{Bytes: doc}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(all)), "ns/doc")
}
