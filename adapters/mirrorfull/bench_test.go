package mirrorfull_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters/adaptertest"
)

// BenchmarkBuild builds a mirror of 20,000 documents, every hundredth of them new since
// the mirror before. Packing is part of it.
func BenchmarkBuild(b *testing.B) {
	world := func(day int) (all []adaptertest.Entry) {
		for n := range 20_000 {
			text := fmt.Sprintf(`{"id":"GO-2026-%05d","modified":"2026-01-%02dT00:00:00Z","summary":"%s"}`, n, 1+day*((n%100+99)/100^1), strings.Repeat(fmt.Sprint(n, " "), 240))
			all = append(all, adaptertest.Entry{Stream: "go", Text: []byte(text)})
		}
		return all
	}
	before, err := work(b, world(0)).Do(b, b.Context())
	require.NoError(b, err)
	w := work(b, world(1))
	w.Prior = prior(before)
	b.ReportAllocs()
	for b.Loop() {
		_, err := w.Do(b, b.Context())
		require.NoError(b, err)
	}
}
