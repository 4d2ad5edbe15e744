package osv

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/ledger"
)

// A document within the size limit cannot make the process take it apart into
// millions of parts.
func TestHostileListsCostLittleMemory(t *testing.T) {
	const head = `{"id":"X","modified":"2026-01-01T00:00:00Z",`
	for name, parts := range map[string][3]string{
		"aliases":  {head + `"aliases":["a"`, `,"a"`, `]}`},
		"affected": {head + `"affected":[{}`, `,{}`, `]}`},
		"versions": {head + `"affected":[{"versions":["1"`, `,"1"`, `]}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			doc := append([]byte(parts[0]), bytes.Repeat([]byte(parts[1]), (16<<20)/len(parts[1]))...)
			doc = append(doc, parts[2]...)
			before := allocated()
			_, err := Parse(ledger.Entry{Bytes: doc})
			require.ErrorContains(t, err, "00 are taken")
			require.Less(t, allocated()-before, uint64(16*len(doc)), "of %d bytes", len(doc))
		})
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
