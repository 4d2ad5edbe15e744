package sample_test

import (
	"bytes"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/ledger/sample"
)

func TestTheSampleIsWhatItSays(t *testing.T) {
	names, err := fs.Glob(sample.OSV, "osv/*.json")
	require.NoError(t, err)
	require.Len(t, names, 12)
	withdrawn, foreign := 0, 0
	for _, name := range names {
		raw, err := fs.ReadFile(sample.OSV, name)
		require.NoError(t, err)
		id := strings.TrimSuffix(strings.TrimPrefix(name, "osv/"), ".json")
		require.Contains(t, string(raw), `"id": "`+id+`"`)
		if bytes.Contains(raw, []byte(`"withdrawn"`)) {
			withdrawn++
		}
		if bytes.ContainsFunc(raw, func(r rune) bool { return r > 0x7f }) {
			foreign++
		}
	}
	require.Equal(t, 1, withdrawn)
	require.Equal(t, 1, foreign)
}
