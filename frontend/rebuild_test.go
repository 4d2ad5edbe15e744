package frontend_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

func TestARunIsBuiltAgain(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	of, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	path := runsPath + "/" + of.ID + "/rebuild"
	a := c.send("POST", path, "", "Idempotency-Key", "k")
	require.Equal(t, http.StatusAccepted, a.Status, a.Body)
	doc := a.run(t)
	require.NotEqual(t, of.ID, doc.RunID)
	require.Equal(t, runsPath+"/"+doc.RunID, a.Header.Get("Location"))
	require.Equal(t, of.ID, doc.RebuildOf)
	require.Nil(t, doc.Rebuilt)
	stored, err := w.Runs.GetRun(t.Context(), export.Ref{Tenant: "acme", RunID: doc.RunID})
	require.NoError(t, err)
	require.Equal(t, of.Selectors, stored.Selectors)
	require.Equal(t, of.Options, stored.Options)
	require.Equal(t, of.ProfileRevision, stored.ProfileRevision)
	require.Equal(t, "tester@acme", stored.RequestedBy)
	require.Contains(t, w.Starter.Started, stored.Ref())
	require.Equal(t, doc.RunID, c.send("POST", path, "", "Idempotency-Key", "k").run(t).RunID)

	stored.State, stored.Rebuilt = export.StateFailed, &export.Rebuilt{Verdict: export.RebuildDiffers, Files: 3, Bytes: 4,
		First: &export.RebuildDifference{Path: "README.md", What: "bytes", Offset: 7}}
	w.Runs.Put(stored, nil)
	shown := c.send("GET", runsPath+"/"+doc.RunID, "").run(t)
	require.Equal(t, frontend.RebuiltVerdictDifferent, shown.Rebuilt.Verdict)
	require.Equal(t, &frontend.RebuildDifference{Path: "README.md", What: "bytes", Offset: 7}, shown.Rebuilt.First)
}

// A rebuild has succeeded like a run, and has no bundle.
func TestARebuildHasNoBundle(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	of, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	again := w.Run("acme", export.StateSucceeded)
	again.RebuildOf, again.Rebuilt = of.ID, &export.Rebuilt{Verdict: export.RebuildIdentical}
	w.Runs.Put(again, nil)
	for _, of := range []string{"download", "manifest", "provenance", "attestation"} {
		a := c.send("GET", runsPath+"/"+again.ID+"/"+of, "")
		require.Equal(t, http.StatusConflict, a.Status, "%s: %s", of, a.Body)
		require.Equal(t, "ERR_EXPORT_014", a.problem(t).Code, of)
		require.Contains(t, a.problem(t).Message, "has no bundle of its own", of)
	}
}

func TestARebuildIsNotTheLatestRun(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	of, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	again := of
	again.ID, again.RebuildOf = "0192f3c4-5d6e-7f80-9a1b-0000000000aa", of.ID
	w.Runs.Put(again, nil)
	require.Equal(t, of.ID, c.send("GET", "/api/export/profiles/"+of.ProfileID+"/latest", "").run(t).RunID)
}

func TestWhatCannotBeBuiltAgain(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	refused := func(run export.Run, words string) {
		w.Runs.Put(run, nil)
		a := c.send("POST", runsPath+"/"+run.ID+"/rebuild", "")
		require.Equal(t, http.StatusConflict, a.Status, a.Body)
		require.Equal(t, "ERR_EXPORT_009", a.problem(t).Code)
		require.Contains(t, a.problem(t).Message, words)
	}
	for _, state := range []export.State{export.StatePending, export.StateRunning, export.StateWaiting, export.StateFailed, export.StateAborted} {
		refused(w.Run("acme", state), "there is no bundle")
	}
	of, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	again, over, delta := of, of, of
	again.RebuildOf = "0192f3c4-5d6e-7f80-9a1b-000000000001"
	refused(again, "rebuild run 0192f3c4-5d6e-7f80-9a1b-000000000001")
	over.Reach = &export.Reach{}
	refused(over, "other tenants")
	delta.Kind, delta.Variant = "mirror", "delta"
	refused(delta, "a delta follows from two mirrors")

	require.Equal(t, http.StatusNotFound, newCaller(t, w, "globex").send("POST", runsPath+"/"+of.ID+"/rebuild", "").Status)
	w.Runs.Put(of, nil)
	require.Equal(t, http.StatusAccepted, c.send("POST", runsPath+"/"+of.ID+"/rebuild", "", "Idempotency-Key", "k").Status)
	other, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	require.Equal(t, http.StatusUnprocessableEntity, c.send("POST", runsPath+"/"+other.ID+"/rebuild", "", "Idempotency-Key", "k").Status)
}
