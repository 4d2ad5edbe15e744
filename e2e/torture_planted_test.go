//go:build torture

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/storage"
)

// TestTortureCountsWhatIsPlanted tests the counters themselves: an undisturbed
// house has no losses, and each damage done by hand is counted where it
// belongs. A counter that cannot count would make every torture look good.
func TestTortureCountsWhatIsPlanted(t *testing.T) {
	w := &torture{t: t, tokens: map[string]string{}, planted: true, house: openHouse(t)}
	w.documents = tortureDocuments(t)
	w.undisturbed()
	w.rest()
	require.Equal(t, tally{}, w.count, "before anything is damaged")

	db := w.superuser()
	defer db.Close(context.Background()) //nolint:errcheck // the statements told how they went
	run := func(i int) string { return w.journal[i].run.RunID }
	execute := func(query string, args ...any) {
		_, err := db.Exec(t.Context(), query, args...)
		require.NoError(t, err)
	}
	blobs := filepath.Join(w.house.dir, "blobs", storage.Namespace("twin"))
	plant := func(name, content string) {
		path := filepath.Join(blobs, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}

	// Lost: an acknowledged run that the API denies, a transition not told.
	denied := w.journal[0]
	denied.run.RunID = "0190c0de-dead-7000-8000-000000000000"
	w.journal = append(w.journal, denied)
	execute(`delete from export_outbox where run_id = $1 and event_type = 'export.built'`, run(0))
	// Duplicated: a journal with a gap, one with two ends, a run nobody knows of.
	execute(`delete from export_events where run_id = $1 and seq = 2`, run(0))
	execute(`update export_events set event_type = 'run.failed' where run_id = $1 and seq = 3`, run(1))
	w.journal = append(w.journal[:2], w.journal[3:]...)
	// Corrupted: a blob with a changed byte, a payload unlike its twin's.
	files, err := filepath.Glob(filepath.Join(blobs, "sha256", "*", "*"))
	require.NoError(t, err)
	raw, err := os.ReadFile(files[0])
	require.NoError(t, err)
	raw[len(raw)/2] ^= 1
	require.NoError(t, os.Chmod(files[0], 0o644))
	require.NoError(t, os.WriteFile(files[0], raw, 0o444))
	other := w.journal[0]
	other.run.PayloadDigest = "sha256:other"
	w.compare([]ordered{other})
	// Stuck: a run that was never acknowledged.
	w.await(&ordered{tenant: "twin", err: context.DeadlineExceeded})
	// Leaked: a staged file, a blob without row.
	plant("staging/left", "x")
	plant("sha256/2d/2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881", "x")

	w.rest()
	require.Equal(t, tally{Lost: 2, Duplicated: 3, Corrupted: 2, Stuck: 1, Leaked: 2}, w.count)

	w.count = tally{}
	require.NoError(t, os.Remove(files[1]))
	w.rest()
	require.Equal(t, 3, w.count.Leaked, "the two of before, and a row without blob")
}
