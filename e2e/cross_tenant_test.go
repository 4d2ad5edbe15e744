package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/internal/config"
)

// approverFiles makes a key of somebody who approves: the private half, and a
// directory with the public one.
func approverFiles(t *testing.T) (private, public string) {
	t.Helper()
	half, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	write := func(path, kind string, der []byte, err error) string {
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	dir := t.TempDir()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	private = write(filepath.Join(dir, "approver.pem"), "PRIVATE KEY", der, err)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "approvers"), 0o700))
	der, err = x509.MarshalPKIXPublicKey(half)
	return private, write(filepath.Join(dir, "approvers", "ops.pub"), "PUBLIC KEY", der, err)
}

// approvedProfile makes a profile of reader's with approvals that stella signed.
func (h *house) approvedProfile(t *testing.T, reader, name string, approvals ...client.SpecApproval) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"name": name, "kind": "json", "variant": "raw", "config": map[string]any{"approvals": approvals}})
	require.NoError(t, err)
	h.post(t, &neighbour{name: reader, token: h.tokenFor(t, reader)}, "/api/export/profiles", string(body))
}

func (h *house) approve(t *testing.T, key, tenant, reader, profile, expires string, more ...string) (a client.SpecApproval) {
	t.Helper()
	h.must(t, &a, append([]string{"export", "approve", "--tenant", tenant, "--reader", reader, "--profile", profile, "--approver", "ops", "--key", key, "--expires", expires}, more...)...)
	return a
}

// TestEvidenceOfTwoTenantsInARealHouse: a run of acme's reads globex under a signed
// approval, with the programs as they are: its bundle is verified and holds both,
// globex sees in its record who read it, nothing else is read or told, and when the
// worker does not allow it, what the API allows is refused.
func TestEvidenceOfTwoTenantsInARealHouse(t *testing.T) {
	t.Parallel() // a house of its own, which mostly waits
	private, public := approverFiles(t)
	h := openHouseOf(t, "", "--cross-tenant-approver", public)
	tokens := map[string]string{}
	for _, tenant := range []string{"acme", "globex", "initech"} {
		tokens[tenant] = h.tokenFor(t, tenant)
		file := filepath.Join(t.TempDir(), "doc.json")
		require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `{"id":"EXC-%s","modified":"2026-01-01T00:00:00Z","summary":"canary-of-%s"}`, tenant, tenant), 0o600))
		out, code := h.stellaAs(t, tokens[tenant], "ledger", "import", file)
		require.Zero(t, code, "%s", out)
	}
	until := time.Now().AddDate(1, 0, 0).UTC().Format(time.DateOnly)
	h.approvedProfile(t, "acme", "nightly", h.approve(t, private, "globex", "acme", "nightly", until))
	over := h.approve(t, private, "globex", "acme", "late", "2026-01-01")
	h.approvedProfile(t, "acme", "late", over)
	h.approvedProfile(t, "acme", "copied", h.approve(t, private, "globex", "acme", "nightly", until))
	h.approvedProfile(t, "initech", "nightly", h.approve(t, private, "globex", "acme", "nightly", until))
	h.approvedProfile(t, "acme", "nobody", h.approve(t, private, "absent", "acme", "nobody", until))
	asked := func(profile string, tenants ...string) []string {
		args := []string{"export", "run", profile}
		for _, tenant := range tenants {
			args = append(args, "--select", "tenant="+tenant)
		}
		return args
	}

	t.Run("approved", func(t *testing.T) {
		archive := filepath.Join(t.TempDir(), "bundle.tar")
		out, code := h.stellaAs(t, tokens["acme"], append(asked("nightly", "acme", "globex"), "--wait", "--output", archive, "--format", "json")...)
		require.Zero(t, code, "%s\n%s", out, h.tail())
		var run exported
		require.NoError(t, json.Unmarshal(out, &run))
		out, code = h.stella(t, "verify", archive, "--trust", h.env["STELLA_TRUST"], "--approvers", filepath.Dir(public), "--evidence")
		require.Zero(t, code, "%s", out)
		require.Contains(t, string(out), `evidence of globex, by "ops" until `+until)
		unpacked := unpack(t, archive)
		requireRuns(t, unpacked, "sha256sum", "--strict", "--quiet", "-c", "checksums.txt")
		for tenant, dir := range map[string]string{"acme": "data/raw", "globex": "data/tenants/globex/_"} {
			lines := 0
			eachLine(t, filepath.Join(unpacked, dir, "advisories-0000000000000000.jsonl.zst"), func(line []byte) {
				require.Contains(t, string(line), "canary-of-"+tenant)
				lines++
			})
			require.Equal(t, 1, lines)
		}
		provenance, err := os.ReadFile(filepath.Join(unpacked, "manifests/provenance.json"))
		require.NoError(t, err)
		require.Contains(t, string(provenance), `"crossTenantApprovals":[{"approver":"ops","digest":"sha256:`)
		listed := h.get(t, &neighbour{name: "globex", token: tokens["globex"]}, "/api/audit/entries?event=tenant.read")
		entry := listed["entries"].([]any)[0].(map[string]any)["reading"].(map[string]any)
		require.Equal(t, "acme", entry["reader"])
		require.Equal(t, run.RunID, entry["runId"])
		status, _, _ := h.call(t, &neighbour{name: "globex", token: tokens["globex"]}, "GET", "/api/export/runs/"+run.RunID, "")
		require.Equal(t, 404, status, "the run is the reader's")
	})
	t.Run("refused", func(t *testing.T) {
		said := map[string]bool{}
		for name, tt := range map[string]struct{ as, profile, tenant string }{
			"third tenant": {"acme", "nightly", "initech"}, "expired": {"acme", "late", "globex"}, "other profile": {"acme", "copied", "globex"},
			"other reader": {"initech", "nightly", "globex"}, "no such tenant": {"acme", "nobody", "absent"}, "none": {"acme", "json:raw", "globex"},
		} {
			status, _, answer := h.call(t, &neighbour{name: tt.as, token: tokens[tt.as]}, "POST", "/api/export/runs",
				fmt.Sprintf(`{"profileId":%q,"selectors":{"tenants":[%q,%q]}}`, tt.profile, tt.as, tt.tenant))
			require.Equal(t, 403, status, "%s: %s", name, answer)
			problem := decoded(t, answer)
			require.Equal(t, "ERR_EXPORT_008", problem["code"])
			profile := map[bool]string{true: "json-raw", false: tt.profile}[tt.profile == "json:raw"]
			said[strings.NewReplacer("profile "+profile, "profile P", `"`+tt.tenant+`"`, "T").Replace(problem["message"].(string))] = true
		}
		require.Len(t, said, 1, "one refusal for every reason: %v", said)
	})
	t.Run("fsck stays within each tenant", func(t *testing.T) { h.fsck(t, 20*time.Second, "--deep") })
	t.Run("the worker has the last word", func(t *testing.T) {
		path := filepath.Join(h.dir, "config.yaml")
		cfg, err := config.Load(path)
		require.NoError(t, err)
		cfg.CrossTenant = config.CrossTenant{}
		require.NoError(t, cfg.Write(path))
		// It comes back with the file as it is now; the api goes on with what it has read.
		since := time.Now()
		h.waitBack(t, h.strike(t, syscall.SIGTERM, "worker"), since)
		out, code := h.stellaAs(t, tokens["acme"], append(asked("nightly", "acme", "globex"), "--wait", "--format", "json")...)
		require.Equal(t, 1, code, "%s\n%s", out, h.tail())
		var run exported
		require.NoError(t, json.Unmarshal(out, &run))
		ended := h.get(t, &neighbour{name: "acme", token: tokens["acme"]}, "/api/export/runs/"+run.RunID)
		require.Equal(t, "failed", ended["status"])
		failure := ended["error"].(map[string]any)
		require.Equal(t, "ERR_EXPORT_008", failure["code"])
		require.Contains(t, failure["message"], "switched off")
	})
}
