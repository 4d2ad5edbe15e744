package adapters_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
)

const rawLine = `{"content":{"raw":{"id":"a}{\\\"","modified":"x"}},"format":"osv","kind":"advisory","linkset":{"aliases":[],"ecosystems":[],"products":[]},` +
	`"original":{"bytes":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"source":"osv","stream":"s","upstreamId":"x"}`

func TestRawLinesAreRead(t *testing.T) {
	l, err := adapters.ReadRawLine([]byte(rawLine))
	require.NoError(t, err)
	require.Equal(t, `{"id":"a}{\\\"","modified":"x"}`, string(l.Evidence))
	require.Equal(t, "advisory\n\nx\nosv\ns", l.Key())
	require.Equal(t, "data/original/advisory/44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", l.OriginalPath())
	for _, bad := range []string{"", "{}", `{"content":{"raw":{}`, `{"content":{"raw":{}}}`, rawLine + "x", rawLine[:len(rawLine)-1] + `,"more":1}`,
		`{"content":{"raw":{},"more":1},"format":"osv"}`} {
		_, err := adapters.ReadRawLine([]byte(bad))
		require.Error(t, err, "%q", bad)
	}
}

func FuzzReadRawLine(f *testing.F) {
	f.Add([]byte(rawLine))
	f.Fuzz(func(t *testing.T, line []byte) {
		l, err := adapters.ReadRawLine(line)
		if err == nil && l.Original.Digest != (bundle.Digest{}) {
			require.True(t, bundle.IsOriginal(l.OriginalPath()))
		}
	})
}
