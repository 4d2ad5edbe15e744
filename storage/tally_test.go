package storage_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/storage"
)

func TestATallyHasOneText(t *testing.T) {
	var tally storage.Tally
	tally.Count("b", 2)
	tally.Count("a", 1)
	tally.Count("b", 1)
	tally.Dropped = 7
	text, err := tally.Encode()
	require.NoError(t, err)
	require.Equal(t, `{"dropped":7,"sources":{"a":1,"b":3}}`, text)
	again, known, err := storage.ParseTally(text)
	require.NoError(t, err)
	require.True(t, known)
	require.Equal(t, tally, again)

	empty, err := storage.Tally{}.Encode()
	require.NoError(t, err)
	require.Equal(t, "{}", empty)
	_, known, err = storage.ParseTally(empty)
	require.NoError(t, err)
	require.True(t, known, "counted, and nothing found")
	_, known, err = storage.ParseTally("")
	require.NoError(t, err)
	require.False(t, known, "never counted")
	for _, text := range []string{"{", "[]", `{"dropped":-1}`, `{"sources":{"a":0}}`, `{"sources":{"a":1.5}}`, `{"other":1}`, `{"dropped":1,"dropped":1}`} {
		_, _, err := storage.ParseTally(text)
		require.ErrorIs(t, err, storage.ErrCorrupt, text)
	}
}
