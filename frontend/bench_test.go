package frontend

import (
	"encoding/base64"
	"strings"
	"testing"
)

// BenchmarkDecodeRecord is the cost of one import line without the network.
func BenchmarkDecodeRecord(b *testing.B) {
	for name, size := range map[string]int{"2kB": 2 << 10, "1MB": 1 << 20} {
		doc := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", size)))
		line := []byte(`{"source":"osv","stream":"npm","file":"npm.jsonl","entry":"line 17","bytes":"` + doc + `"}`)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decodeRecord(line); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
