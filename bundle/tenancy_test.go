package bundle_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
)

// sharedManifest is of a bundle that has evidence of globex and of a project of initech's.
func sharedManifest(t testing.TB) bundle.Manifest {
	t.Helper()
	m := goodManifest(t)
	m.Selectors = json.RawMessage(`{"tenants":["acme","globex","initech"]}`)
	key := m.Keys[0].KeyID
	m.Tenancy = &bundle.Tenancy{Tenant: m.Tenant, Project: m.Project, CrossTenantApprovals: []bundle.NamedApproval{
		{Tenant: "globex", Approver: "ops", ExpiresAt: "2027-01-01T00:00:00Z", KeyID: key, Digest: bundle.DigestOf([]byte("1"))},
		{Tenant: "initech", Project: "web", Approver: "ops", ExpiresAt: "2027-01-01T00:00:00Z", KeyID: key, Digest: bundle.DigestOf([]byte("2"))},
	}}
	contents := []bundle.Content{}
	for _, path := range []string{
		bundle.ShardPath("advisories", "", true),
		bundle.TenantShardPath("globex", "_", "advisories", "", true),
		bundle.TenantShardPath("globex", "web", "advisories", "", true),
		bundle.TenantShardPath("initech", "web", "advisories", "k", false),
	} {
		contents = append(contents, bundle.NewContent(path, bundle.PayloadInfo{Digest: bundle.DigestOf([]byte(path)), Size: 10,
			ContentDigest: bundle.DigestOf([]byte("c" + path)), ContentSize: 20, Records: 2}))
	}
	require.NoError(t, m.SetContents(contents))
	return m
}

func TestAManifestNamesWhatLetItHaveOthersEvidence(t *testing.T) {
	m := sharedManifest(t)
	encoded, err := m.Encode()
	require.NoError(t, err)
	require.Contains(t, string(encoded), `"tenancy":{"crossTenantApprovals":[{"approver":"ops","digest":"sha256:`)
	again, err := bundle.ParseManifest(encoded)
	require.NoError(t, err)
	require.Equal(t, m, again)
	require.EqualValues(t, 8, m.Counts.ByType["advisories"])
	for _, c := range m.Contents {
		tenant, project, foreign := c.Holder()
		require.Equal(t, strings.HasPrefix(c.Path, "data/tenants/"), foreign)
		require.Equal(t, foreign, tenant != "" && project != "")
	}
	whole, err := goodManifest(t).Encode()
	require.NoError(t, err)
	require.NotContains(t, string(whole), "tenancy", "bundles of one tenant stay as they were")
}

// A manifest that has, or asks for, what it names no approval of is none.
func TestAManifestWithoutTheApprovalItNeedsIsNone(t *testing.T) {
	approvals := func(change func([]bundle.NamedApproval) []bundle.NamedApproval) func(*bundle.Manifest) {
		return func(m *bundle.Manifest) {
			m.Tenancy.CrossTenantApprovals = change(m.Tenancy.CrossTenantApprovals)
		}
	}
	first := func(change func(*bundle.NamedApproval)) func(*bundle.Manifest) {
		return approvals(func(a []bundle.NamedApproval) []bundle.NamedApproval { change(&a[0]); return a })
	}
	for name, tt := range map[string]struct {
		spoil func(*bundle.Manifest)
		says  string
	}{
		"no tenancy":             {func(m *bundle.Manifest) { m.Tenancy = nil }, "no approval is named"},
		"nobody asked for":       {func(m *bundle.Manifest) { m.Selectors = json.RawMessage(`{}`) }, "do not ask for"},
		"evidence nobody asked":  {func(m *bundle.Manifest) { m.Tenancy, m.Selectors = nil, json.RawMessage(`{}`) }, "no approval that covers it"},
		"names in another case":  {func(m *bundle.Manifest) { m.Selectors = json.RawMessage(`{"Tenants":["acme","globex","initech"]}`) }, "do not ask for"},
		"own tenant missing":     {func(m *bundle.Manifest) { m.Selectors = json.RawMessage(`{"tenants":["globex","initech"]}`) }, "whose run it is"},
		"tenants are no list":    {func(m *bundle.Manifest) { m.Selectors = json.RawMessage(`{"tenants":"globex"}`) }, "not a list"},
		"one approval gone":      {approvals(func(a []bundle.NamedApproval) []bundle.NamedApproval { return a[:1] }), "initech"},
		"no approvals":           {approvals(func([]bundle.NamedApproval) []bundle.NamedApproval { return nil }), "0 approvals"},
		"another tenant's run":   {func(m *bundle.Manifest) { m.Tenancy.Tenant = "umbrella" }, "differs from the manifest"},
		"another project's run":  {func(m *bundle.Manifest) { m.Tenancy.Project += "x" }, "differs from the manifest"},
		"of the own tenant":      {first(func(a *bundle.NamedApproval) { a.Tenant = "acme" }), "not another tenant"},
		"of no tenant":           {first(func(a *bundle.NamedApproval) { a.Tenant = "../b" }), "not another tenant"},
		"of one project only":    {first(func(a *bundle.NamedApproval) { a.Project = "web" }), "data/tenants/globex/_/"},
		"of no project's name":   {first(func(a *bundle.NamedApproval) { a.Project = "a/b" }), "not a project"},
		"over before the run":    {first(func(a *bundle.NamedApproval) { a.ExpiresAt = "2026-11-21T08:00:00Z" }), "was over"},
		"an end in another form": {first(func(a *bundle.NamedApproval) { a.ExpiresAt = "2027-01-01T00:00:00+00:00" }), "expiresAt"},
		"nobody approved":        {first(func(a *bundle.NamedApproval) { a.Approver = "" }), "approver"},
		"a terminal's words":     {first(func(a *bundle.NamedApproval) { a.Approver = "\x1b[2J" }), "approver"},
		"no key":                 {first(func(a *bundle.NamedApproval) { a.KeyID = "k" }), "keyId"},
		"no envelope":            {first(func(a *bundle.NamedApproval) { a.Digest = bundle.Digest{} }), "digest"},
		"not in order":           {approvals(func(a []bundle.NamedApproval) []bundle.NamedApproval { return []bundle.NamedApproval{a[1], a[0]} }), "does not come after"},
		"twice":                  {approvals(func(a []bundle.NamedApproval) []bundle.NamedApproval { return append(a[:1:1], a...) }), "does not come after"},
		"all and one besides": {approvals(func(a []bundle.NamedApproval) []bundle.NamedApproval {
			b := a[0]
			b.Project = "web"
			return []bundle.NamedApproval{a[0], b, a[1]}
		}), "covers all"},
		"a directory of one's own": {func(m *bundle.Manifest) {
			c := m.Contents
			for i := range c {
				c[i].Path = strings.Replace(c[i].Path, "data/tenants/globex", "data/tenants/acme", 1)
			}
			byOrder := make([]bundle.Content, len(c))
			for _, one := range c {
				byOrder[one.Order] = one
			}
			require.NoError(t, m.SetContents(byOrder))
		}, "evidence of acme"},
	} {
		m := sharedManifest(t)
		tt.spoil(&m)
		_, err := m.Encode()
		require.ErrorContains(t, err, tt.says, name)
	}
}

func TestProvenanceHasTheManifestsTenancy(t *testing.T) {
	m, digest := sharedManifest(t), bundle.DigestOf([]byte("manifest"))
	p := bundle.NewProvenance(m, digest, json.RawMessage(`{}`), nil)
	require.NoError(t, p.Describes(m, digest))
	encoded, err := p.Encode()
	require.NoError(t, err)
	_, err = bundle.ParseProvenance(encoded)
	require.NoError(t, err)
	p.Predicate.BuildDefinition.ExternalParameters.Tenancy = nil
	require.ErrorContains(t, p.Describes(m, digest), "tenancy")
	other := *m.Tenancy
	other.CrossTenantApprovals = append([]bundle.NamedApproval(nil), other.CrossTenantApprovals...)
	other.CrossTenantApprovals[0].Approver = "somebody else"
	p.Predicate.BuildDefinition.ExternalParameters.Tenancy = &other
	require.ErrorContains(t, p.Describes(m, digest), "tenancy")
}

func TestReadmeTellsWhoseEvidenceIsThere(t *testing.T) {
	text := string(bundle.Readme(sharedManifest(t), nil))
	for _, part := range []string{"## Evidence of other tenants", "| globex/_ | 2 |", "| initech/web | 2 |", "| globex | all | ops | 2027-01-01T00:00:00Z |", "data/tenants/<tenant>/<project>/", "find data -name"} {
		require.Contains(t, text, part)
	}
	require.NotContains(t, string(bundle.Readme(goodManifest(t), nil)), "tenants/")
	require.Contains(t, string(bundle.VerifyGuide(sharedManifest(t))), "find data -name '*.zst'")
}

// Directories of tenants and projects cannot be mixed up, and their names fit an archive.
func TestShardsOfTenantsHaveTheirOwnDirectories(t *testing.T) {
	require.Equal(t, "data/tenants/globex/_/vex-0000000000000000.jsonl.zst", bundle.TenantShardPath("globex", "_", "vex", "k", true))
	long := strings.Repeat("x", 63)
	path := bundle.TenantShardPath(long, long, "attestations", "k", false)
	_, err := bundle.Header(path, 1)
	require.NoError(t, err)
	require.Equal(t, "attestations", bundle.Content{Path: path}.Type())
	for _, bad := range []string{
		"data/tenants/globex/vex-0000000000000000.jsonl.zst", "data/tenants/_/_/vex-0000000000000000.jsonl.zst",
		"data/tenants/globex/../vex-0000000000000000.jsonl.zst", "data/tenants/Globex/_/vex-0000000000000000.jsonl.zst",
		"data/tenants/globex/a/b/vex-0000000000000000.jsonl.zst", "data/raw/globex/_/vex-0000000000000000.jsonl.zst",
	} {
		require.Empty(t, bundle.Content{Path: bad}.Type(), bad)
	}
}

func goodApproval() bundle.Approval {
	return bundle.Approval{Version: "1", Reader: "acme", Profile: "nightly", Tenant: "globex", Project: "web", Approver: "ops", ExpiresAt: "2027-01-01T00:00:00Z"}
}

func TestApprovalsHaveOneForm(t *testing.T) {
	encoded, err := goodApproval().Encode()
	require.NoError(t, err)
	require.Equal(t, `{"approver":"ops","expiresAt":"2027-01-01T00:00:00Z","profile":"nightly","project":"web","reader":"acme","tenant":"globex","version":"1"}`, string(encoded))
	again, err := bundle.ParseApproval(encoded)
	require.NoError(t, err)
	require.Equal(t, goodApproval(), again)
	for field, spoil := range map[string]func(*bundle.Approval){
		"version":   func(a *bundle.Approval) { a.Version = "2" },
		"reader":    func(a *bundle.Approval) { a.Reader = "" },
		"tenant":    func(a *bundle.Approval) { a.Tenant = "*" },
		"own":       func(a *bundle.Approval) { a.Tenant = "acme" },
		"profile":   func(a *bundle.Approval) { a.Profile = "" },
		"project":   func(a *bundle.Approval) { a.Project = "A" },
		"approver":  func(a *bundle.Approval) { a.Approver = "\n" },
		"expiresAt": func(a *bundle.Approval) { a.ExpiresAt = "2027-01-01" },
	} {
		a := goodApproval()
		spoil(&a)
		_, err := a.Encode()
		require.ErrorContains(t, err, field)
	}
}

func FuzzParseApproval(f *testing.F) {
	encoded, err := goodApproval().Encode()
	require.NoError(f, err)
	f.Add(encoded)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := bundle.ParseApproval(raw)
		if err != nil {
			return
		}
		again, err := a.Encode()
		if err != nil || string(again) != string(raw) {
			t.Fatalf("accepted %q, which is written %q (%v)", raw, again, err)
		}
	})
}
