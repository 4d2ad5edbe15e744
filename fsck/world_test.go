package fsck_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/fsck"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/osv"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
	"github.com/stella-ops/exportcenter/worker"
)

// The tenants of a world. They have the same documents, so their blobs have
// the same digests wherever a run's name is not in them.
const (
	acme   = "acme"
	globex = "globex"
)

// now is the moment of the runs; fsck looks two hours later.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const later = 2 * time.Hour

// world is a small installation: real rows, real blobs, the real activities.
type world struct {
	*pgtest.Database
	dir     string
	super   *pgx.Conn
	objects *files.Store
	runs    *postgres.Runs
	exec    *postgres.Execution
	ended   map[string]export.Run // the run that succeeded, by tenant
}

// model is the world that all tests begin with: it is built once, and copied.
var model struct {
	sync.Once
	copies func(testing.TB) *pgtest.Database
	world  *world
}

func newWorld(t *testing.T) *world {
	t.Helper()
	model.Do(func() {
		dir, err := os.MkdirTemp("", "fsck-world-")
		require.NoError(t, err)
		model.copies = pgtest.Copies(t, func(db *pgtest.Database) {
			model.world = openWorld(t, db, dir)
			model.world.fill(t)
		})
	})
	w := openWorld(t, model.copies(t), t.TempDir())
	require.NoError(t, os.CopyFS(w.dir, os.DirFS(model.world.dir)))
	maps.Copy(w.ended, model.world.ended)
	return w
}

func TestMain(m *testing.M) {
	code := testkit.Main(m)
	if model.world != nil {
		os.RemoveAll(model.world.dir) //nolint:errcheck // a test's directory
	}
	os.Exit(code)
}

func openWorld(t *testing.T, db *pgtest.Database, dir string) *world {
	t.Helper()
	w := &world{Database: db, dir: dir, runs: postgres.NewRuns(db.DB), exec: postgres.NewExecution(db.DB),
		ended: map[string]export.Run{}}
	var err error
	w.objects, err = files.Open(w.dir, clock.Fixed(now), rand.Reader)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.objects.Close()) })
	return w
}

func (w *world) fill(t *testing.T) {
	t.Helper()
	book := postgres.NewLedger(w.DB)
	for _, tenant := range []string{acme, globex} {
		_, err := book.Import(t.Context(), tenant, documents(t))
		require.NoError(t, err)
	}
	for i, tenant := range []string{acme, globex} {
		w.ended[tenant] = w.export(t, tenant, i+1)
		aborted := w.startedOf(t, tenant, i+11, w.profile(t, tenant, i))
		require.NoError(t, w.exec.Pin(t.Context(), w.begin(t, aborted, export.PhaseAdapt), bundle.DigestOf([]byte("partial")), 7))
		w.abort(t, aborted)
		w.activities(t).discard(t, aborted)
	}
	w.keepRecords(t)
	for _, tenant := range []string{acme, globex} {
		w.snapshot(t, tenant)
	}
}

// snapshot keeps a policy pack.
func (w *world) snapshot(t *testing.T, tenant string) {
	t.Helper()
	pack := []byte("a pack")
	_, _, err := postgres.NewPolicySnapshots(w.DB).ImportSnapshot(t.Context(), export.PolicySnapshot{Tenant: tenant, ID: snapshotID, Name: "blocking", Version: "1",
		Digest: bundle.DigestOf(pack).String(), Bytes: int64(len(pack)), CreatedBy: "test", CreatedAt: now}, pack, storage.Idempotency{})
	require.NoError(t, err)
}

const snapshotID = "0195f000-0000-7000-a000-000000000001"

// profile makes a tenant's own profile, and changes it once.
func (w *world) profile(t *testing.T, tenant string, n int) export.Profile {
	t.Helper()
	profiles := postgres.NewProfiles(w.DB)
	made, _, err := profiles.CreateProfile(t.Context(), export.Profile{Tenant: tenant, ID: fmt.Sprintf("0195f000-0000-7000-9000-%012d", n),
		Name: "nightly", Kind: "json", Variant: "raw", CreatedBy: "test", CreatedAt: now}, storage.Idempotency{})
	require.NoError(t, err)
	changed, err := profiles.ChangeProfile(t.Context(), tenant, made.ID, storage.ProfileChange{By: "test", At: now,
		Config: &export.ProfileConfig{Include: []string{"advisories"}}})
	require.NoError(t, err)
	require.Equal(t, 2, changed.Revision)
	return changed
}

// keepRecords is what the tenants, and whoever manages them, did; it is signed.
func (w *world) keepRecords(t *testing.T) {
	t.Helper()
	for _, chain := range []string{acme, globex, audit.Installation} {
		var entries []audit.Entry
		for i := range 4 {
			entries = append(entries, audit.Entry{At: now, Event: audit.CallRefused, RequestID: fmt.Sprint(i), Subject: "test", Operation: "CreateRun", Method: "POST"})
		}
		require.NoError(t, postgres.NewAudit(w.DB).Append(t.Context(), chain, entries))
	}
	w.notarise(t, now)
}

func (w *world) notarise(t *testing.T, at time.Time) {
	t.Helper()
	notary := worker.Notary{Chains: postgres.NewNotary(w.DB), Signer: signer(t), Clock: clock.Fixed(at), Log: slog.New(slog.DiscardHandler)}
	require.NoError(t, notary.SignAll(t.Context()))
}

func documents(t *testing.T) []ledger.Observation {
	t.Helper()
	var all []ledger.Observation
	for i := range 5 {
		raw := fmt.Appendf(nil, `{"modified": "2026-01-01T00:00:00Z", "id": "EX-%d", "aliases": ["CVE-2026-%d"],
			"affected": [{"package": {"ecosystem": "npm", "name": "p%d"}}]}`, i, i, i%2)
		o, err := osv.Parse(ledger.Entry{Stream: "s", File: "f", Name: "n", Bytes: raw})
		require.NoError(t, err)
		all = append(all, o)
	}
	return all
}

func runID(n int) string { return fmt.Sprintf("0195f000-0000-7000-8000-%012d", n) }

func (w *world) create(t *testing.T, tenant string, n int) export.Ref {
	t.Helper()
	profile, ok := export.BuiltinProfile("json:raw")
	require.True(t, ok)
	return w.createOf(t, tenant, n, profile)
}

func (w *world) createOf(t *testing.T, tenant string, n int, profile export.Profile) export.Ref {
	t.Helper()
	run, _, err := w.runs.CreateRun(t.Context(), export.Run{Tenant: tenant, ID: runID(n),
		ProfileID: profile.ID, ProfileRevision: profile.Revision, ProfileName: profile.Name, Kind: profile.Kind, Variant: profile.Variant,
		RequestedBy: "test", RequestedAt: now, State: export.StatePending}, storage.Idempotency{Key: fmt.Sprint("key-", n), RequestHash: bundle.DigestOf([]byte{byte(n)})})
	require.NoError(t, err)
	return run.Ref()
}

func (w *world) begin(t *testing.T, ref export.Ref, phase export.Phase) storage.Claim {
	t.Helper()
	claim, _, err := w.exec.Begin(t.Context(), ref, phase, 1)
	require.NoError(t, err)
	return claim
}

func (w *world) started(t *testing.T, tenant string, n int) export.Ref {
	t.Helper()
	return w.begun(t, w.create(t, tenant, n))
}

func (w *world) startedOf(t *testing.T, tenant string, n int, profile export.Profile) export.Ref {
	t.Helper()
	return w.begun(t, w.createOf(t, tenant, n, profile))
}

func (w *world) begun(t *testing.T, ref export.Ref) export.Ref {
	t.Helper()
	_, err := w.exec.Start(t.Context(), w.begin(t, ref, export.PhasePlan), 5, now)
	require.NoError(t, err)
	return ref
}

func (w *world) abort(t *testing.T, ref export.Ref) {
	t.Helper()
	_, err := w.exec.Finish(t.Context(), w.begin(t, ref, export.PhaseEmitTimeline), storage.Outcome{
		State: export.StateAborted, Message: "cancelled", At: now, Cancel: &export.Cancellation{By: "test", Reason: "test", At: now},
		Timeline: []export.TimelineEvent{{EventID: export.TimelineEventID(ref, export.TransitionFailed), TenantID: ref.Tenant,
			EventType: export.TransitionFailed, RunID: ref.RunID}}})
	require.NoError(t, err)
}

type walker struct{ *activities.Export }

// signer is the installation's.
func signer(t *testing.T) signing.Signer {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32)) // a published key: it protects nothing
	require.NoError(t, err)
	signer, err := signing.NewSigner(key)
	require.NoError(t, err)
	return signer
}

func (w *world) activities(t *testing.T) walker {
	t.Helper()
	registry, err := adapters.NewRegistry(jsonraw.Adapter{})
	require.NoError(t, err)
	return walker{&activities.Export{Ledger: postgres.NewLedger(w.DB), Execution: w.exec, Objects: w.objects, Signer: signer(t),
		Adapters: registry, Clock: clock.Fixed(now), Log: slog.New(slog.DiscardHandler), Version: "test"}}
}

func (a walker) do(t *testing.T, activity, in any) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(a.Export)
	_, err := env.ExecuteActivity(activity, in)
	require.NoError(t, err)
}

func (a walker) discard(t *testing.T, ref export.Ref) {
	t.Helper()
	a.do(t, a.Discard, activities.PhaseInput{Ref: ref})
}

// export runs an export to its end.
func (w *world) export(t *testing.T, tenant string, n int) export.Run {
	t.Helper()
	ref, a := w.create(t, tenant, n), w.activities(t)
	for _, phase := range []any{a.Plan, a.Resolve, a.Adapt, a.Manifest, a.Sign, a.Distribute} {
		a.do(t, phase, activities.PhaseInput{Ref: ref})
	}
	a.do(t, a.EmitTimeline, activities.EmitTimelineInput{Ref: ref})
	run, err := w.runs.GetRun(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, export.StateSucceeded, run.State)
	return run
}

// look looks at the world, two hours after its runs.
func (w *world) look(t *testing.T, deep bool) (fsck.Looked, []fsck.Divergence) {
	t.Helper()
	return w.lookAt(t, now.Add(later), fsck.DefaultPatience, deep)
}

func (w *world) lookAt(t *testing.T, at time.Time, patience time.Duration, deep bool) (fsck.Looked, []fsck.Divergence) {
	t.Helper()
	survey, err := files.OpenSurvey(w.dir)
	require.NoError(t, err)
	defer survey.Close() //nolint:errcheck // read only
	return run(t, fsck.Check{Records: postgres.NewSurvey(w.DB), Files: survey, Clock: clock.Fixed(at), Patience: patience, Deep: deep})
}

// healthy wants nothing to be found.
func (w *world) healthy(t *testing.T) {
	t.Helper()
	_, found := w.look(t, true)
	require.Empty(t, found)
}

// repair looks deep at the world, two hours after its runs, and mends it.
func (w *world) repair(t *testing.T) []fsck.Divergence {
	t.Helper()
	return w.repairAt(t, now.Add(later))
}

func (w *world) repairAt(t *testing.T, at time.Time) []fsck.Divergence {
	t.Helper()
	survey, err := files.OpenSurvey(w.dir)
	require.NoError(t, err)
	defer survey.Close() //nolint:errcheck // read only
	mend, err := files.OpenRepair(w.dir)
	require.NoError(t, err)
	defer mend.Close() //nolint:errcheck // test
	_, found := run(t, fsck.Check{Records: postgres.NewSurvey(w.DB), Files: survey, Clock: clock.Fixed(at),
		Patience: fsck.DefaultPatience, Deep: true, Repairs: repairs{postgres.NewRepair(w.DB), mend}})
	return found
}

type repairs struct {
	*postgres.Repair
	*fileRepair
}

type fileRepair = files.Repair

func run(t *testing.T, check fsck.Check) (fsck.Looked, []fsck.Divergence) {
	t.Helper()
	var found []fsck.Divergence
	looked, err := check.Run(t.Context(), func(d fsck.Divergence) error {
		found = append(found, d)
		return nil
	})
	require.NoError(t, err)
	return looked, found
}

// sql changes the database behind everybody's back: as the superuser, without
// triggers and foreign keys.
func (w *world) sql(t *testing.T, statement string, args ...any) {
	t.Helper()
	conn := w.admin(t)
	_, err := conn.Exec(t.Context(), "set session_replication_role = replica")
	require.NoError(t, err)
	tag, err := conn.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
	require.EqualValues(t, 1, tag.RowsAffected(), statement)
}

// admin is a connection as the superuser, one for the whole test.
func (w *world) admin(t *testing.T) *pgx.Conn {
	t.Helper()
	if w.super == nil {
		conn, err := pgx.Connect(t.Context(), w.Admin)
		require.NoError(t, err)
		w.super = conn
		t.Cleanup(func() { conn.Close(context.Background()) }) //nolint:errcheck // test
	}
	return w.super
}

// entry gives an entry of a tenant's bundle.
func (w *world) entry(t *testing.T, tenant, path string) storage.File {
	t.Helper()
	entries, err := w.runs.Files(t.Context(), w.ended[tenant].Ref())
	require.NoError(t, err)
	for _, e := range entries {
		if e.Path == path || path == "" && e.Payload {
			return e
		}
	}
	require.Fail(t, "no such entry", path)
	return storage.File{}
}

func (w *world) path(tenant string, digest bundle.Digest) string {
	return filepath.Join(w.dir, storage.Namespace(tenant), "sha256", digest.Hex()[:2], digest.Hex())
}

// write replaces or makes a file of the store.
func (w *world) write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	if err := os.Remove(path); err != nil {
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	require.NoError(t, os.Chtimes(path, now, now))
}
