package e2e

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// someEvidence are advisories with aliases and severities, and SBOMs.
func someEvidence(t *testing.T) (all []ledger.Observation) {
	t.Helper()
	for n := range 300 {
		severity := []string{"CRITICAL", "LOW"}[n%2]
		text := fmt.Sprintf(`{"id":"OSV-2026-%d","aliases":["CVE-2026-%d"],"modified":"2026-01-01T00:00:00Z","database_specific":{"severity":%q},
			"affected":[{"package":{"ecosystem":"npm","name":"p%d"}}]}`, n, n, severity, n%7)
		if n%10 == 9 {
			text = fmt.Sprintf(`{"bomFormat":"CycloneDX","specVersion":"1.5","serialNumber":"urn:uuid:00000000-0000-4000-8000-%012d","version":1,
				"metadata":{"component":{"type":"application","name":"shop","version":"%d"}},"components":[]}`, n, n%4)
		}
		o, err := parseEvidence(ledger.Entry{Source: "s", Stream: "t", Bytes: []byte(text)})
		require.NoError(t, err)
		all = append(all, o)
	}
	return all
}

// The same evidence, imported in whatever order, and the same request of the same
// revision of a profile give the same bytes; what is in the bundle is what the
// definition selects, and the manifest names profile, revision and selectors.
func TestSelectedTwins(t *testing.T) {
	documents := someEvidence(t)
	selectors := export.Selectors{
		Kinds: []string{"advisory"}, Severities: []string{"critical"}, Include: []string{"CVE-*", "OSV-2026-1*"},
		Exclude: []string{"CVE-2026-2*"}, Sample: &export.Sample{Rate: 0.6, Seed: "twin", Method: export.SampleHash},
	}
	for name, sel := range map[string]export.Selectors{"advisories": selectors, "SBOMs": {SBOMSubjects: []string{"shop@1", "shop@3"}}} {
		t.Run(name, func(t *testing.T) {
			first, manifest, ids := runSelected(t, documents, sel)
			shuffled := append([]ledger.Observation(nil), documents...)
			shuffler(t, "1").Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			second, _, _ := runSelected(t, shuffled, sel)
			require.Equal(t, first, second)
			var want []string
			for _, o := range documents {
				if ledger.LeftOut(sel, o, twinTime) == "" {
					want = append(want, o.UpstreamID)
				}
			}
			require.NotEmpty(t, want)
			require.Less(t, len(want), len(documents)/2)
			require.ElementsMatch(t, want, ids)
			require.Equal(t, bundle.Profile{ID: "0190c0de-0000-7000-9000-000000000001", Kind: "json", Variant: "raw", Name: "nightly", Revision: 3}, manifest.Profile)
			text, err := bundle.MarshalCanonical(sel)
			require.NoError(t, err)
			require.JSONEq(t, string(text), string(manifest.Selectors))
		})
	}
}

// runSelected exports what sel selects of documents, by a profile of their
// tenant's, and gives the ids that are in the bundle.
func runSelected(t *testing.T, documents []ledger.Observation, sel export.Selectors) (got twin, manifest bundle.Manifest, ids []string) {
	t.Helper()
	db := pgtest.New(t)
	book := postgres.NewLedger(db.DB)
	importAll(t, book, documents, 2)
	objects, err := files.Open(t.TempDir(), clock.Fixed(twinTime), rand.Reader)
	require.NoError(t, err)
	profiles := postgres.NewProfiles(db.DB)
	profile, _, err := profiles.CreateProfile(t.Context(), export.Profile{Tenant: twinRef.Tenant, ID: "0190c0de-0000-7000-9000-000000000001",
		Name: "nightly", Kind: "json", Variant: "raw", CreatedBy: "twin", CreatedAt: twinTime}, storage.Idempotency{})
	require.NoError(t, err)
	for n := range 2 {
		config := export.ProfileConfig{Quotas: &export.ProfileQuotas{MaxRunsPerDay: n + 1}}
		profile, err = profiles.ChangeProfile(t.Context(), twinRef.Tenant, profile.ID, storage.ProfileChange{Config: &config, By: "twin", At: twinTime})
		require.NoError(t, err)
	}
	runs := postgres.NewRuns(db.DB)
	_, _, err = runs.CreateRun(t.Context(), export.Run{Tenant: twinRef.Tenant, ID: twinRef.RunID, ProfileID: profile.ID, ProfileRevision: profile.Revision,
		ProfileName: profile.Name, Kind: profile.Kind, Variant: profile.Variant, Selectors: sel, RequestedBy: "twin", RequestedAt: twinTime, State: export.StatePending}, storage.Idempotency{})
	require.NoError(t, err)
	registry, err := adapters.NewRegistry(jsonraw.Adapter{})
	require.NoError(t, err)
	walk(t, &activities.Export{Ledger: book, Execution: postgres.NewExecution(db.DB), Objects: objects,
		Signer: twinKey(t), Adapters: registry, Clock: clock.Fixed(twinTime), Log: slog.New(slog.DiscardHandler), Version: "twin"})
	run, err := runs.GetRun(t.Context(), twinRef)
	require.NoError(t, err)
	require.Equal(t, export.StateSucceeded, run.State)
	got = twin{Payload: run.Result.PayloadDigest, Archive: hashArchive(t, runs, objects, twinRef)}

	entries, err := runs.Files(t.Context(), twinRef)
	require.NoError(t, err)
	for _, e := range entries {
		blob, err := objects.Open(t.Context(), twinRef.Tenant, e.Digest)
		require.NoError(t, err)
		content, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
		require.NoError(t, err)
		require.NoError(t, blob.Close())
		if e.Path == bundle.ManifestPath {
			manifest, err = bundle.ParseManifest(content)
			require.NoError(t, err)
		}
		if e.Payload {
			ids = append(ids, idsOf(t, content)...)
		}
	}
	return got, manifest, ids
}

func idsOf(t *testing.T, packed []byte) (ids []string) {
	t.Helper()
	reader, err := zstd.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	defer reader.Close()
	content, err := io.ReadAll(reader)
	require.NoError(t, err)
	for line := range bytes.Lines(content) {
		id, _ := ledger.TextOf(ledger.FieldOf(bytes.TrimSpace(line), "upstreamId"))
		ids = append(ids, id)
	}
	return ids
}
