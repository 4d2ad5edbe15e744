package activities

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

// guardHouse is what the guard needs of runs: plans and counts by run, what it saved, and
// how often a blob was opened.
type guardHouse struct {
	storage.Execution
	storage.Objects
	run     export.Run
	last    *export.Run
	plans   map[string][]storage.Shard
	sources map[string][]export.SourceCount
	saved   *storage.Guarded
	opened  int
}

func (g *guardHouse) BeginPart(_ context.Context, ref export.Ref, phase export.Phase, part string, attempt int64) (storage.Claim, export.Run, error) {
	return storage.Claim{Ref: ref, Phase: phase, Part: part, Attempt: attempt}, g.run, nil
}

func (g *guardHouse) Plan(_ context.Context, ref export.Ref) (bundle.Digest, []storage.Shard, error) {
	shards, ok := g.plans[ref.RunID]
	if !ok {
		return bundle.Digest{}, nil, storage.ErrNotFound
	}
	return bundle.Digest{}, shards, nil
}

func (g *guardHouse) Sources(_ context.Context, ref export.Ref) ([]export.SourceCount, error) {
	return g.sources[ref.RunID], nil
}

func (g *guardHouse) LastGuarded(context.Context, export.Run) (export.Run, error) {
	if g.last == nil {
		return export.Run{}, storage.ErrNotFound
	}
	return *g.last, nil
}

func (g *guardHouse) Guarded(context.Context, export.Ref) (storage.Guarded, error) {
	if g.saved == nil {
		return storage.Guarded{}, storage.ErrNotFound
	}
	return *g.saved, nil
}

func (g *guardHouse) SaveGuard(_ context.Context, _ storage.Claim, found storage.Guarded) (export.Run, error) {
	g.saved = &found
	if found.Parked {
		g.run.State, g.run.Wait = export.StateWaiting, &export.Wait{Since: found.At, Until: found.Until}
	}
	return g.run, nil
}

func (g *guardHouse) Open(ctx context.Context, tenant string, digest bundle.Digest) (storage.Blob, error) {
	g.opened++
	return g.Objects.Open(ctx, tenant, digest)
}

const (
	thisRun = "0190c0de-0000-7000-8000-000000000002"
	lastRun = "0190c0de-0000-7000-8000-000000000001"
)

func newGuardHouse() *guardHouse {
	return &guardHouse{Objects: storagetest.NewObjects(), plans: map[string][]storage.Shard{}, sources: map[string][]export.SourceCount{},
		run:  export.Run{Tenant: "acme", ID: thisRun, State: export.StateRunning, RequestedAt: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)},
		last: &export.Run{Tenant: "acme", ID: lastRun, State: export.StateSucceeded}}
}

func (g *guardHouse) export() *Export {
	return &Export{Execution: g, Objects: g, Clock: clock.Fixed(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)), Log: slog.New(slog.DiscardHandler)}
}

// doc is a document of an intermediate shard.
type doc struct {
	id      string
	records int
	aliases []string
}

// shard packs documents as adapters of intermediate lines do.
func (g *guardHouse) shard(t testing.TB, source string, docs ...doc) storage.Shard {
	t.Helper()
	return g.packed(t, source, len(docs), func(w *bundle.PayloadWriter) {
		for _, d := range docs {
			line, err := adapters.AppendDocument(nil, ledger.Line{Row: ledger.Row{Kind: ledger.KindAdvisory, UpstreamID: d.id, Source: "osv"}, Aliases: d.aliases}, int64(d.records))
			require.NoError(t, err)
			require.NoError(t, w.WriteLine(line))
			for n := range d.records {
				require.NoError(t, w.WriteLine(fmt.Appendf(nil, "r %s %d", d.id, n)))
			}
		}
	})
}

// evidence packs documents as json:raw does, with a text that differs between runs.
func (g *guardHouse) evidence(t testing.TB, text string, ids ...string) storage.Shard {
	t.Helper()
	packer, err := jsonraw.Adapter{}.Packer(export.Options{})
	require.NoError(t, err)
	return g.packed(t, "ledger", len(ids), func(w *bundle.PayloadWriter) {
		for _, id := range ids {
			content := fmt.Appendf(nil, `{"id":%q,"summary":%q}`, id, text)
			_, err := packer.Write(w, ledger.Line{Canonical: content, Format: "osv", RawBytes: int64(len(content)),
				Row: ledger.Row{Kind: ledger.KindAdvisory, UpstreamID: id, Source: "osv", Stream: "go", Digest: bundle.DigestOf(content)}})
			require.NoError(t, err)
		}
	})
}

func (g *guardHouse) packed(t testing.TB, source string, documents int, write func(*bundle.PayloadWriter)) storage.Shard {
	t.Helper()
	staged, err := g.Stage(t.Context(), "acme")
	require.NoError(t, err)
	w, err := bundle.NewPayloadWriter(staged)
	require.NoError(t, err)
	write(w)
	info, err := w.Close()
	require.NoError(t, err)
	require.NoError(t, staged.Publish(t.Context()))
	return storage.Shard{Name: "s", Kind: "advisory", Source: source, Count: int64(documents),
		Result: &storage.File{Digest: info.Digest, Size: info.Size, ContentDigest: info.ContentDigest, ContentSize: info.ContentSize}}
}

// guard runs the activity.
func (g *guardHouse) guard(t testing.TB) (GuardResult, error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	e := g.export()
	env.RegisterActivity(e.Guard)
	value, err := env.ExecuteActivity(e.Guard, PhaseInput{Ref: g.run.Ref()})
	var result GuardResult
	if err == nil {
		require.NoError(t, value.Get(&result))
	}
	return result, err
}

func TestGuardListsWhatDisappeared(t *testing.T) {
	g := newGuardHouse()
	same := g.shard(t, "ledger", doc{id: "A1", records: 1}, doc{id: "A2", records: 1})
	g.plans[lastRun] = []storage.Shard{same,
		g.shard(t, "ledger", doc{id: "B1", records: 2}, doc{id: "B2", records: 1}, doc{id: "B3", records: 0}, doc{id: "B4", records: 1}),
		g.shard(t, "ledger", doc{id: "C1", records: 1}, doc{id: "C2", records: 1}),
		g.shard(t, "acme/web", doc{id: "B1", records: 1})}
	// Cut in other places, with a new one, one withdrawn, one stated again, and two gone.
	g.plans[thisRun] = []storage.Shard{same,
		g.shard(t, "ledger", doc{id: "B0", records: 1}, doc{id: "B1", records: 2}),
		g.shard(t, "ledger", doc{id: "B3", records: 1}, doc{id: "B4", records: 0}, doc{id: "C1", records: 1})}
	result, err := g.guard(t)
	require.NoError(t, err)
	require.False(t, result.Parked, "what disappears is told, and is no reason by itself")
	require.Equal(t, export.Disappeared{Total: 4, Documents: []export.GoneDocument{
		{ID: "B2", Source: "osv"}, {ID: "B4", Source: "osv", Withdrawn: true}, {ID: "C2", Source: "osv"}, {ID: "B1", Source: "osv"}}}, g.saved.Report.Disappeared)
	require.Equal(t, &export.GuardBaseline{RunID: lastRun}, g.saved.Report.Baseline)
	require.Equal(t, 5, g.opened, "what both have is not read")
}

// TestGuardListsWhatDisappearedOfEvidence: of a mirror's lines the ends are read.
func TestGuardListsWhatDisappearedOfEvidence(t *testing.T) {
	g := newGuardHouse()
	odd := `Y","upstreamId":"Z`
	same := g.evidence(t, "one", "A1", "A2")
	g.plans[lastRun] = []storage.Shard{same, g.evidence(t, "one", "B1", "B2", "B3"), g.evidence(t, "one", "C1", odd)}
	g.plans[thisRun] = []storage.Shard{same, g.evidence(t, "two", "B0", "B1", "B3", "B4"), g.evidence(t, "two", odd)}
	_, err := g.guard(t)
	require.NoError(t, err)
	require.Equal(t, export.Disappeared{Total: 2, Documents: []export.GoneDocument{{ID: "B2", Source: "osv"}, {ID: "C1", Source: "osv"}}}, g.saved.Report.Disappeared)

	g.saved = nil
	g.plans[thisRun] = []storage.Shard{g.evidence(t, "two", "B1", "B0")}
	_, err = g.export().guard(t.Context(), g.run.Ref())
	require.ErrorContains(t, err, "stands behind")

	g.plans[thisRun][0] = g.evidence(t, "two", "B0", "B1")
	g.plans[thisRun][0].Count++
	_, err = g.export().guard(t.Context(), g.run.Ref())
	require.ErrorContains(t, err, "document lines for 3 documents")
}

func TestGuardParksARunThatShrank(t *testing.T) {
	g := newGuardHouse()
	g.plans[lastRun], g.plans[thisRun] = nil, nil
	g.sources[lastRun] = []export.SourceCount{{Source: "osv", Kind: "advisory", Documents: 10, Records: 10}}
	g.sources[thisRun] = []export.SourceCount{{Source: "osv", Kind: "advisory", Documents: 8, Records: 10}}
	g.run.Guard = &export.GuardConfig{ExpiresHours: 3}
	result, err := g.guard(t)
	require.NoError(t, err)
	until := time.Date(2026, 3, 2, 3, 0, 0, 0, time.UTC)
	require.Equal(t, GuardResult{Parked: true, Until: until}, result)
	require.Len(t, g.saved.Report.Reasons, 1)
	// Once is once: whoever decides has read this report.
	g.sources[thisRun][0].Documents = 10
	again, err := g.guard(t)
	require.NoError(t, err)
	require.Equal(t, result, again)
	require.Len(t, g.saved.Report.Reasons, 1)
}

func TestGuardLooksForCanaries(t *testing.T) {
	g := newGuardHouse()
	g.last = nil
	g.plans[thisRun] = []storage.Shard{g.shard(t, "ledger", doc{"A1", 1, []string{"CVE-1"}}, doc{"A2", 0, []string{"CVE-2"}}), g.shard(t, "ledger", doc{"A3", 1, []string{"CVE-3"}})}
	for _, test := range []struct {
		canary string
		found  bool
		opened int
	}{{"A1", true, 1}, {"CVE-1", true, 1}, {"A2", false, 2}, {"CVE-2", false, 2}, {"CVE-3", true, 2}, {"cve-1", false, 2}, {"CVE-", false, 2}} {
		g.run.Guard, g.run.State, g.run.Wait, g.saved, g.opened = &export.GuardConfig{Canaries: []string{test.canary}}, export.StateRunning, nil, nil, 0
		result, err := g.guard(t)
		require.NoError(t, err)
		require.Equal(t, !test.found, result.Parked, test.canary)
		require.Equal(t, []export.GuardCanary{{ID: test.canary, Found: test.found}}, g.saved.Report.Canaries)
		require.Equal(t, test.opened, g.opened, "%s: read until it is found", test.canary)
	}
}

// What cannot be told is said: a last run whose bytes are damaged keeps no run from
// being looked at, whose own must be as they were packed.
func TestGuardSaysWhatItCannotTell(t *testing.T) {
	g := newGuardHouse()
	old := g.shard(t, "ledger", doc{id: "A1", records: 1})
	g.plans[thisRun] = nil
	_, err := g.guard(t) // the last run has no plan any more
	require.NoError(t, err)
	require.Contains(t, g.saved.Report.Disappeared.Unknown, "not kept any more")

	g.saved, g.last.State = nil, export.StateExpired
	gone := old
	gone.Result = &storage.File{Digest: bundle.DigestOf([]byte("x")), Size: 1, ContentDigest: bundle.DigestOf([]byte("y"))}
	g.plans[lastRun] = []storage.Shard{gone}
	_, err = g.guard(t)
	require.NoError(t, err)
	require.Contains(t, g.saved.Report.Disappeared.Unknown, "cannot be read")

	g.last.State = export.StateSucceeded
	fewer, behind, rotten := old, g.shard(t, "ledger", doc{id: "A2", records: 1}, doc{id: "A1", records: 1}), old
	fewer.Count = 2
	file := *old.Result
	file.ContentDigest = bundle.DigestOf([]byte("others"))
	rotten.Result = &file
	for name, bad := range map[string]storage.Shard{"not as many as planned": fewer, "another order": behind, "other bytes": rotten, "no blob": gone} {
		g.saved, g.plans[lastRun], g.plans[thisRun] = nil, []storage.Shard{bad}, nil
		_, err = g.guard(t)
		require.NoError(t, err, name)
		require.Contains(t, g.saved.Report.Disappeared.Unknown, "cannot be read", name)
	}
	g.saved, g.plans[lastRun], g.plans[thisRun] = nil, []storage.Shard{old}, []storage.Shard{gone}
	_, err = g.guard(t)
	require.Error(t, err, "the run's own; that all of its bytes are there Assemble has seen")
	require.Nil(t, g.saved)
}

func TestGoneListsAreBounded(t *testing.T) {
	var g goneList
	for i := range export.MaxDisappeared + 3 {
		g.add(adapters.Document{ID: fmt.Sprint(i)}, false)
	}
	require.Len(t, g.Documents, export.MaxDisappeared)
	require.EqualValues(t, export.MaxDisappeared+3, g.Total)
	g = goneList{}
	for range 3 {
		g.add(adapters.Document{ID: string(make([]byte, export.MaxDisappearedBytes/2))}, true)
	}
	require.Len(t, g.Documents, 2)
	require.EqualValues(t, 3, g.Total)
}

// What a signal says, and what it need not.
func TestDecisionsOfSignals(t *testing.T) {
	now := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for _, says := range []*export.Decision{nil, {}, {By: "the API", Reason: "as the run's row says"}, {Verdict: "APPROVED", By: "kim"}, {Verdict: export.VerdictExpired, By: "kim"}} {
		require.Nil(t, decisionOf(SettleInput{Decision: says}, now), "%v", says)
	}
	whole := export.Decision{Verdict: export.VerdictRejected, By: "kim", Reason: "no", At: now.Add(-time.Hour)}
	require.Equal(t, &whole, decisionOf(SettleInput{Decision: &whole}, now))
	require.Equal(t, &export.Decision{Verdict: export.VerdictApproved, By: "temporal", Reason: "signalled in Temporal", At: now},
		decisionOf(SettleInput{Decision: &export.Decision{Verdict: export.VerdictApproved}}, now))
	require.Equal(t, export.VerdictExpired, decisionOf(SettleInput{Expired: true, Decision: &whole}, now).Verdict)
}

// A run that does not go on has a code of its own; who rejected it is not in a history,
// and is in the row.
func TestFailuresOfAWait(t *testing.T) {
	run := export.Run{Wait: &export.Wait{}}
	require.NoError(t, refusal(run))
	run.Wait.Decision = &export.Decision{Verdict: export.VerdictApproved}
	require.NoError(t, refusal(run))
	for verdict, code := range map[export.Verdict]export.Code{export.VerdictRejected: export.CodeRejected, export.VerdictExpired: export.CodeUndecided} {
		run.Wait.Decision = &export.Decision{Verdict: verdict, By: "kim", Reason: "a secret"}
		err := refusal(run)
		require.Equal(t, code, export.CodeOf(err))
		require.False(t, export.ClassOf(err).Retryable())
		require.NotContains(t, err.Error(), "kim")
		require.NotContains(t, err.Error(), "secret")
		failure := FailureOf(err, export.PhaseGuard)
		full := inFull(&failure, run)
		require.Equal(t, verdict == export.VerdictRejected, full.Message == "rejected by kim: a secret", full.Message)
	}
	require.Nil(t, inFull(nil, run))
	other := &export.Failure{Code: export.CodeInternal}
	require.Equal(t, other, inFull(other, run))
}
