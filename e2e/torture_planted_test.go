//go:build torture

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	temporal "go.temporal.io/sdk/client"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/storage"
)

// TestTortureCountsWhatIsPlanted tests the counters themselves: an undisturbed
// house has no losses, and each damage done by hand is counted where it
// belongs. A counter that cannot count would make every torture look good.
func TestTortureCountsWhatIsPlanted(t *testing.T) {
	w := &torture{t: t, tokens: map[string]string{}, kind: atRest, rows: map[string]*kindRow{}, planted: true, house: openHouse(t)}
	w.documents = corpusOrReplicas(t)
	w.undisturbed()
	w.rest()
	require.Equal(t, tally{}, w.count, "before anything is damaged")

	db := w.house.superuser(t)
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
	// Corrupted: a payload unlike its twin's.
	other := w.journal[0]
	other.run.PayloadDigest = "sha256:other"
	w.compare([]ordered{other})
	// Stuck: a run that was never acknowledged.
	w.await(&ordered{tenant: "twin", err: context.DeadlineExceeded})
	// Lost: who cancelled a run. Corrupted: its archive, an end that was left.
	w.compare([]ordered{{tenant: "twin", cancel: byAPI, run: client.Run{RunID: run(0), Status: client.RunStatusAborted}}})
	w.journal[1].run.ArchiveDigest = "sha256:other"
	// Lost: a cancel that was promised and that its run does not tell, and one
	// that is not in the journal. Stuck: a cancel that nobody acknowledged.
	silent := w.journal[1]
	silent.cancel, silent.promised = byAPI, true
	w.compare([]ordered{silent, {tenant: "twin", cancel: byAPI, unheard: context.DeadlineExceeded, run: client.Run{Status: client.RunStatusRunning}}})
	execute(`set session_replication_role = replica`) // a trigger keeps an ended run as it is
	execute(`update export_runs set cancel_requested_at = now(), cancel_by = 'kim', cancel_reason = 'torture' where id = $1`, run(2))
	execute(`reset session_replication_role`)
	// Corrupted: a blob with a changed byte; last, it may be of a run that was
	// downloaded above.
	files, err := filepath.Glob(filepath.Join(blobs, "sha256", "*", "*"))
	require.NoError(t, err)
	raw, err := os.ReadFile(files[0])
	require.NoError(t, err)
	raw[len(raw)/2] ^= 1
	require.NoError(t, os.Chmod(files[0], 0o644))
	require.NoError(t, os.WriteFile(files[0], raw, 0o444))
	// Leaked: a staged file, a blob without row.
	plant("staging/left", "x")
	plant("sha256/2d/2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881", "x")
	// Leaked: a key in a log, and a tenant's evidence in a history. Stuck: a
	// workflow that nobody ends.
	for form, text := range w.canaries() {
		if form == "signing key, hex" {
			w.plantLog(text)
		}
	}
	w.plantWorkflow("planted/1", canaryEvidence, true)
	w.plantWorkflow("planted/2", "nothing", false)

	w.rest()
	// fsck is a second witness: it names the gap, the second end, the transition
	// that was not told, the staged file and the blob without row once more.
	require.Equal(t, tally{Lost: 5, Duplicated: 3, Corrupted: 4 + 3, Stuck: 3, Leaked: 4 + 2}, w.count)

	w.count = tally{}
	require.NoError(t, os.Remove(files[1]))
	w.rest()
	require.Equal(t, tally{Lost: 3, Duplicated: 3, Corrupted: 6, Stuck: 1, Leaked: 7}, w.count, "a row without blob, besides; what compare finds, not again")
}

func (w *torture) plantLog(text []byte) {
	log, err := os.OpenFile(filepath.Join(w.house.dir, "logs", "api.log"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(w.t, err)
	defer log.Close()
	_, err = log.Write(text)
	require.NoError(w.t, err)
}

// plantWorkflow starts a workflow that no worker takes.
func (w *torture) plantWorkflow(id, input string, end bool) {
	c, err := w.house.dialTemporal(w.t.Context())
	require.NoError(w.t, err)
	defer c.Close()
	_, err = c.ExecuteWorkflow(w.t.Context(), temporal.StartWorkflowOptions{ID: id, TaskQueue: "nobody"}, "planted", input)
	require.NoError(w.t, err)
	if end {
		require.NoError(w.t, c.TerminateWorkflow(w.t.Context(), id, "", "planted"))
	}
}
