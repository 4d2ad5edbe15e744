package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/profiles"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

var everyProject = map[string][]string{"demo": {"_"}, "globex": {"_", "p", "q"}}

// The evidence of two tenants in one bundle: the same bytes whatever the order of
// import, and whether shards were packed or taken over; each tenant's in its own
// place, also a document that both have; the approval is in it, and verified.
func TestCrossTenantTwins(t *testing.T) {
	var archives [][]byte
	for _, seed := range []string{"", "1"} {
		s := openStreet(t, seed, approving("globex", ""))
		run := s.ask(t, twinRef.RunID, export.Selectors{}, everyProject)
		require.NoError(t, s.walk(t, run, nil))
		archives = append(archives, s.archive(t, run.Ref()))
		if seed != "" {
			continue
		}
		held := s.held(t, run.Ref())
		require.Len(t, held, 4)
		for dir, ids := range held {
			require.Len(t, ids, 62, dir)
			require.Contains(t, ids, "OSV-SHARED", "%s: a document that both have is each one's own", dir)
		}
		key, err := signing.ParsePublicKey(s.approver.PublicKeyPEM())
		require.NoError(t, err)
		signer, err := signing.ParsePublicKey(twinKey(t).PublicKeyPEM())
		require.NoError(t, err)
		report, err := verify.Reader(t.Context(), bytes.NewReader(archives[0]), int64(len(archives[0])), verify.Trust{signer}, verify.WithEvidence(), verify.WithApprovers(verify.Trust{key}))
		require.NoError(t, err)
		require.Equal(t, []verify.Approval{{Tenant: "globex", Approver: "ops@example.org", ExpiresAt: "2199-01-01T00:00:00Z", KeyID: key.KeyID(), Verified: true}}, report.Approvals)
		_, err = verify.Reader(t.Context(), bytes.NewReader(archives[0]), int64(len(archives[0])), verify.Trust{signer}, verify.WithApprovers(verify.Trust{signer}))
		require.ErrorContains(t, err, "signature of the approver", "the exporter approves nothing")

		t.Run("again, from what was packed", func(t *testing.T) {
			again := s.ask(t, "0190c0de-0000-7000-8000-000000000002", export.Selectors{}, everyProject)
			require.NoError(t, s.walk(t, again, nil))
			_, shards, err := s.runs.Planned(t.Context(), again.Ref(), 0, 1000)
			require.NoError(t, err)
			for _, shard := range shards {
				require.True(t, shard.Reused, shard.Name)
			}
			first, err := s.runs.GetRun(t.Context(), run.Ref())
			require.NoError(t, err)
			second, err := s.runs.GetRun(t.Context(), again.Ref())
			require.NoError(t, err)
			require.Equal(t, first.Result.PayloadDigest, second.Result.PayloadDigest)
		})
		t.Run("shards of two tenants are never one", func(t *testing.T) {
			only := export.Selectors{Include: []string{"OSV-SHARED"}}
			alone := s.ask(t, "0190c0de-0000-7000-8000-000000000003", only, map[string][]string{"demo": {"_"}, "globex": {"_"}})
			require.NoError(t, s.walk(t, alone, nil))
			_, shards, err := s.runs.Planned(t.Context(), alone.Ref(), 0, 10)
			require.NoError(t, err)
			require.Len(t, shards, 2)
			require.NotEqual(t, shards[0].Hash, shards[1].Hash, "the same document, of two")
			require.False(t, shards[0].Reused || shards[1].Reused)
		})
	}
	require.Equal(t, bundle.DigestOf(archives[0]), bundle.DigestOf(archives[1]))
}

// An approval of a project lets that project be read, whatever else its tenant has,
// and nothing of a third tenant; every selector narrows each tenant's evidence alike.
func TestNothingBesidesTheApprovedIsRead(t *testing.T) {
	s := openStreet(t, "", approving("globex", "p"))
	run := s.ask(t, twinRef.RunID, export.Selectors{Kinds: []string{"advisory"}}, map[string][]string{"demo": {"_"}, "globex": {"p"}})
	for tenant, project := range map[string]string{"demo": "", "globex": "p"} { // later than the request
		o, err := parseEvidence(ledger.Entry{Source: "s", Stream: "t", Bytes: []byte(`{"id":"OSV-LATER","modified":"2026-01-01T00:00:00Z","affected":[]}`)})
		require.NoError(t, err)
		o.Project = project
		_, err = s.exporting.Ledger.Import(t.Context(), tenant, []ledger.Observation{o})
		require.NoError(t, err)
	}
	require.NoError(t, s.walk(t, run, nil))
	ended, err := s.runs.GetRun(t.Context(), run.Ref())
	require.NoError(t, err)
	require.Equal(t, run.Reach.Readings[0].AsOf, ended.AsOf, "as of the request, the own evidence too")
	held := s.held(t, run.Ref())
	require.Len(t, held, 2)
	require.Len(t, held["data/raw"], 61)
	require.Len(t, held["data/tenants/globex/p"], 61)

	for i, reach := range []map[string][]string{{"demo": {"_"}, "globex": {"p", "q"}}, {"demo": {"_"}, "globex": {"_"}}, {"demo": {"_"}, "globex": {"p"}, "initech": {"_"}}} {
		more := s.ask(t, fmt.Sprintf("0190c0de-0000-7000-8000-00000000001%d", i), export.Selectors{}, reach)
		requirePolicy(t, s.walk(t, more, nil), "no approval of the run covers")
	}
	forgotten := s.ask(t, "0190c0de-0000-7000-8000-00000000001a", export.Selectors{}, map[string][]string{"demo": {"_"}, "globex": {"p"}})
	conn, err := pgx.Connect(t.Context(), s.db.Admin)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // test connection
	_, err = conn.Exec(t.Context(), "update export_runs set reach = null where tenant = 'demo' and id = $1", forgotten.ID)
	require.NoError(t, err)
	requirePolicy(t, s.walk(t, forgotten, nil), "is not read")
}

func requirePolicy(t *testing.T, err error, says string) {
	t.Helper()
	require.Error(t, err)
	var failed *temporal.ApplicationError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, string(export.ClassPolicy), failed.Type())
	require.True(t, failed.NonRetryable())
	var failure export.Failure
	require.NoError(t, failed.Details(&failure))
	require.Equal(t, export.CodeCrossTenant, failure.Code)
	require.Contains(t, failure.Message, says)
}

// later is a neighbourhood whose clock goes differently.
type later struct {
	storage.Neighbours
	now time.Time
}

func (l later) Look(ctx context.Context, tenant string) (storage.Outlook, error) {
	found, err := l.Neighbours.Look(ctx, tenant)
	found.Now = l.now
	return found, err
}

// What the API let through the worker asks again, before it reads: at resolve, and
// while it packs.
func TestAnApprovalThatHoldsNoMoreEndsTheRun(t *testing.T) {
	stranger, err := signing.NewSigner(ed25519.NewKeyFromSeed([]byte(strings.Repeat("y", 32))))
	require.NoError(t, err)
	other, err := signing.ParsePublicKey(stranger.PublicKeyPEM())
	require.NoError(t, err)
	copies := 0
	s := openStreet(t, "", approving("globex", ""))
	trust := s.exporting.Approvals
	tenants := postgres.NewTenants(s.db.DB)
	change := func(config export.ProfileConfig) {
		_, err := s.profiles.ChangeProfile(t.Context(), "demo", streetProfile, storage.ProfileChange{Config: &config, By: "twin", At: twinTime})
		require.NoError(t, err)
	}
	for name, tt := range map[string]struct {
		end, undo func()
		says      string
	}{
		"switched off":  {func() { s.exporting.Approvals.Trust.Enabled = false }, nil, "switched off"},
		"knows of none": {func() { s.exporting.Approvals = activities.Approvals{} }, nil, "is not read"},
		"another key":   {func() { s.exporting.Approvals.Trust.Approvers = []signing.Verifier{other} }, nil, "not one that this installation trusts"},
		"revoked":       {func() { s.exporting.Approvals.Trust.Revoked = []bundle.Digest{profiles.EnvelopeDigest(s.approved[0])} }, nil, "revoked"},
		"expired":       {func() { s.exporting.Approvals.Neighbours = later{trust.Neighbours, s.approved[0].ExpiresAt} }, nil, "expired"},
		"withdrawn":     {func() { change(export.ProfileConfig{}) }, func() { change(export.ProfileConfig{Approvals: s.approved}) }, "withdrawn"},
		"tenant suspended": {func() {
			_, err := tenants.ChangeTenant(t.Context(), "globex", export.TenantSuspended, export.TenantChange{At: twinTime})
			require.NoError(t, err)
		}, func() {
			_, err := tenants.ChangeTenant(t.Context(), "globex", export.TenantActive, export.TenantChange{At: twinTime})
			require.NoError(t, err)
		}, "cannot be read now"},
	} {
		for _, moment := range []int{0, 1} { // behind plan, behind resolve
			t.Run(fmt.Sprintf("%s behind phase %d", name, moment), func(t *testing.T) {
				copies++
				// What was packed before would not be read again.
				run := s.ask(t, fmt.Sprintf("0190c0de-0000-7000-8000-0000000001%02d", copies), export.Selectors{Exclude: []string{fmt.Sprintf("OSV-2026-%d", copies)}}, everyProject)
				err := s.walk(t, run, func(phase int) {
					if phase == moment {
						tt.end()
					}
				})
				if s.exporting.Approvals = trust; tt.undo != nil {
					tt.undo()
				}
				requirePolicy(t, err, tt.says)
				_, shards, planErr := s.runs.Planned(t.Context(), run.Ref(), 0, 1000)
				if moment == 0 {
					require.True(t, errors.Is(planErr, storage.ErrNotFound), "nothing was planned: %v", planErr)
					return
				}
				for _, shard := range shards {
					if _, _, foreign := storage.Holder(shard.Source); foreign {
						require.Nil(t, shard.Result, "%s was packed all the same", shard.Name)
					}
				}
			})
		}
	}
}
