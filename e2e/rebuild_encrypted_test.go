package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// again builds a run again, and gives what came of it and what the activity said.
func (w *workshop) again(t *testing.T, of export.Run) (export.Rebuilt, error) {
	t.Helper()
	w.made++
	ref := export.Ref{Tenant: of.Tenant, RunID: fmt.Sprintf("0190c0de-0000-7000-8000-%012d", w.made)}
	_, _, err := w.runs.CreateRun(t.Context(), export.Run{Tenant: of.Tenant, ID: ref.RunID, RebuildOf: of.ID,
		ProfileID: of.ProfileID, ProfileRevision: of.ProfileRevision, ProfileName: of.ProfileName, Kind: of.Kind, Variant: of.Variant,
		Selectors: of.Selectors, Options: of.Options, RequestedBy: "again", RequestedAt: twinTime, State: export.StatePending}, storage.Idempotency{})
	require.NoError(t, err)
	in, phase := activities.PhaseInput{Ref: ref}, phasesOf(w.exporting)
	require.NoError(t, phase(w.exporting.Plan, in, nil))
	if err := phase(w.exporting.Resolve, in, nil); err != nil {
		return export.Rebuilt{}, err
	}
	build(t, w.exporting, ref, 1)
	require.NoError(t, phase(w.exporting.Manifest, in, nil))
	compared := phase(w.exporting.Compare, in, nil)
	run, err := w.runs.GetRun(t.Context(), ref)
	require.NoError(t, err)
	require.NotNil(t, run.Rebuilt, "%v", compared)
	return *run.Rebuilt, compared
}

// TestEncryptedRunsAreBuiltAgain: of a run that is offered encrypted the plain bundle
// within is compared byte by byte, and the first difference is named in it.
func TestEncryptedRunsAreBuiltAgain(t *testing.T) {
	w := openWorkshop(t)
	w.take(t, evidenceOfDay(t, 1))
	var runs []export.Run
	for i, name := range []string{"json:raw", "trivy:db", "mirror:full"} {
		w.encryption = &export.Encryption{Enabled: true, Mode: []string{export.EncryptionAge, export.EncryptionGCM}[i%2],
			RecipientKeys: []string{bundletest.Identity(t, 0).Recipient().String()}}
		profile, _ := export.BuiltinProfile(name)
		run := w.run(t, profile, 0)
		require.NotNil(t, run.Result.Encrypted)
		runs = append(runs, run)
	}
	w.take(t, evidenceOfDay(t, 2))
	for _, run := range runs {
		report, err := w.again(t, run)
		require.NoError(t, err, run.ProfileName)
		require.Equal(t, export.RebuildIdentical, report.Verdict)
		require.NotEmpty(t, report.Recorded.Encoder, "the recorded manifest was read")
		require.Contains(t, report.NotCompared[0], "the plain bundle within")
		if run.Kind != "mirror" { // TUF metadata is not made again
			require.Len(t, report.NotCompared, 1, "signatures and seal were compared: the key is at hand")
			files, err := w.exporting.Execution.BundleFiles(t.Context(), run.Ref())
			require.NoError(t, err)
			require.EqualValues(t, len(files), report.Files)
		}
	}

	// Another version of the program is told apart, which takes the manifest's bytes.
	w.exporting.Version = "another"
	report, err := w.again(t, runs[0])
	require.ErrorContains(t, err, "ERR_EXPORT_REBUILD in compare")
	require.Equal(t, export.RebuildVersion, report.Verdict)
	require.Equal(t, bundle.ManifestPath, report.First.Path)
	require.Equal(t, "tool", report.First.Member)
	w.exporting.Version = "twin"

	// A document goes from the ledger behind everybody's back.
	db, err := pgx.Connect(t.Context(), w.db.Admin)
	require.NoError(t, err)
	defer db.Close(t.Context())
	gone, err := db.Exec(t.Context(), "delete from ledger_observations where upstream_id = 'OSV-2026-7'")
	require.NoError(t, err)
	require.EqualValues(t, 1, gone.RowsAffected())
	report, err = w.again(t, runs[0])
	require.ErrorContains(t, err, "ERR_EXPORT_REBUILD in compare")
	require.Equal(t, export.RebuildDiffers, report.Verdict)
	require.Equal(t, "bytes", report.First.What)
	require.Contains(t, report.First.Path, "data/raw/advisories-")
	require.True(t, strings.HasSuffix(report.First.Path, ".zst"), "an entry of the plain bundle")
	require.Positive(t, report.First.Line)
	require.Contains(t, report.First.Document, "OSV-2026-7")
}

// TestARottenPlainLayerIsNotBuiltAgain: bytes of the plain bundle within an encrypted one
// that have changed in the store fail the rebuild, before right ones take their place.
func TestARottenPlainLayerIsNotBuiltAgain(t *testing.T) {
	w := openWorkshop(t)
	w.take(t, evidenceOfDay(t, 1))
	w.encryption = &export.Encryption{Enabled: true, Mode: export.EncryptionAge, RecipientKeys: []string{bundletest.Identity(t, 0).Recipient().String()}}
	profile, _ := export.BuiltinProfile("json:raw")
	run := w.run(t, profile, 0)
	plain, err := w.exporting.Execution.BundleFiles(t.Context(), run.Ref())
	require.NoError(t, err)
	offered, err := w.runs.Files(t.Context(), run.Ref())
	require.NoError(t, err)
	shown := map[bundle.Digest]bool{}
	for _, f := range offered {
		shown[f.Digest] = true
	}
	rotten := 0
	for _, f := range plain {
		if f.Payload && !shown[f.Digest] {
			w.rot(t, f.Digest)
			rotten++
			break
		}
	}
	require.Equal(t, 1, rotten)
	_, err = w.again(t, run)
	require.ErrorContains(t, err, "ERR_EXPORT_REBUILD in resolve", "before anything is stored")
}

// rot changes a bit of a stored blob.
func (w *workshop) rot(t *testing.T, digest bundle.Digest) {
	t.Helper()
	found := 0
	require.NoError(t, filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, digest.Hex()) {
			return err
		}
		found++
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		content[len(content)/2] ^= 1
		return os.WriteFile(path, content, 0o600)
	}))
	require.Equal(t, 1, found)
}
