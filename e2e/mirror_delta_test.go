package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/mirror"
	"github.com/stella-ops/exportcenter/storage"
)

// delta makes the delta between two full mirrors, and gives its archive.
func (w *workshop) delta(t *testing.T, base, target export.Run) (export.Run, []byte) {
	t.Helper()
	w.made++
	profile, _ := export.BuiltinProfile("mirror:delta")
	ref := export.Ref{Tenant: twinRef.Tenant, RunID: fmt.Sprintf("0190c0de-0000-7000-8000-%012d", w.made)}
	_, _, err := w.runs.CreateRun(t.Context(), export.Run{Tenant: ref.Tenant, ID: ref.RunID, Options: export.Options{BaseRunID: base.ID, TargetRunID: target.ID},
		ProfileID: profile.ID, ProfileRevision: profile.Revision, ProfileName: profile.Name, Kind: profile.Kind, Variant: profile.Variant,
		Selectors: target.Selectors, RequestedBy: "twin", RequestedAt: twinTime, State: export.StatePending}, storage.Idempotency{})
	require.NoError(t, err)
	walkKind(t, w.exporting, ref, 1)
	run, err := w.runs.GetRun(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, target.AsOf, run.AsOf, "a delta is as of its target")
	return run, w.archive(t, run)
}

// archive is the bundle of a run as a download gives it.
func (w *workshop) archive(t *testing.T, run export.Run) []byte {
	t.Helper()
	files, err := w.runs.Files(t.Context(), run.Ref())
	require.NoError(t, err)
	members := make([]bundle.Member, len(files))
	for i, f := range files {
		members[i] = f.Member()
	}
	view, err := bundle.NewView(members, func(m bundle.Member) (bundle.Source, error) {
		return w.objects.Open(context.Background(), run.Tenant, m.Digest)
	})
	require.NoError(t, err)
	defer view.Close()
	archive, err := io.ReadAll(view)
	require.NoError(t, err)
	return archive
}

// TestADeltaOfTwoDays: a site that has the mirror of one day and gets the delta has
// the mirror of the next day, byte for byte; with documents that came, changed and
// were removed, out of a real ledger.
func TestADeltaOfTwoDays(t *testing.T) {
	w := openWorkshop(t)
	w.ageless = true
	w.take(t, evidenceOfDay(t, 1))
	first, full := w.mirror(t)
	w.take(t, evidenceOfDay(t, 2))
	gone := evidenceOfDay(t, 1)[3].Identity()
	counts, err := w.book.Remove(t.Context(), twinRef.Tenant, []ledger.Removal{{Identity: gone, Reason: "withdrawn"}})
	require.NoError(t, err)
	require.EqualValues(t, 1, counts.Removed)
	second, next := w.mirror(t)

	run, archive := w.delta(t, first, second)
	again, sameAgain := w.delta(t, first, second)
	require.Equal(t, run.Result.PayloadDigest, again.Result.PayloadDigest)
	require.Equal(t, len(archive), len(sameAgain))
	trust := mirror.Options{Trust: verify.Trust{bundletest.Verifier(t, twinKey(t))}}
	file := func(name string, content []byte) string {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	dir := filepath.Join(t.TempDir(), "site")
	_, err = mirror.Init(t.Context(), dir, file("full.tar", full), trust)
	require.NoError(t, err)
	outcome, err := mirror.Apply(t.Context(), dir, []string{file("delta.tar", archive)}, trust)
	require.NoError(t, err)
	require.Equal(t, second.Result.ArchiveDigest, outcome.ArchiveDigest, "exactly the second mirror")
	require.Equal(t, second.Result.ArchiveDigest, bundle.DigestOf(next).String())

	manifest, err := os.ReadFile(filepath.Join(dir, "current", "tree", "manifests", "export.json"))
	require.NoError(t, err)
	require.True(t, bytes.Contains(next, manifest))

	// The mirror of a run made after the delta still follows from the first's plan: a
	// delta's empty plan is nobody's.
	third, _ := w.mirror(t)
	require.Equal(t, second.Result.PayloadDigest, third.Result.PayloadDigest)
	empty, _ := w.delta(t, second, second)
	require.Equal(t, export.StateSucceeded, empty.State)
}
