package e2e

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/scratch"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/gavlist"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// workshop makes runs of every kind in one place, all with the same stamp.
type workshop struct {
	db        *pgtest.Database
	dir       string // of blobs
	book      *postgres.Ledger
	catalog   *postgres.Catalog
	runs      *postgres.Runs
	objects   *files.Store
	ageless   bool // the age of evidence is not asked for
	exporting *activities.Export
	made      int
	// encryption is how what is made leaves; nil = in the clear.
	encryption *export.Encryption
	// belongs is the mirror that what is made belongs to; "" = none.
	belongs string
}

func openWorkshop(t *testing.T) *workshop {
	t.Helper()
	db := pgtest.New(t)
	dir := t.TempDir()
	objects, err := files.Open(dir, clock.Fixed(twinTime), rand.Reader)
	require.NoError(t, err)
	rough, err := scratch.Open(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { rough.Close() })
	book := postgres.NewLedger(db.DB)
	return &workshop{db: db, dir: dir, book: book, catalog: postgres.NewCatalog(db.DB), runs: postgres.NewRuns(db.DB), objects: objects, exporting: &activities.Export{
		Ledger: book, Execution: postgres.NewExecution(db.DB), Objects: objects, Scratch: rough, Policies: baseline{}, TUF: activities.TUF{Roots: bundletest.RootsFor(t, twinKey(t))},
		Signer: twinKey(t), Adapters: allKinds(t), Clock: clock.Fixed(twinTime), Log: slog.New(slog.DiscardHandler), Version: "twin"}}
}

// record asks for a run of a profile as of a sequence, 0 = now.
func (w *workshop) record(t *testing.T, profile export.Profile, asOf int64) export.Ref {
	t.Helper()
	w.made++
	ref := export.Ref{Tenant: twinRef.Tenant, RunID: fmt.Sprintf("0190c0de-0000-7000-8000-%012d", w.made)}
	options := export.Options{AsOf: asOf, MirrorRunID: w.belongs}
	if export.HoldsPolicy(profile.Kind, profile.Variant) {
		options.PolicySnapshotID = export.BaselineSnapshot
	}
	guard := &export.GuardConfig{MaxAgeHours: 1 << 20}
	if w.ageless {
		guard = nil
	}
	_, _, err := w.runs.CreateRun(t.Context(), export.Run{Tenant: ref.Tenant, ID: ref.RunID, Options: options,
		ProfileID: profile.ID, ProfileRevision: profile.Revision, ProfileName: profile.Name, Kind: profile.Kind, Variant: profile.Variant,
		Selectors: export.Selectors{Kinds: profile.Config.IncludedKinds()}, Guard: guard, Encryption: w.encryption,
		RequestedBy: "twin", RequestedAt: twinTime, State: export.StatePending}, storage.Idempotency{})
	require.NoError(t, err)
	return ref
}

// run makes it.
func (w *workshop) run(t *testing.T, profile export.Profile, asOf int64) export.Run {
	t.Helper()
	ref := w.record(t, profile, asOf)
	walkKind(t, w.exporting, ref, 1)
	run, err := w.runs.GetRun(t.Context(), ref)
	require.NoError(t, err)
	return run
}

// payloads makes a run of every kind and gives their payload digests.
func (w *workshop) payloads(t *testing.T, asOf int64) map[string]string {
	t.Helper()
	digests := map[string]string{}
	for _, profile := range export.BuiltinProfiles() {
		if profile.Kind == "mirror" {
			continue // never as of the past
		}
		run := w.run(t, profile, asOf)
		if asOf > 0 {
			require.Equal(t, asOf, run.AsOf, profile.Name)
		}
		digests[profile.Name] = run.Result.PayloadDigest
	}
	return digests
}

func (w *workshop) take(t *testing.T, documents []ledger.Observation) (head int64) {
	t.Helper()
	_, err := w.book.Import(t.Context(), twinRef.Tenant, documents)
	require.NoError(t, err)
	head, err = w.book.Head(t.Context(), twinRef.Tenant)
	require.NoError(t, err)
	return head
}

// evidenceOfDay is evidence that every kind makes something of: advisories, a VEX
// document, SBOMs and a list of artifacts. Each day has more, and other revisions.
func evidenceOfDay(t *testing.T, day int) (all []ledger.Observation) {
	t.Helper()
	add := func(o ledger.Observation, err error) {
		t.Helper()
		require.NoError(t, err)
		all = append(all, o)
	}
	parse := func(format string, args ...any) {
		t.Helper()
		add(parseEvidence(ledger.Entry{Source: "s", Stream: "t", Bytes: fmt.Appendf(nil, format, args...)}))
	}
	for n := range 100 * day {
		if n%7 < day-1 && n < 100 {
			continue // as it was the day before
		}
		parse(`{"id":"OSV-2026-%d","aliases":["CVE-2026-%d"],"modified":"2026-01-0%dT00:00:00Z","database_specific":{"severity":"HIGH"},
			"affected":[{"package":{"ecosystem":"npm","name":"p%d"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.%d.0"}]}]}]}`, n, n, day, n%9, day)
	}
	parse(`{"bomFormat":"CycloneDX","specVersion":"1.5","serialNumber":"urn:uuid:00000000-0000-4000-8000-000000000001","version":%d,
		"metadata":{"timestamp":"2026-01-0%dT00:00:00Z","component":{"type":"application","name":"shop"}},
		"components":[{"type":"library","name":"p1","version":"1.0.0","purl":"pkg:npm/p1@1.0.%d"},
			{"type":"library","group":"org.a","name":"b","version":"%d","purl":"pkg:maven/org.a/b@%d","hashes":[{"alg":"SHA-1","content":"%040d"}]}]}`,
		day, day, day, day, day, day)
	parse(`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.org/vex/1","author":"a","version":%d,"timestamp":"2026-01-0%dT00:00:00Z",
		"statements":[{"vulnerability":{"name":"CVE-2026-1"},"products":[{"@id":"pkg:npm/p1@1.0.%d"}],"status":"fixed"}]}`, day, day, day)
	list := fmt.Appendf(nil, `{"format":"stellaops.gav-list/v1","id":"central","modified":"2026-01-0%dT00:00:00Z","artifacts":[
		{"sha1":"%040d","groupId":"org.c","artifactId":"d","version":"%d"}]}`, day, 100+day, day)
	add(gavlist.Parse(ledger.Entry{Source: "s", Stream: "t", Bytes: list}))
	return all
}

// A run as of a sequence is the run that was made when the ledger was there, of every
// kind, whatever was recorded since, and wherever the last plan is.
func TestRunsAsOfAreTheRunsThatWere(t *testing.T) {
	w := openWorkshop(t)
	var heads []int64
	var then []map[string]string
	for day := 1; day <= 3; day++ {
		heads = append(heads, w.take(t, evidenceOfDay(t, day)))
		then = append(then, w.payloads(t, 0))
		for before := range day {
			require.Equal(t, then[before], w.payloads(t, heads[before]), "day %d, asked on day %d", before+1, day)
		}
		if day > 1 {
			for name, digest := range then[day-1] {
				require.NotEqual(t, then[day-2][name], digest, "%s must have changed on day %d", name, day)
			}
		}
	}
	// What is removed is there as of then.
	for n := range 30 {
		_, err := w.book.Remove(t.Context(), twinRef.Tenant, []ledger.Removal{{Identity: ledger.Identity{Kind: ledger.KindAdvisory, Source: "s", Stream: "t", UpstreamID: fmt.Sprintf("OSV-2026-%d", 3*n)}}})
		require.NoError(t, err)
	}
	require.NotEqual(t, then[2], w.payloads(t, 0))
	for day, head := range heads {
		require.Equal(t, then[day], w.payloads(t, head), "day %d, after removals", day+1)
	}
	// A sequence between two imports, which no run has seen yet, is that of a ledger
	// which had no more.
	between := heads[0] + 40
	other := openWorkshop(t)
	other.take(t, evidenceOfDay(t, 1))
	other.take(t, evidenceOfDay(t, 2)[:40])
	require.Equal(t, other.payloads(t, 0), w.payloads(t, between))
}

// Publishing takes no notice of runs as of the past, and they are held against nothing.
func TestTheGuardAndRunsAsOfThePast(t *testing.T) {
	w := openWorkshop(t)
	profile, _ := export.BuiltinProfile("trivy:db")
	early := w.take(t, evidenceOfDay(t, 1)[:20])
	w.take(t, evidenceOfDay(t, 1))
	published := w.run(t, profile, 0)
	past := w.run(t, profile, early) // a fifth of it is there, and it is not parked
	report, err := w.runs.GuardReport(t.Context(), past.Ref())
	require.NoError(t, err)
	require.Nil(t, report.Report.Baseline)
	require.False(t, report.Parked)
	next := w.run(t, profile, 0)
	report, err = w.runs.GuardReport(t.Context(), next.Ref())
	require.NoError(t, err)
	require.Equal(t, published.ID, report.Report.Baseline.RunID)
}

// What the API would have refused, the worker refuses.
func TestAWorkerRefusesAPastThatIsNone(t *testing.T) {
	w := openWorkshop(t)
	profile, _ := export.BuiltinProfile("json:raw")
	head := w.take(t, evidenceOfDay(t, 1))
	for _, asOf := range []int64{head + 1, -1} {
		ref := w.record(t, profile, asOf)
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestActivityEnvironment()
		env.RegisterActivity(w.exporting)
		_, err := env.ExecuteActivity(w.exporting.Plan, activities.PhaseInput{Ref: ref})
		require.ErrorContains(t, err, "ERR_EXPORT_001")
		run, err := w.runs.GetRun(t.Context(), ref)
		require.NoError(t, err)
		require.Zero(t, run.AsOf)
	}
}
