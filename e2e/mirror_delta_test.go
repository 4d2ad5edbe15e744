package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/mirror"
	"github.com/stella-ops/exportcenter/sealed"
	"github.com/stella-ops/exportcenter/storage"
)

// recordDelta asks for the delta between two full mirrors.
func (w *workshop) recordDelta(t *testing.T, base, target export.Run) export.Ref {
	t.Helper()
	w.made++
	profile, _ := export.BuiltinProfile("mirror:delta")
	ref := export.Ref{Tenant: twinRef.Tenant, RunID: fmt.Sprintf("0190c0de-0000-7000-8000-%012d", w.made)}
	_, _, err := w.runs.CreateRun(t.Context(), export.Run{Tenant: ref.Tenant, ID: ref.RunID, Options: export.Options{BaseRunID: base.ID, TargetRunID: target.ID},
		ProfileID: profile.ID, ProfileRevision: profile.Revision, ProfileName: profile.Name, Kind: profile.Kind, Variant: profile.Variant,
		Selectors: target.Selectors, Encryption: w.encryption, RequestedBy: "twin", RequestedAt: twinTime, State: export.StatePending}, storage.Idempotency{})
	require.NoError(t, err)
	return ref
}

// delta makes the delta between two full mirrors, and gives its archive.
func (w *workshop) delta(t *testing.T, base, target export.Run) (export.Run, []byte) {
	t.Helper()
	ref := w.recordDelta(t, base, target)
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

// TestADeltaOfEncryptedMirrors: it leaves encrypted as they do, and opened it leads from
// the one to the other; in the clear, or for others than the mirrors, it is not made.
func TestADeltaOfEncryptedMirrors(t *testing.T) {
	alice := bundletest.Identity(t, 0)
	w := openWorkshop(t)
	w.ageless = true
	w.encryption = &export.Encryption{Enabled: true, Mode: export.EncryptionAge, RecipientKeys: []string{alice.Recipient().String()}}
	trust := verify.Trust{bundletest.Verifier(t, twinKey(t))}
	keys := sealed.Keys{Identities: []*age.X25519Identity{alice}}
	opened := func(name string, archive []byte) string {
		path := filepath.Join(t.TempDir(), name)
		file, err := os.Create(path)
		require.NoError(t, err)
		defer file.Close()
		_, err = verify.Open(t.Context(), bytes.NewReader(archive), int64(len(archive)), trust, keys, file)
		require.NoError(t, err)
		return path
	}
	w.take(t, evidenceOfDay(t, 1))
	profile, _ := export.BuiltinProfile("mirror:full")
	first := w.run(t, profile, 0)
	w.take(t, evidenceOfDay(t, 2))
	second := w.run(t, profile, 0)
	run, archive := w.delta(t, first, second)
	require.NotNil(t, run.Result.Encrypted)
	report, err := verify.Reader(t.Context(), bytes.NewReader(archive), int64(len(archive)), trust)
	require.NoError(t, err)
	require.Equal(t, verify.StatusUnopened, report.Status)

	dir := filepath.Join(t.TempDir(), "site")
	_, err = mirror.Init(t.Context(), dir, opened("full.tar", w.archive(t, first)), mirror.Options{Trust: trust})
	require.NoError(t, err)
	outcome, err := mirror.Apply(t.Context(), dir, []string{opened("delta.tar", archive)}, mirror.Options{Trust: trust})
	require.NoError(t, err)
	require.Equal(t, second.Result.Encrypted.PlainDigest, outcome.ArchiveDigest, "exactly the second mirror")

	bob := &export.Encryption{Enabled: true, Mode: export.EncryptionAge, RecipientKeys: []string{bundletest.Identity(t, 1).Recipient().String()}}
	for words, encryption := range map[string]*export.Encryption{"leaves encrypted only": nil, "is not for the recipient": bob} {
		w.encryption = encryption
		for phase, activity := range map[string]any{"plan": w.exporting.Plan, "resolve": w.exporting.Resolve} {
			require.Contains(t, w.refusal(t, activity, w.recordDelta(t, first, second)).Message, words, phase)
		}
	}
}

// refusal is why an activity refuses a run for good.
func (w *workshop) refusal(t *testing.T, activity any, ref export.Ref) (failure export.Failure) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(w.exporting)
	_, err := env.ExecuteActivity(activity, activities.PhaseInput{Ref: ref})
	var refused *temporal.ApplicationError
	require.ErrorAs(t, err, &refused)
	require.NoError(t, refused.Details(&failure))
	return failure
}

// A mirror that waited may have a newer root than a later generation: the delta from the
// one to the other is refused when it is asked for, not by every site that gets it.
func TestADeltaWhoseRootsDoNotGoOn(t *testing.T) {
	w := openWorkshop(t)
	w.ageless = true
	w.take(t, evidenceOfDay(t, 1))
	old := w.exporting.TUF.Roots
	first, err := old.Chain()
	require.NoError(t, err)
	renewed := bundletest.Roots(bundletest.TUFRootLasting(t, first, bundletest.RootKey(t, 1), bundletest.RootKey(t, 1), twinKey(t)))
	other := bundletest.Roots(bundletest.TUFRootLasting(t, nil, nil, bundletest.RootKey(t, 2), twinKey(t)))
	mirrorUnder := func(roots activities.Roots) export.Run {
		w.exporting.TUF.Roots = roots
		run, _ := w.mirror(t)
		return run
	}
	before, waited, later, forked := mirrorUnder(old), mirrorUnder(renewed), mirrorUnder(old), mirrorUnder(other)
	for words, target := range map[string]export.Run{"before TUF root 2": later, "another TUF root 1": forked} {
		failure := w.refusal(t, w.exporting.Resolve, w.recordDelta(t, waited, target))
		require.Equal(t, export.CodeBaseManifest, failure.Code)
		require.Contains(t, failure.Message, words)
		require.Contains(t, failure.Message, target.ID)
	}
	for _, target := range []export.Run{waited, later} {
		made, _ := w.delta(t, before, target)
		require.Equal(t, export.StateSucceeded, made.State)
	}
}
