package mirror_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/mirror"
)

// A directory that is begun anew knows no generation but the one that the caller names.
func TestAMirrorIsNotBegunWithAnOlderOne(t *testing.T) {
	s := newStory(t)
	dir := filepath.Join(t.TempDir(), "site")
	o := trust(t)
	o.Mirror.NewerThan = 2
	_, err := mirror.Init(t.Context(), dir, written(t, "second", s.fulls[1]), o)
	refusedFor(t, err, mirror.ReasonRollback, "is of generation 2; one after 2 was asked for")
	require.NoDirExists(t, dir)
	_, err = mirror.Init(t.Context(), dir, written(t, "third", s.fulls[2]), o)
	require.NoError(t, err)
	requireHolds(t, dir, s.fulls[2])

	// What says that a mirror is to be made anew says so.
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "generations")))
	_, err = mirror.Look(t.Context(), dir, true, trust(t))
	refusedFor(t, err, mirror.ReasonContent, "not older (stella mirror init --newer-than GENERATION)")
}
