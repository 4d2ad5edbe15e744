package mirror_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/mirror"
)

// A directory is read as the archive that the producer published, and no command changes
// it meanwhile; of one that another encoder packed that is said.
func TestHold(t *testing.T) {
	s := newStory(t)
	dir := s.at(t, "12")
	held, err := mirror.Hold(dir, trust(t).Trust)
	require.NoError(t, err)
	require.Zero(t, held.Repacked)
	archive, err := io.ReadAll(io.NewSectionReader(held, 0, held.Size()))
	require.NoError(t, err)
	require.Equal(t, bundle.DigestOf(s.fulls[1].Archive), bundle.DigestOf(archive))
	refused(t, dir, mirror.ReasonBusy, 13, "another command is at work", s.names["23"])
	require.NoError(t, held.Close())

	other := trust(t).Packed(func(w io.Writer) (mirror.Packer, error) { return &otherEncoder{to: w}, nil })
	_, err = mirror.Apply(t.Context(), dir, []string{s.names["23"]}, other)
	require.NoError(t, err, "the directory is free again")
	held, err = mirror.Hold(dir, trust(t).Trust)
	require.NoError(t, err)
	require.Positive(t, held.Repacked)
	require.NoError(t, held.Close())

	_, err = mirror.Hold(t.TempDir(), trust(t).Trust)
	refusedFor(t, err, mirror.ReasonMirror, "holds no mirror")
}
