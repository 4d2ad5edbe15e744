package e2e

import (
	"bytes"
	"crypto/rand"
	"io/fs"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/sample"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// redactor is a ledger of sample documents, and what exports them.
type redactor struct {
	runs      *postgres.Runs
	objects   *files.Store
	exporting *activities.Export
	documents int
}

func newRedactor(t *testing.T) *redactor {
	t.Helper()
	db := pgtest.New(t)
	paths, err := fs.Glob(sample.OSV, "osv/*.json")
	require.NoError(t, err)
	var all []ledger.Observation
	for _, path := range paths {
		raw, err := sample.OSV.ReadFile(path)
		require.NoError(t, err)
		o, err := parseEvidence(ledger.Entry{Stream: "sample", Bytes: raw})
		require.NoError(t, err)
		all = append(all, o)
	}
	vex, err := parseEvidence(ledger.Entry{Bytes: []byte(`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://v.example/1","author":"somebody",` +
		`"timestamp":"2026-01-01T00:00:00Z","statements":[{"vulnerability":{"name":"CVE-1"},"status":"fixed","products":[{"@id":"pkg:npm/a@1"}]}]}`)})
	require.NoError(t, err)
	book := postgres.NewLedger(db.DB)
	importAll(t, book, append(all, vex), 1)
	objects, err := files.Open(t.TempDir(), clock.Fixed(twinTime), rand.Reader)
	require.NoError(t, err)
	registry, err := adapters.NewRegistry(jsonraw.Adapter{})
	require.NoError(t, err)
	return &redactor{runs: postgres.NewRuns(db.DB), objects: objects, documents: len(all) + 1,
		exporting: &activities.Export{Ledger: book, Execution: postgres.NewExecution(db.DB), Objects: objects,
			Signer: twinKey(t), Adapters: registry, Clock: clock.Fixed(twinTime), Log: slog.New(slog.DiscardHandler), Version: "test"}}
}

// export runs an export and gives its archive, or the error of the phase that failed.
func (r *redactor) export(t *testing.T, id string, options export.Options) ([]byte, error) {
	t.Helper()
	profile, ok := export.BuiltinProfile("json:raw")
	require.True(t, ok)
	ref := export.Ref{Tenant: twinRef.Tenant, RunID: id}
	_, _, err := r.runs.CreateRun(t.Context(), export.Run{Tenant: ref.Tenant, ID: id, Options: options,
		ProfileID: profile.ID, ProfileRevision: profile.Revision, ProfileName: profile.Name, Kind: profile.Kind, Variant: profile.Variant,
		RequestedBy: "tester", RequestedAt: twinTime, State: export.StatePending}, storage.Idempotency{})
	require.NoError(t, err)
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(r.exporting)
	for _, phase := range []any{r.exporting.Plan, r.exporting.Resolve, r.exporting.Adapt, r.exporting.Manifest, r.exporting.Sign, r.exporting.Distribute} {
		if _, err := env.ExecuteActivity(phase, activities.PhaseInput{Ref: ref}); err != nil {
			return nil, err
		}
	}
	_, err = env.ExecuteActivity(r.exporting.EmitTimeline, activities.EmitTimelineInput{Ref: ref})
	require.NoError(t, err)
	entries, err := r.runs.Files(t.Context(), ref)
	require.NoError(t, err)
	members := make([]bundle.Member, len(entries))
	for i, e := range entries {
		members[i] = e.Member()
	}
	view, err := bundle.NewView(members, func(m bundle.Member) (bundle.Source, error) {
		return r.objects.Open(t.Context(), ref.Tenant, m.Digest)
	})
	require.NoError(t, err)
	defer view.Close()
	archive := make([]byte, view.Size())
	_, err = view.ReadAt(archive, 0)
	require.NoError(t, err)
	return archive, nil
}

// proved verifies an archive, its lines included.
func proved(t *testing.T, archive []byte) verify.Report {
	t.Helper()
	key, err := signing.ParsePublicKey(twinKey(t).PublicKeyPEM())
	require.NoError(t, err)
	report, err := verify.Reader(t.Context(), bytes.NewReader(archive), int64(len(archive)), verify.Trust{key}, verify.WithEvidence())
	require.NoError(t, err)
	return report
}

// Whole and redacted exports of one ledger stand beside each other: neither is
// ever packed from the other's shards, and each says what it is.
func TestRedactedAndWholeExportsAreKeptApart(t *testing.T) {
	r := newRedactor(t)
	whole, err := r.export(t, "0190c0de-0000-7000-8000-00000000000a", export.Options{})
	require.NoError(t, err)
	redaction := &export.Redaction{PolicyID: "acme/public", Linkset: []string{"products"}, Allow: map[string][]string{"advisory": {"id", "affected[].package"}, "vex": {"*"}}}
	redacted, err := r.export(t, "0190c0de-0000-7000-8000-00000000000b", export.Options{Redaction: redaction})
	require.NoError(t, err)
	again, err := r.export(t, "0190c0de-0000-7000-8000-00000000000c", export.Options{})
	require.NoError(t, err)
	other := *redaction
	other.Allow = map[string][]string{"advisory": {"*"}, "vex": {"*"}}
	more, err := r.export(t, "0190c0de-0000-7000-8000-00000000000d", export.Options{Redaction: &other})
	require.NoError(t, err)

	first, second, third := proved(t, whole), proved(t, redacted), proved(t, again)
	require.Zero(t, first.Evidence.Redacted)
	require.EqualValues(t, r.documents, second.Evidence.Redacted)
	require.Equal(t, first.PayloadDigest, third.PayloadDigest)
	require.NotEqual(t, first.PayloadDigest, second.PayloadDigest)
	require.NotEqual(t, second.PayloadDigest, proved(t, more).PayloadDigest, "the same name, another list")

	require.NotContains(t, string(whole), `"redaction"`)
	require.Contains(t, string(redacted), `"policyId":"acme/public"`)
	for _, archive := range [][]byte{whole, redacted} {
		require.Contains(t, string(archive), "| 1 | openvex/default | not known to this program | licence not known to this program; ask the publisher |")
	}
	require.Contains(t, string(redacted), "Fields were left out")
}

// A kind the policy forgot fails the run, in words for the person who asked.
func TestAKindWithoutAListFailsTheRun(t *testing.T) {
	r := newRedactor(t)
	_, err := r.export(t, "0190c0de-0000-7000-8000-00000000000a", export.Options{
		Redaction: &export.Redaction{PolicyID: "acme/public", Allow: map[string][]string{"advisory": {"id"}}}})
	var failed *temporal.ApplicationError
	require.ErrorAs(t, err, &failed)
	require.True(t, failed.NonRetryable())
	var failure export.Failure
	require.NoError(t, failed.Details(&failure))
	require.Equal(t, export.CodeValidation, failure.Code)
	require.Contains(t, failure.Message, "options.redaction.allow.vex")
}
