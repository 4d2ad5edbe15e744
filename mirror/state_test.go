package mirror_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/mirror"
)

func goodState() mirror.State {
	d := bundle.DigestOf([]byte("manifest"))
	return mirror.State{Schema: mirror.StateSchema, Mirror: mirror.Identity{ExportID: "full-000003", ManifestDigest: d, Generation: 3},
		ArchiveDigest: d.String(), Applied: []mirror.Applied{{ExportID: "delta-01", ManifestDigest: d, Generation: 3}}}
}

func TestAStateIsReadInItsOneForm(t *testing.T) {
	text, err := goodState().Encode()
	require.NoError(t, err)
	again, err := mirror.ParseState(text)
	require.NoError(t, err)
	require.Equal(t, goodState(), again)
	for _, bad := range []string{"", "{}", string(text) + "\n", strings.Replace(string(text), `"repacked":0`, `"repacked":1`, 1), strings.Replace(string(text), "v1", "v2", 1),
		strings.Replace(string(text), `"generation":3`, `"generation":4`, 1), strings.Replace(string(text), `"repacked":0,`, ``, 1)} {
		require.NotEqual(t, string(text), bad)
		_, err := mirror.ParseState([]byte(bad))
		require.ErrorContains(t, err, "state.json", bad)
	}
}

func FuzzParseState(f *testing.F) {
	text, err := goodState().Encode()
	require.NoError(f, err)
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		state, err := mirror.ParseState(text)
		if err != nil {
			return
		}
		again, err := state.Encode()
		require.NoError(t, err)
		require.Equal(t, string(text), string(again))
	})
}
