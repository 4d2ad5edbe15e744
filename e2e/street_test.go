package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/profiles"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// street is an installation with several tenants: the run's own, demo, and its
// neighbours globex (documents without a project, and in the projects p and q) and
// initech. Temporal is the SDK's test environment, all else is real.
type street struct {
	db        *pgtest.Database
	objects   *files.Store
	runs      *postgres.Runs
	profiles  *postgres.Profiles
	exporting *activities.Export
	approver  signing.Signer
	profile   export.Profile
	approved  []export.Approval
}

const streetProfile = "0190c0de-0000-7000-9000-000000000001"

// openStreet fills the ledgers, in an order that seed decides, and makes a profile
// with these approvals.
func openStreet(t *testing.T, seed string, approvals ...bundle.Approval) *street {
	t.Helper()
	s := &street{db: pgtest.New(t)}
	book := postgres.NewLedger(s.db.DB)
	holdings := []struct{ tenant, project string }{{"demo", ""}, {"globex", ""}, {"globex", "p"}, {"globex", "q"}, {"initech", ""}}
	for i, h := range holdings {
		documents := s.documents(t, h.tenant, h.project)
		if seed != "" {
			shuffler(t, seed+fmt.Sprint(i)).Shuffle(len(documents), func(i, j int) { documents[i], documents[j] = documents[j], documents[i] })
		}
		for part := range slices.Chunk(documents, 37) {
			_, err := book.Import(t.Context(), h.tenant, part)
			require.NoError(t, err)
		}
	}
	var err error
	s.objects, err = files.Open(t.TempDir(), clock.Fixed(twinTime), rand.Reader)
	require.NoError(t, err)
	s.approver, err = signing.NewSigner(ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", 32))))
	require.NoError(t, err)
	key, err := signing.ParsePublicKey(s.approver.PublicKeyPEM())
	require.NoError(t, err)
	s.runs, s.profiles = postgres.NewRuns(s.db.DB), postgres.NewProfiles(s.db.DB)
	for _, a := range approvals {
		s.approved = append(s.approved, s.approve(t, s.approver, a))
	}
	s.profile, _, err = s.profiles.CreateProfile(t.Context(), export.Profile{Tenant: "demo", ID: streetProfile, Name: "shared", Kind: "json", Variant: "raw",
		Config: export.ProfileConfig{Approvals: s.approved}, CreatedBy: "twin", CreatedAt: twinTime}, storage.Idempotency{})
	require.NoError(t, err)
	registry, err := adapters.NewRegistry(jsonraw.Adapter{})
	require.NoError(t, err)
	s.exporting = &activities.Export{Ledger: book, Execution: postgres.NewExecution(s.db.DB), Objects: s.objects,
		Approvals: activities.Approvals{Trust: profiles.CrossTenant{Enabled: true, Approvers: []signing.Verifier{key}},
			Neighbours: postgres.NewNeighbours(s.db.DB), Profiles: s.profiles},
		Signer: twinKey(t), Adapters: registry, Clock: clock.Fixed(twinTime), Log: slog.New(slog.DiscardHandler), Version: "twin"}
	return s
}

// documents are what a tenant has in a project. One is the same, byte for byte,
// everywhere; all others hold a canary of where they are.
func (s *street) documents(t *testing.T, tenant, project string) (all []ledger.Observation) {
	t.Helper()
	texts := []string{`{"id":"OSV-SHARED","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"npm","name":"both"}}]}`}
	for n := range 60 {
		texts = append(texts, fmt.Sprintf(`{"id":"OSV-2026-%d","modified":"2026-01-01T00:00:00Z","summary":"canary-%s-%s","affected":[{"package":{"ecosystem":"npm","name":"p%d"}}]}`,
			n, tenant, project, n%7))
	}
	texts = append(texts, fmt.Sprintf(`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://v.example/%s","author":"canary-%s-%s",`+
		`"timestamp":"2026-01-01T00:00:00Z","statements":[{"vulnerability":{"name":"CVE-1"},"status":"fixed","products":[{"@id":"pkg:npm/a@1"}]}]}`, tenant, tenant, project))
	for _, text := range texts {
		o, err := parseEvidence(ledger.Entry{Source: "s", Stream: "t", Bytes: []byte(text)})
		require.NoError(t, err)
		o.Project = project
		all = append(all, o)
	}
	return all
}

// approving is an approval for the street's profile.
func approving(tenant, project string) bundle.Approval {
	return bundle.Approval{Version: "1", Reader: "demo", Profile: "shared", Tenant: tenant, Project: project, Approver: "ops@example.org", ExpiresAt: "2199-01-01T00:00:00Z"}
}

func (s *street) approve(t *testing.T, by signing.Signer, a bundle.Approval) export.Approval {
	t.Helper()
	text, err := a.Encode()
	require.NoError(t, err)
	envelope, err := signing.SignEnvelope(t.Context(), by, bundle.ApprovalPayloadType, text)
	require.NoError(t, err)
	return export.Approval{Tenant: a.Tenant, Project: a.Project, Approver: a.Approver, ExpiresAt: a.Ends(), Signature: string(envelope)}
}

// ask records a run that reads these tenants' projects, as the API would.
func (s *street) ask(t *testing.T, id string, sel export.Selectors, projects map[string][]string) export.Run {
	t.Helper()
	neighbours := postgres.NewNeighbours(s.db.DB)
	reach := &export.Reach{Approvals: s.approved}
	sel.Tenants = nil
	for _, tenant := range []string{"demo", "globex", "initech"} {
		for _, project := range projects[tenant] {
			there, err := neighbours.Look(t.Context(), tenant)
			require.NoError(t, err)
			reach.Readings = append(reach.Readings, export.Reading{Tenant: tenant, Project: project, AsOf: there.Head})
		}
		if len(projects[tenant]) > 0 {
			sel.Tenants = append(sel.Tenants, tenant)
		}
	}
	run, _, err := s.runs.CreateRun(t.Context(), export.Run{Tenant: "demo", ID: id, ProfileID: s.profile.ID, ProfileRevision: s.profile.Revision,
		ProfileName: s.profile.Name, Kind: "json", Variant: "raw", Selectors: sel, Reach: reach, RequestedBy: "twin", RequestedAt: twinTime,
		State: export.StatePending}, storage.Idempotency{})
	require.NoError(t, err)
	require.Equal(t, reach.Readings, run.Reach.Readings)
	return run
}

// walk takes a run through its phases until one fails.
func (s *street) walk(t *testing.T, run export.Run, after func(phase int)) error {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(s.exporting)
	e := s.exporting
	for i, phase := range []any{e.Plan, e.Resolve, e.Adapt, e.Manifest, e.Sign, e.Distribute} {
		if _, err := env.ExecuteActivity(phase, activities.PhaseInput{Ref: run.Ref()}); err != nil {
			return err
		}
		if after != nil {
			after(i)
		}
	}
	_, err := env.ExecuteActivity(e.EmitTimeline, activities.EmitTimelineInput{Ref: run.Ref()})
	return err
}

func (s *street) archive(t *testing.T, ref export.Ref) []byte {
	t.Helper()
	entries, err := s.runs.Files(t.Context(), ref)
	require.NoError(t, err)
	members := make([]bundle.Member, len(entries))
	for i, e := range entries {
		members[i] = e.Member()
	}
	view, err := bundle.NewView(members, func(m bundle.Member) (bundle.Source, error) { return s.objects.Open(t.Context(), ref.Tenant, m.Digest) })
	require.NoError(t, err)
	defer view.Close()
	archive := make([]byte, view.Size())
	_, err = view.ReadAt(archive, 0)
	require.NoError(t, err)
	return archive
}

// held gives the ids of each directory of the payload.
func (s *street) held(t *testing.T, ref export.Ref) map[string][]string {
	t.Helper()
	entries, err := s.runs.Files(t.Context(), ref)
	require.NoError(t, err)
	held := map[string][]string{}
	for _, e := range entries {
		if !e.Payload {
			continue
		}
		blob, err := s.objects.Open(t.Context(), ref.Tenant, e.Digest)
		require.NoError(t, err)
		content := make([]byte, blob.Size())
		_, err = blob.ReadAt(content, 0)
		require.NoError(t, err)
		require.NoError(t, blob.Close())
		dir := e.Path[:strings.LastIndex(e.Path, "/")]
		held[dir] = append(held[dir], idsOf(t, content)...)
	}
	return held
}
