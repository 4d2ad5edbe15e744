package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"golang.org/x/sync/errgroup"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/scratch"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/csaf"
	"github.com/stella-ops/exportcenter/ledger/cyclonedx"
	"github.com/stella-ops/exportcenter/ledger/detect"
	"github.com/stella-ops/exportcenter/ledger/feed"
	"github.com/stella-ops/exportcenter/ledger/findings"
	"github.com/stella-ops/exportcenter/ledger/gavlist"
	"github.com/stella-ops/exportcenter/ledger/openvex"
	"github.com/stella-ops/exportcenter/ledger/osv"
	"github.com/stella-ops/exportcenter/ledger/spdx"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// twin is what two runs over the same evidence must share: with run id and
// clock fixed, everything.
type twin struct{ Payload, Archive string }

// Where a twin process writes its result, and how it is told to differ.
const (
	twinResult = "EXPORTCENTER_TWIN_RESULT"
	twinSeed   = "EXPORTCENTER_TWIN_SEED"
	twinBy     = "EXPORTCENTER_TWIN_IMPORTERS"
	twinAgain  = "EXPORTCENTER_TWIN_AGAIN" // import a random half a second time
)

// TestSameBytesWhateverTheWorldLooksLike runs the same export of all real
// evidence, by every kind, in processes that differ in everything that must not
// matter: order of import, number of importers, workers and processors, what is
// imported twice, time zone and language.
func TestSameBytesWhateverTheWorldLooksLike(t *testing.T) {
	realCorpus(t)
	want := startTwin(t)
	for name, env := range map[string][]string{
		"other order, one processor": {twinSeed + "=1", "GOMAXPROCS=1", "TZ=Asia/Tokyo", "LANG=tr_TR.UTF-8", "LC_ALL=tr_TR.UTF-8"},
		"four importers":             {twinSeed + "=2", twinBy + "=4", twinWorkers + "=4", "GOMAXPROCS=2", "TZ=America/St_Johns", "LANG=C", "LC_ALL=C"},
		"four importers, half again": {twinSeed + "=3", twinBy + "=4", twinAgain + "=1", "TZ=UTC", "LANG=de_DE.UTF-8", "LC_ALL=de_DE.UTF-8"},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, want, startTwin(t, env...)) })
	}
}

// startTwin runs TestTwin in a process of its own, with its own PostgreSQL.
func startTwin(t *testing.T, env ...string) map[string]twin {
	t.Helper()
	result := filepath.Join(t.TempDir(), "twin.json")
	cmd := exec.Command(os.Args[0], "-test.run=^TestTwin$", "-test.count=1", "-test.v")
	cmd.Env = append(append(os.Environ(), twinResult+"="+result), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	raw, err := os.ReadFile(result)
	require.NoError(t, err, "%s", out)
	var got map[string]twin
	require.NoError(t, json.Unmarshal(raw, &got))
	require.Len(t, got, len(export.BuiltinProfiles()))
	return got
}

// TestTwin is one such run: real ledger, real rows, real blobs, the real
// activities; only Temporal is the SDK's test environment.
func TestTwin(t *testing.T) {
	documents := readEvidence(t)
	if seed := os.Getenv(twinSeed); seed != "" {
		shuffler(t, seed).Shuffle(len(documents), func(i, j int) { documents[i], documents[j] = documents[j], documents[i] })
	}
	importers := 1
	if by := os.Getenv(twinBy); by != "" {
		var err error
		importers, err = strconv.Atoi(by)
		require.NoError(t, err)
	}
	if os.Getenv(twinAgain) != "" {
		half := slices.Clone(documents)
		shuffler(t, "7").Shuffle(len(half), func(i, j int) { half[i], half[j] = half[j], half[i] })
		documents = append(documents, half[:len(half)/2]...)
	}
	got := runTwin(t, documents, importers)
	t.Logf("%+v", got)
	if path := os.Getenv(twinResult); path != "" {
		raw, err := json.Marshal(got)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, raw, 0o644))
	}
}

// The run id, the moment and the key that all twins share.
var (
	twinRef  = export.Ref{Tenant: "demo", RunID: "0190c0de-0000-7000-8000-000000000001"}
	twinTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// twinKey is a published key: it protects nothing.
func twinKey(t testing.TB) signing.Signer {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	signer, err := signing.NewSigner(key)
	require.NoError(t, err)
	return signer
}

// runTwin makes a run of every kind over the same documents.
func runTwin(t *testing.T, documents []ledger.Observation, importers int) map[string]twin {
	t.Helper()
	db := pgtest.New(t)
	book := postgres.NewLedger(db.DB)
	importAll(t, book, documents, importers)
	objects, err := files.Open(t.TempDir(), clock.Fixed(twinTime), rand.Reader)
	require.NoError(t, err)
	runs := postgres.NewRuns(db.DB)
	rough, err := scratch.Open(t.TempDir())
	require.NoError(t, err)
	defer rough.Close()
	exporting := &activities.Export{Ledger: book, Execution: postgres.NewExecution(db.DB), Objects: objects, Scratch: rough, Policies: baseline{}, TUF: activities.TUF{Roots: bundletest.RootsFor(t, twinKey(t))},
		Signer: twinKey(t), Adapters: allKinds(t), Clock: clock.Fixed(twinTime), Log: slog.New(slog.DiscardHandler), Version: "twin"}
	found := map[string]twin{}
	var mirror string // a delta is of it and itself
	for i, profile := range export.BuiltinProfiles() {
		ref := export.Ref{Tenant: twinRef.Tenant, RunID: fmt.Sprintf("0190c0de-0000-7000-8000-%012d", i+1)}
		var options export.Options
		if export.HoldsPolicy(profile.Kind, profile.Variant) {
			options.PolicySnapshotID = export.BaselineSnapshot // as the frontend fills it in
		}
		if export.IsFullMirror(profile.Kind, profile.Variant) {
			mirror = ref.RunID
		} else if export.IsDelta(profile.Kind, profile.Variant) {
			options.BaseRunID, options.TargetRunID = mirror, mirror
		}
		_, _, err = runs.CreateRun(t.Context(), export.Run{Tenant: ref.Tenant, ID: ref.RunID, Options: options,
			ProfileID: profile.ID, ProfileRevision: profile.Revision, ProfileName: profile.Name, Kind: profile.Kind, Variant: profile.Variant,
			Selectors:   export.Selectors{Kinds: profile.Config.IncludedKinds()},
			RequestedBy: "twin", RequestedAt: twinTime, State: export.StatePending}, storage.Idempotency{})
		require.NoError(t, err)
		walkKind(t, exporting, ref, workersOfTwin(t))
		run, err := runs.GetRun(t.Context(), ref)
		require.NoError(t, err)
		archive := hashArchive(t, runs, objects, ref)
		require.Equal(t, run.Result.ArchiveDigest, archive, "the row must name the archive that is served")
		found[profile.Label()] = twin{Payload: run.Result.PayloadDigest, Archive: archive}
	}
	return found
}

// walk runs the phases in the SDK's activity environment.
func walk(t *testing.T, exporting *activities.Export) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(exporting)
	for _, phase := range []any{exporting.Plan, exporting.Resolve, exporting.Adapt, exporting.Manifest, exporting.Sign, exporting.Distribute} {
		_, err := env.ExecuteActivity(phase, activities.PhaseInput{Ref: twinRef})
		require.NoError(t, err)
	}
	_, err := env.ExecuteActivity(exporting.EmitTimeline, activities.EmitTimelineInput{Ref: twinRef})
	require.NoError(t, err)
}

// importAll imports documents by several importers at once, in batches.
func importAll(t *testing.T, book *postgres.Ledger, documents []ledger.Observation, importers int) {
	t.Helper()
	batches := slices.Collect(slices.Chunk(documents, 500))
	var next atomic.Int64
	var group errgroup.Group
	for range importers {
		group.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(batches)); i = next.Add(1) - 1 {
				if _, err := book.Import(t.Context(), twinRef.Tenant, batches[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
}

// hashArchive hashes the archive as a download would deliver it.
func hashArchive(t *testing.T, runs *postgres.Runs, objects *files.Store, ref export.Ref) string {
	t.Helper()
	entries, err := runs.Files(t.Context(), ref)
	require.NoError(t, err)
	members := make([]bundle.Member, len(entries))
	for i, e := range entries {
		members[i] = e.Member()
	}
	view, err := bundle.NewView(members, func(m bundle.Member) (bundle.Source, error) {
		return objects.Open(context.Background(), ref.Tenant, m.Digest)
	})
	require.NoError(t, err)
	defer view.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, view)
	require.NoError(t, err)
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// parseEvidence reads a document in any format, as the server does.
var parseEvidence = detect.Reader(
	detect.Format{Name: gavlist.Format, Recognise: gavlist.Recognise, Parse: gavlist.Parse},
	detect.Format{Name: findings.Format, Recognise: findings.Recognise, Parse: findings.Parse},
	detect.Format{Name: osv.Format, Recognise: osv.Recognise, Parse: osv.Parse},
	detect.Format{Name: openvex.Format, Recognise: openvex.Recognise, Parse: openvex.Parse},
	detect.Format{Name: csaf.Format, Recognise: csaf.Recognise, Parse: csaf.Parse},
	detect.Format{Name: cyclonedx.Format, Recognise: cyclonedx.Recognise, Parse: cyclonedx.Parse},
	detect.Format{Name: spdx.Format, Recognise: spdx.Recognise, Parse: spdx.Parse},
)

// readEvidence parses all real evidence, each archive a stream of its name. What
// is rejected is left out.
func readEvidence(t testing.TB) []ledger.Observation {
	t.Helper()
	paths, table := realArchives(t)
	var all []ledger.Observation
	reader := feed.Reader{
		Entry: func(e ledger.Entry) error {
			if o, err := parseEvidence(e); err == nil {
				all = append(all, o)
			}
			return nil
		},
		Reject: func(ledger.Rejection) error { return nil },
	}
	require.NoError(t, reader.Read(t.Context(), paths...))
	accepted := 0
	for _, counts := range table {
		accepted += total(counts.Accepted)
	}
	require.Len(t, all, accepted)
	return all
}

func shuffler(t testing.TB, seed string) *mathrand.Rand {
	t.Helper()
	n, err := strconv.ParseUint(seed, 10, 64)
	require.NoError(t, err)
	return mathrand.New(mathrand.NewPCG(n, n))
}
