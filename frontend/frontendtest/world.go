package frontendtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

// World is a running API and everything behind it.
type World struct {
	URL    string
	Server *frontend.Server
	Runs   *Runs
	// Profiles are those of all tenants.
	Profiles *Profiles
	// Policies are those of all tenants; the API also has a built-in one.
	Policies *Policies
	Objects  *Objects
	Ledger   *Ledger
	Records  *Records
	Issuer   *Issuer
	Starter  *Starter
	Proofs   *Proofs
	Tenants  *Tenants
	Audit    *storagetest.AuditRecord
	Notices  *Notices
	// Log is everything the server wrote to its log.
	Log *testkit.Output

	now atomic.Pointer[time.Time]
	ids atomic.Int64
}

// Start is the time at which every World begins.
var Start = time.Date(2026, 11, 21, 8, 0, 0, 123456789, time.UTC)

// New starts a World; it ends with the test.
func New(t testing.TB, change ...func(*frontend.Config)) *World {
	t.Helper()
	w := &World{Runs: NewRuns(), Profiles: NewProfiles(), Policies: NewPolicies(), Objects: NewObjects(), Ledger: NewLedger(), Records: NewRecords(), Starter: &Starter{},
		Proofs: NewProofs(), Tenants: NewTenants(), Audit: storagetest.NewAudit(), Notices: &Notices{}, Log: &testkit.Output{}}
	w.SetTime(Start)
	w.Ledger.Now = w.Now
	w.Issuer = NewIssuer(t, w.Now)
	keys, err := frontend.NewKeySet(w.Issuer.JWKS, w.Now)
	require.NoError(t, err)
	verifier, err := frontend.NewJWTVerifier(frontend.JWTConfig{Issuer: IssuerName, Audience: Audience, Keys: keys, Clock: w.Now})
	require.NoError(t, err)
	kinds, err := adapters.NewRegistry(jsonraw.Adapter{})
	require.NoError(t, err)
	cfg := frontend.Config{
		Runs: w.Runs, Journal: w.Runs, Records: w.Records, Profiles: w.Profiles, Policies: storage.WithBaseline(w.Policies, Baseline()), CheckPack: CheckPack, Objects: w.Objects, Ledger: w.Ledger, Catalog: Catalog{w.Ledger}, Parse: ParseAnything, Starter: w.Starter, Verifier: verifier,
		Neighbours:   Neighbours{w},
		Offboardings: w.Tenants, OffboardAfter: export.OffboardAfter,
		Proofs: w.Proofs, Tenants: w.Tenants, Audit: w.Audit, Notices: w.Notices,
		Rates:    frontend.Rates{PerSecond: 1e6, Burst: 1e6, AtOnce: 1e6, InAll: 1e6, Streams: 1e6}, // who tests them sets them
		Adapters: kinds,
		Ready:    []frontend.Check{{Name: "keys", Run: keys.Check}},
		Clock:    w.Now, IDs: w.nextID,
		Log: slog.New(slog.NewJSONHandler(w.Log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&cfg)
	}
	w.Server, err = frontend.New(cfg)
	require.NoError(t, err)
	w.serve(t)
	return w
}

func (w *World) serve(t testing.TB) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w.URL = "http://" + ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Server.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// Now is the World's clock.
func (w *World) Now() time.Time { return *w.now.Load() }

// SetTime sets the World's clock.
func (w *World) SetTime(now time.Time) { w.now.Store(&now) }

// nextID counts in the last digits of a UUID.
func (w *World) nextID() string {
	return fmt.Sprintf("0192f3c4-5d6e-7f80-9a1b-%012x", w.ids.Add(1))
}

// Token signs a token with all scopes.
func (w *World) Token(t testing.TB, tenant string) string {
	return w.Issuer.Token(t, tenant, AllScopes...)
}

// Run is a run of the built-in profile in the given state, without a bundle.
func (w *World) Run(tenant string, state export.State) export.Run {
	run := export.Run{
		Tenant: tenant, ID: w.nextID(), ProfileID: "prof-json-raw", ProfileRevision: 1, ProfileName: "json-raw",
		Kind: "json", Variant: "raw", RequestedBy: "tester@" + tenant,
		RequestedAt: Start.Truncate(time.Second), State: state,
	}
	if state.Terminal() {
		run.CompletedAt = Start.Add(time.Minute)
	}
	w.Runs.Put(run, nil)
	return run
}

// Finish gives run a small bundle, marks it succeeded and returns it with the
// bytes of its archive. The bundle has the right form and no real signatures.
func (w *World) Finish(t testing.TB, run export.Run) (export.Run, []byte) {
	t.Helper()
	contents := map[string]string{
		bundle.ReadmePath:     "# An export\n",
		bundle.ManifestPath:   `{"schema":"test","tenant":"` + run.Tenant + `"}`,
		bundle.ProvenancePath: `{"_type":"https://in-toto.io/Statement/v1"}`,
		bundle.SealPath:       `{"payload":""}`,
		"data/raw/advisories-0000000000000000.jsonl.zst": string(bytes.Repeat([]byte("0123456789abcdef"), 8192)),
	}
	order := []string{bundle.ReadmePath, "data/raw/advisories-0000000000000000.jsonl.zst",
		bundle.ManifestPath, bundle.ProvenancePath, bundle.SealPath}
	var files []storage.File
	var members []bundle.Member
	for _, path := range order {
		digest := w.Objects.Put(run.Tenant, []byte(contents[path]))
		files = append(files, storage.File{Path: path, Digest: digest, Size: int64(len(contents[path]))})
		members = append(members, bundle.Member{Path: path, Digest: digest, Size: int64(len(contents[path]))})
	}
	view, err := bundle.NewView(members, func(m bundle.Member) (bundle.Source, error) {
		return w.Objects.Open(context.Background(), run.Tenant, m.Digest)
	})
	require.NoError(t, err)
	archive, err := io.ReadAll(view)
	require.NoError(t, err)
	run.State, run.CompletedAt = export.StateSucceeded, Start.Add(time.Minute)
	run.Result = export.Result{
		ManifestDigest: files[2].Digest.String(), PayloadDigest: files[1].Digest.String(), RerunHash: files[1].Digest.String(),
		ArchiveDigest: bundle.DigestOf(archive).String(), ArchiveBytes: int64(len(archive)),
		Signatures: []export.SignatureRef{{ID: files[0].Digest.String(), Artifact: bundle.ManifestPath,
			Path: bundle.ManifestBundlePath, KeyID: "sha256:00", Algorithm: "ed25519", Verify: "cosign verify-blob ..."}},
	}
	w.Runs.Put(run, files)
	return run, archive
}

// Starter records what it was told.
type Starter struct {
	mu      sync.Mutex
	Started []export.Ref
	Stopped []export.Ref
	Decided []export.Ref
	// Fail is what all calls answer when it is set.
	Fail error
	// OnStart is called for each started run.
	OnStart func(export.Run)
}

// ErrDown is a Starter's usual failure.
var ErrDown = errors.New("the engine at 10.1.2.3:7233 is down")

// StartRun implements frontend.Starter.
func (s *Starter) StartRun(_ context.Context, run export.Run) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Started = append(s.Started, run.Ref())
	if s.OnStart != nil {
		s.OnStart(run)
	}
	return s.Fail
}

// CancelRun implements frontend.Starter.
func (s *Starter) CancelRun(_ context.Context, ref export.Ref) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Stopped = append(s.Stopped, ref)
	return s.Fail
}

// DecideRun implements frontend.Starter.
func (s *Starter) DecideRun(_ context.Context, ref export.Ref) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Decided = append(s.Decided, ref)
	return s.Fail
}
