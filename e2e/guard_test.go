package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
)

// shrinking is a tenant whose evidence shrinks.
type shrinking struct {
	*house
	t             *testing.T
	tenant, token string
	db            *pgx.Conn
	profile       string
	approver      *visitor // who alone may decide
}

// advisories are those of source "ghsa" and of source "vendor" that a tenant begins with.
const ghsaDocuments, vendorDocuments = 20, 5

// shrinks gives a tenant with evidence of two sources, and a profile for databases.
func (h *house) shrinks(t *testing.T, tenant string, db *pgx.Conn) *shrinking {
	t.Helper()
	s := &shrinking{house: h, t: t, tenant: tenant, token: h.tokenFor(t, tenant), db: db, profile: "database",
		approver: h.login(t, "approver-of-"+tenant, "--tenant", tenant, "--role", "Export.Viewer", "--scope", "export:approve")}
	s.imports("ghsa", ghsaDocuments, false)
	s.imports("vendor", vendorDocuments, false)
	file := filepath.Join(t.TempDir(), "profile.yaml")
	require.NoError(t, os.WriteFile(file, []byte("apiVersion: stellaops.io/export.v1\nkind: ExportProfile\nmetadata: {name: database}\n"+
		"spec: {kind: trivy, variant: db, guard: {canaries: [CVE-2026-1003]}}\n"), 0o600))
	s.stella("export", "profile", "create", "--file", file)
	return s
}

// imports writes n advisories of a source; withdrawn ones are a day newer.
func (s *shrinking) imports(source string, n int, withdrawn bool) {
	s.t.Helper()
	first := map[string]int{"ghsa": 1000, "vendor": 2000}[source]
	var lines strings.Builder
	for i := range n {
		when, more := "2026-01-01T00:00:00Z", ""
		if withdrawn {
			when = "2026-01-02T00:00:00Z"
			more = `,"withdrawn":"` + when + `"`
		}
		fmt.Fprintf(&lines, `{"id":"GHSA-%s-%04d","aliases":["CVE-2026-%d"],"modified":%q%s,"summary":"s","affected":[{"package":{"ecosystem":"npm","name":"p%d"},`+
			`"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.0.0"}]}]}]}`+"\n", source, i, first+i, when, more, first+i)
	}
	file := filepath.Join(s.t.TempDir(), source+".jsonl")
	require.NoError(s.t, os.WriteFile(file, []byte(lines.String()), 0o600))
	s.stella("ledger", "import", "--source", source, file)
}

// loses takes documents out of the ledger, with what follows from the last plan: what a
// database that was restored from an older backup looks like.
func (s *shrinking) loses(where string) {
	s.t.Helper()
	for _, statement := range []string{"delete from ledger_observations where tenant = $1 and " + where, "delete from export_plans where tenant = $1"} {
		_, err := s.db.Exec(s.t.Context(), statement, s.tenant)
		require.NoError(s.t, err)
	}
}

// stella runs a command that succeeds.
func (s *shrinking) stella(args ...string) []byte {
	s.t.Helper()
	out, code := s.stellaAs(s.t, s.token, args...)
	require.Zero(s.t, code, "%v: %s\n%s", args, out, s.tail())
	return out
}

// decides lets the approver say something of a run; the tenant's developer may not.
func (s *shrinking) decides(word, run, reason string) {
	s.t.Helper()
	_, code := s.stellaAs(s.t, s.token, "export", word, run, "--reason", reason)
	require.Equal(s.t, 3, code)
	out, err := s.approver.stella(s.t, "export", word, run, "--reason", reason)
	require.NoError(s.t, err, out)
}

type guardedRun struct {
	RunID, Status string
	Error         struct{ Code, Message string }
	Wait          struct{ Why string }
}

func (s *shrinking) status(run string) (r guardedRun) {
	s.t.Helper()
	require.NoError(s.t, json.Unmarshal(s.stella("export", "status", run, "--format", "json"), &r))
	return r
}

// publishes makes a run that is not held up, and gives its id.
func (s *shrinking) publishes() string {
	s.t.Helper()
	var r guardedRun
	require.NoError(s.t, json.Unmarshal(s.stella("export", "run", s.profile, "--wait", "--format", "json"), &r))
	require.Equal(s.t, "succeeded", r.Status)
	require.Equal(s.t, r.RunID, s.latest())
	return r.RunID
}

func (s *shrinking) latest() string {
	s.t.Helper()
	var r guardedRun
	require.NoError(s.t, json.Unmarshal(s.stella("export", "latest", s.profile, "--format", "json"), &r))
	return r.RunID
}

// parks makes a run that is held up, for reasons that hold these words.
func (s *shrinking) parks(words ...string) string {
	s.t.Helper()
	published := s.latest()
	out, code := s.stellaAs(s.t, s.token, "export", "run", s.profile, "--wait", "--no-wait-approval", "--format", "json")
	require.Equal(s.t, 10, code, "%s\n%s", out, s.tail())
	var r guardedRun
	require.NoError(s.t, json.Unmarshal(out, &r))
	require.Equal(s.t, "waiting", r.Status)
	report := string(s.stella("export", "guard", r.RunID))
	for _, word := range words {
		require.Contains(s.t, report, word)
	}
	require.Equal(s.t, published, s.latest(), "what was published stays")
	return r.RunID
}

// ends waits until the run has ended so.
func (s *shrinking) ends(run, status string) guardedRun {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		r := s.status(run)
		if r.Status == status {
			return r
		}
		require.True(s.t, time.Now().Before(deadline), "run %s is %s, want %s\n%s", run, r.Status, status, s.tail())
	}
}

// TestNoSilentShrinkInARealHouse: with real Temporal, PostgreSQL and databases for Trivy,
// a result that lost a source, all records of one, a third of one, or a canary waits
// until somebody decides, holds nobody up, survives its worker, and leaves what was
// published as it was.
func TestNoSilentShrinkInARealHouse(t *testing.T) {
	t.Parallel() // a house of its own, which mostly waits
	h := openHouse(t)
	db := h.superuser(t)
	engine := h.temporal(t)
	signal := func(s *shrinking, run string, d export.Decision) {
		require.NoError(t, engine.SignalWorkflow(t.Context(), export.RunWorkflowID(export.Ref{Tenant: s.tenant, RunID: run}), "", "decision", d))
	}

	t.Run("a source is gone, approved by the API", func(t *testing.T) {
		s := h.shrinks(t, "gone", db)
		s.publishes()
		s.loses("source = 'vendor'")
		run := s.parks("source vendor, stream", "has vanished: it gave 5 documents in the last run and gives none", "5 documents", "GHSA-vendor-0000 of vendor")
		h.kill(t, "worker")
		require.Equal(t, "waiting", s.status(run).Status)
		s.decides("release", run, "the vendor's feed ended")
		s.ends(run, "succeeded")
		require.Equal(t, run, s.latest())
		s.publishes() // what was approved is what the next one is held against
	})
	t.Run("a source is emptied, rejected by the API", func(t *testing.T) {
		s := h.shrinks(t, "emptied", db)
		published := s.publishes()
		s.imports("vendor", vendorDocuments, true)
		run := s.parks("is emptied: its documents gave 5 records in the last run and give none", "5 documents", "GHSA-vendor-0000 of vendor, withdrawn")
		s.decides("reject", run, "a mistake upstream")
		r := s.ends(run, "failed")
		require.Equal(t, "ERR_EXPORT_REJECTED", r.Error.Code)
		require.Contains(t, r.Error.Message, "a mistake upstream")
		require.Equal(t, published, s.latest())
	})
	t.Run("a third of a source is gone, approved and rejected by a signal", func(t *testing.T) {
		s := h.shrinks(t, "third", db)
		s.publishes()
		s.loses("source = 'ghsa' and upstream_id > 'GHSA-ghsa-0013'")
		run := s.parks("gives 14 documents, 20 in the last run: more than 10 % are missing", "gives 14 records, 20 in the last run")
		signal(s, run, export.Decision{Verdict: export.VerdictRejected, By: "kim", Reason: "not yet"})
		require.Equal(t, "rejected by kim: not yet", s.ends(run, "failed").Error.Message)
		run = s.parks("gives 14 documents")
		signal(s, run, export.Decision{Verdict: export.VerdictApproved, By: "robin", Reason: "now"})
		s.ends(run, "succeeded")
		require.Equal(t, run, s.latest())
		require.Contains(t, string(s.stella("export", "status", run)), "by robin: now")
	})
	t.Run("a canary is gone, cancelled; others work meanwhile", func(t *testing.T) {
		s := h.shrinks(t, "canary", db)
		s.publishes()
		s.loses("upstream_id = 'GHSA-ghsa-0003'")
		var parked []string
		for range 5 { // more than the tenant has slots
			parked = append(parked, s.parks("canary CVE-2026-1003 is not found"))
		}
		s.stella("export", "run", "json:raw", "--wait")
		for _, run := range parked {
			s.stella("export", "cancel", run, "--reason", "no")
			s.ends(run, "aborted")
		}
	})
	for _, d := range h.divergences(t) {
		require.Contains(t, []string{"observation-lost", "head-differs", "audit-unsigned"}, d.Kind, "documents were taken out, and nothing else: %+v", d)
	}
}
