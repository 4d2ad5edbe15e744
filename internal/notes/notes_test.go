package notes_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/notes"
)

func TestTheFirstAreKeptAndTheRestCounted(t *testing.T) {
	var l notes.List
	require.Nil(t, l.Notes())
	for i := range 100 {
		l.Leave("part %d", i)
	}
	require.Len(t, l.Notes(), 100)
	l.Leave("one more")
	l.Leave("and one")
	for range 2 { // asked twice, told the same
		require.Len(t, l.Notes(), 101)
		require.Equal(t, "part 99", l.Notes()[99])
		require.Equal(t, "and 2 more", l.Notes()[100])
	}
}
