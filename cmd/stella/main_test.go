package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/internal/devissuer"
	"github.com/stella-ops/exportcenter/ledger/osv"
	"github.com/stella-ops/exportcenter/offboarding"
	"github.com/stella-ops/exportcenter/storage"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"stella": main, "stella-hurt": hurtMain})
}

// The scripts talk to the real frontend over stores in memory. Runs end by
// themselves, the way their label "end" says.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			w := newWorld(t)
			env.Values[worldKey{}] = world{w, t}
			env.Setenv("STELLA_SERVER", w.URL)
			env.Setenv("STELLA_TOKEN", w.Token(t, "acme"))
			env.Setenv("STELLA_TENANT", "acme")
			env.Setenv("FOREIGN_TOKEN", w.Token(t, "globex"))
			env.Setenv("ADMIN_TOKEN", w.Issuer.Token(t, export.Installation, "tenant:manage", "tenant:offboard"))
			env.Setenv("READ_TOKEN", w.Issuer.Token(t, "acme", "export:read"))
			env.Setenv("STELLA_CONFIG_DIR", filepath.Join(env.WorkDir, "config"))
			env.Setenv("KEY", filepath.Join(env.WorkDir, "key.pem"))
			run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
			env.Setenv("FINISHED", run.ID)
			run.AsOf, run.Progress.Shards = 7, 1
			w.Runs.Amend(run)
			w.Runs.Plan(run.Ref(), storage.PlannedShard{Reused: true, Shard: storage.Shard{Name: "data/raw/advisories-0000000000000000.jsonl.zst", Kind: "advisory",
				Count: 3, Bytes: 30, Result: &storage.File{Size: 9}}})
			for n, name := range []string{"DAY1", "DAY2"} { // before and after a revision and a document more
				day := w.Run("acme", export.StateSucceeded)
				day.AsOf = int64(1 + 2*n)
				w.Runs.Put(day, nil)
				w.Runs.Plan(day.Ref(), storage.PlannedShard{Shard: storage.Shard{Kind: "advisory", Cursor: "advisory\n\n\n\n", Hash: bundle.DigestOf([]byte(name))}})
				env.Setenv(name, day.ID)
			}
			setSealed(t, env, w)
			happened := w.Run("acme", export.StateRunning)
			w.Runs.Say(happened.Ref(), export.EventStarted, "the run has started")
			w.Runs.Say(happened.Ref(), export.EventAdapterChunk, "evil \x1b[31mwords")
			w.Runs.End(happened.Ref(), export.StateFailed)
			env.Setenv("HAPPENED", happened.ID)
			env.Setenv("PENDING", w.Run("acme", export.StatePending).ID)
			env.Setenv("PARKED", waitingRun(w, w.Run("acme", export.StateRunning)).ID)
			env.Setenv("PARKED2", waitingRun(w, w.Run("acme", export.StateRunning)).ID)
			env.Setenv("EXPIRED", w.Run("acme", export.StateExpired).ID)
			key := bundletest.Key(t, 1).PublicKeyPEM()
			return errors.Join(os.WriteFile(filepath.Join(env.WorkDir, "expected.tar"), archive, 0o600), os.WriteFile(env.Getenv("KEY"), key, 0o600),
				os.WriteFile(filepath.Join(env.WorkDir, "approver.pem"), approverPEM(t), 0o600))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": checkStatus, "sign-audit": signAudit, "week": nextWeek, "remove-tenant": removeTenant, "snapshot-id": snapshotID, "make-mirrors": makeMirrors, "make-encrypted": makeEncrypted},
	})
}

// The scripts below testdata/login talk to an installation that takes bound tokens only
// and gives them to its client "ci".
func TestLoginScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/login",
		Setup: func(env *testscript.Env) error {
			w, register := frontendtest.WithLogin(t, func(c *frontend.Config) { c.RequireDPoP, c.PublicURL = true, "http://127.0.0.1" })
			secret := register(devissuer.Client{ID: "ci", Tenant: "acme", Roles: []export.Role{export.RoleOperator}})
			env.Setenv("SERVER", w.URL)
			env.Setenv("STELLA_CONFIG_DIR", filepath.Join(env.WorkDir, "config"))
			return os.WriteFile(filepath.Join(env.WorkDir, "secret"), []byte(secret), 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": checkStatus},
	})
}

// setSealed names runs with a good bundle, one that has rotted, and one by a key that
// the server does not trust.
func setSealed(t *testing.T, env *testscript.Env, w *frontendtest.World) {
	sealed, _ := w.Sealed(t, "acme", 1)
	rotten, _ := w.Sealed(t, "acme", 1)
	strange, _ := w.Sealed(t, "acme", 2)
	files, err := w.Runs.Files(t.Context(), rotten.Ref())
	require.NoError(t, err)
	for i, f := range files {
		if strings.HasPrefix(f.Path, bundle.PayloadDir) {
			// Bundles of the same documents share their blobs: this run gets one of its own.
			files[i].Digest = bundle.DigestOf([]byte("rot"))
			w.Objects.Replace("acme", files[i].Digest, make([]byte, f.Size))
			break
		}
	}
	w.Runs.Put(rotten, files)
	env.Setenv("SEALED", sealed.ID)
	env.Setenv("ROTTEN", rotten.ID)
	env.Setenv("STRANGE", strange.ID)
}

// checkStatus runs a command and checks its exit code: status 2 stella ...
func checkStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status code command...")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

type worldKey struct{}

type world struct {
	*frontendtest.World
	t *testing.T
}

// signAudit signs acme's audit record with a new key: sign-audit key.pub
func signAudit(ts *testscript.TestScript, neg bool, args []string) {
	w, ok := ts.Value(worldKey{}).(world)
	if neg || len(args) != 1 || !ok {
		ts.Fatalf("usage: sign-audit file")
	}
	signer := w.SignAudit(w.t, "acme")
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), signer.PublicKeyPEM(), 0o600))
}

// nextWeek lets a week and a second go by; administrators get new tokens.
func nextWeek(ts *testscript.TestScript, neg bool, args []string) {
	w, ok := ts.Value(worldKey{}).(world)
	if neg || len(args) != 0 || !ok {
		ts.Fatalf("usage: week")
	}
	w.SetTime(w.Now().Add(export.OffboardAfter + time.Second))
	ts.Setenv("ADMIN_TOKEN", w.Issuer.Token(w.t, export.Installation, "tenant:manage", "tenant:offboard"))
	ts.Setenv("MANAGE_TOKEN", w.Issuer.Token(w.t, export.Installation, "tenant:manage"))
}

// removeTenant is what `exportcenter offboard` does: remove-tenant name key.pub
func removeTenant(ts *testscript.TestScript, neg bool, args []string) {
	w, ok := ts.Value(worldKey{}).(world)
	if neg || len(args) != 2 || !ok {
		ts.Fatalf("usage: remove-tenant name file")
	}
	signer := bundletest.Key(w.t, 1)
	w.Tenants.Remove(w.t, args[0], w.Now(), signer, offboarding.Run{ID: "0192f3c4-5d6e-7f80-9a1b-2c3d4e5f6071", State: export.StateSucceeded, RequestedAt: w.Now()})
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), signer.PublicKeyPEM(), 0o600))
}

// snapshotID sets SNAPSHOT to the id of acme's last policy snapshot of a name, and makes
// a profile that decides: snapshot-id name
func snapshotID(ts *testscript.TestScript, neg bool, args []string) {
	w, ok := ts.Value(worldKey{}).(world)
	if neg || len(args) != 1 || !ok {
		ts.Fatalf("usage: snapshot-id name")
	}
	found, _, err := w.Policies.ListSnapshots(w.t.Context(), "acme", storage.SnapshotFilter{Name: args[0], Limit: 200})
	ts.Check(err)
	ts.Setenv("SNAPSHOT", found[len(found)-1].ID)
	_, _, err = w.World.Profiles.CreateProfile(w.t.Context(), export.Profile{Tenant: "acme", ID: "0195f000-0000-7000-9000-000000000001", Name: "decides",
		Kind: "json", Variant: "policy", CreatedBy: "tester", CreatedAt: w.Now()}, storage.Idempotency{})
	ts.Check(err)
}

// waitingRun lets a run wait for an approval.
func waitingRun(w *frontendtest.World, run export.Run) export.Run {
	var config *export.GuardConfig
	counts := func(n int64) []export.SourceCount {
		return []export.SourceCount{{Source: "ghsa", Stream: "npm", Kind: "advisory", Documents: n, Records: n}, {Source: "osv", Kind: "advisory", Documents: 5, Records: 5}}
	}
	gone := export.Disappeared{Total: 30, Documents: []export.GoneDocument{{ID: "GHSA-1", Source: "ghsa"}, {ID: "GHSA-2\x1b[31m", Source: "ghsa", Withdrawn: true}}}
	report := config.NewGuardReport(&export.GuardBaseline{RunID: "0192f3c4-5d6e-7f80-9a1b-000000000001", RequestedAt: w.Now()}, counts(100), counts(70)[:1],
		w.Now(), []export.GuardCanary{{ID: "CVE-2026-1", Found: true}}, gone)
	w.Runs.Guard(run.Ref(), storage.Guarded{Report: report, Parked: true, At: w.Now(), Until: w.Now().Add(time.Hour)})
	return run
}

// rebuilt ends a rebuild: of a run that was alone in its ledger it is identical, of others
// different.
func rebuilt(w *frontendtest.World, run export.Run) {
	of, _ := w.Runs.GetRun(context.Background(), export.Ref{Tenant: run.Tenant, RunID: run.RebuildOf})
	tool := export.RebuildTool{Version: "1", Encoder: "klauspost/compress@v1"}
	run.Rebuilt = &export.Rebuilt{Verdict: export.RebuildIdentical, Files: 10, Bytes: 4096, Recorded: tool, Now: tool,
		NotCompared: []string{"signatures and seal: the key service gives no signature twice"}}
	run.State = export.StateSucceeded
	if of.State == export.StateExpired {
		run.Rebuilt.Verdict, run.Rebuilt.Now.Version, run.Rebuilt.NotCompared = export.RebuildDiffers, "2", nil
		run.Rebuilt.First = &export.RebuildDifference{Path: "data/raw/advisories-0000000000000000.jsonl.zst", What: "bytes", Offset: 17, Line: 3,
			Document: "advisory ghsa/npm GHSA-1\x1b[31m"}
		run.State, run.Failure = export.StateFailed, &export.Failure{Code: export.CodeRebuild, Message: "other bytes came out", Phase: export.PhaseCompare}
	}
	w.Runs.Put(run, nil)
}

func newWorld(t *testing.T) *frontendtest.World {
	w := frontendtest.New(t, func(c *frontend.Config) {
		c.Parse = osv.Parse
		c.Trust = verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))}
	})
	w.Starter.OnStart = func(run export.Run) {
		go func() {
			time.Sleep(100 * time.Millisecond)
			run, _ := w.Runs.GetRun(context.Background(), run.Ref())
			if run.RebuildOf != "" {
				rebuilt(w, run)
				return
			}
			switch run.Labels["end"] {
			case "":
				w.Finish(t, run)
			case "parked":
				waitingRun(w, run)
			case "parked-approved":
				run = waitingRun(w, run)
				time.Sleep(300 * time.Millisecond)
				_, _ = w.Runs.Decide(context.Background(), run.Ref(), export.Decision{Verdict: export.VerdictApproved, By: "kim", Reason: "so", At: w.Now()})
				w.Finish(t, run)
			case "failed":
				run.State, run.Failure = export.StateFailed, &export.Failure{Code: export.CodeEmptySelection,
					Message: "nothing was selected", Phase: export.PhaseResolve}
				w.Runs.Put(run, nil)
			case "aborted":
				run.State, run.Cancel = export.StateAborted, &export.Cancellation{By: "ops@acme", Reason: "maintenance", At: time.Now()}
				w.Runs.Put(run, nil)
			}
		}()
	}
	return w
}

// Every real advisory passes the whole way from file to ledger.
func TestImportOfRealAdvisories(t *testing.T) {
	data := filepath.Join("..", "..", "..", "shared", "data", "osv")
	if _, err := os.Stat(data); err != nil {
		t.Skipf("no real advisories at %s", data)
	}
	w := newWorld(t)
	t.Setenv("STELLA_SERVER", w.URL)
	t.Setenv("STELLA_TOKEN", w.Token(t, "acme"))
	t.Setenv("STELLA_TENANT", "acme")
	var out bytes.Buffer
	command := rootCommand()
	command.SetArgs([]string{"ledger", "import", "--format", "json", data})
	command.SetOut(&out)
	err := command.ExecuteContext(t.Context())
	var result importResult
	require.NoError(t, json.Unmarshal(out.Bytes(), &result), "%v", err)
	require.Equal(t, result.Read, result.Accepted+result.Unchanged+result.Superseded+result.Rejected)
	require.GreaterOrEqual(t, result.Accepted+result.Unchanged+result.Superseded, int64(8993))
	for _, r := range result.Rejections {
		t.Logf("rejected %s %s: %s", r.File, r.Entry, r.Reason)
	}
	require.Equal(t, result.Rejected > 0, exitCode(err) == exitInput)
}

func TestExitCodes(t *testing.T) {
	for status, code := range map[int]int{400: 2, 401: 3, 403: 3, 404: 4, 409: 2, 410: 4, 413: 2, 415: 2, 416: 2, 422: 2,
		429: 10, 500: 1, 502: 10, 503: 10, 504: 10, 307: 1} {
		require.Equal(t, code, exitCode(&client.Problem{Status: status}), status)
	}
	require.Equal(t, 5, exitCode(&client.Problem{Status: 403, Code: "ERR_EXPORT_017"}))
	require.Equal(t, 0, exitCode(nil))
	require.Equal(t, 1, exitCode(context.Canceled))
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "ünïcode ✓": "ünïcode ✓", "\x1b[31mred": `\x1b[31mred`, "a\nb": `a\nb`, "\xff": `\xff`, "a\"\x07": `a"\a`, "\u202e": `\u202e`,
	} {
		require.Equal(t, want, printable(in))
	}
}

func FuzzParseSelect(f *testing.F) {
	for _, seed := range []string{"kind=advisory", "ecosystem=a=b,c", "source=", "=", "", "kind", "Kind=x", "ecosystem=\x00",
		"purl=pkg:npm/lodash*", "sample=0.1:s", "sample=NaN:", "sample=1e400:", "severity=high", "include=*", "modified=2024-01-01..2025-01-01", "observed=..2026-01-01T00:00:00.5+02:00", "modified=..", "modified=x..", "observed=2024-01-01"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		s, err := parseSelect([]string{value})
		if err != nil {
			if exitCode(err) != exitInput {
				t.Fatalf("%q: exit code %d", value, exitCode(err))
			}
			return
		}
		if w := s.TimeWindow; w != nil {
			for _, end := range []*string{w.From, w.To} {
				if end == nil {
					continue
				}
				if _, err := time.Parse(time.RFC3339Nano, *end); err != nil {
					t.Fatalf("%q became %q", value, *end)
				}
			}
			return
		}
		if s.Sample != nil {
			if !(s.Sample.Rate >= 0 && s.Sample.Rate <= 1) {
				t.Fatalf("%q became a rate of %v", value, s.Sample.Rate)
			}
			return
		}
		all := slices.Concat(s.Kinds, s.Sources, s.Ecosystems, s.Products, s.Severities, s.SbomSubjects, s.Include, s.Exclude, s.Projects, s.Tenants)
		if len(all) != 1 || !strings.HasSuffix(value, "="+all[0]) {
			t.Fatalf("%q became %q", value, all)
		}
	})
}
