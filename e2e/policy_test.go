package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
)

// ownRules is a policy of a tenant's own.
const ownRules = `package stellaops.policy

default decision := {"action": "warn", "reason": "somebody has to look", "rules": ["default"]}

decision := {"action": "suppress", "reason": "its maker says so", "rules": ["stated"]} if {
	input.vex.status == "not_affected"
} else := {"action": "block", "reason": sprintf("%s has a fix", [input.advisory.id]), "rules": ["has-a-fix"]} if {
	count(input.match.fixed) > 0
	startswith(input.component.purl, "pkg:pypi/")
}
`

// packOf writes a policy pack.
func packOf(t *testing.T, revision, rules string) string {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	for _, f := range [][2]string{{".manifest", `{"revision":"` + revision + `","rego_version":1,"roots":[""]}`}, {"decision.rego", rules}} {
		require.NoError(t, archive.WriteHeader(&tar.Header{Name: f[0], Mode: 0o644, Size: int64(len(f[1])), Typeflag: tar.TypeReg}))
		_, err := archive.Write([]byte(f[1]))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	require.NoError(t, zipped.Close())
	path := filepath.Join(t.TempDir(), "pack.tar.gz")
	require.NoError(t, os.WriteFile(path, out.Bytes(), 0o600))
	return path
}

// TestDecisionsByATenantsOwnPolicy: a pack is imported over HTTP, a run decides by it,
// anybody decides again from the bundle alone, and an advisory that changes changes
// its own decisions and no others.
func TestDecisionsByATenantsOwnPolicy(t *testing.T) {
	t.Parallel() // a house of its own, which mostly waits
	h := openHouse(t)
	sample := filepath.Join(repository, "ledger", "sample")
	var imported counts
	h.must(t, &imported, "ledger", "import", filepath.Join(sample, "osv"), filepath.Join(sample, "sbom"), filepath.Join(sample, "vex"))
	require.Zero(t, imported.Rejected)

	_, code := h.stella(t, "policy", "import", packOf(t, "1", strings.Replace(ownRules, "default decision", "x := http.send({})\n\ndefault decision", 1)), "--name", "house-rules")
	require.Equal(t, 2, code, "a pack that asks the network is refused")
	var snapshot struct{ ID, Version string }
	h.must(t, &snapshot, "policy", "import", packOf(t, "2026-11-22", ownRules), "--name", "house-rules")
	require.Equal(t, "2026-11-22", snapshot.Version)

	before := h.decides(t, snapshot.ID)
	require.Equal(t, map[string]string{
		"pkg:composer/wanderlust/kalender@4.4.1 EXC-2026-0010":                     "warn",
		"pkg:golang/gitforge.example/harbourmaster/manifest@v1.3.1 EXC-2026-0005":  "warn",
		"pkg:maven/example.copperleaf/copperleaf-xml@3.2.7?type=jar EXC-2026-0007": "suppress",
		"pkg:npm/lanternfish-router@2.3.0 EXC-2026-0001":                           "warn",
		"pkg:nuget/Marigold.Forms@5.0.4 EXC-2026-0008":                             "warn",
		"pkg:pypi/brass-kettle@0.9.3 EXC-2026-0004":                                "block",
		"pkg:pypi/tidepool-client@1.11.0 EXC-2026-0003":                            "block",
	}, before)

	raw, err := os.ReadFile(filepath.Join(sample, "osv", "EXC-2026-0004.json"))
	require.NoError(t, err)
	var advisory map[string]any
	require.NoError(t, json.Unmarshal(raw, &advisory))
	advisory["modified"] = "2026-11-20T00:00:00Z"
	affected := advisory["affected"].([]any)[0].(map[string]any)
	affected["versions"] = []string{"0.9.0"}
	affected["ranges"].([]any)[0].(map[string]any)["events"] = []map[string]string{{"introduced": "0"}, {"fixed": "0.9.3"}}
	raw, err = json.Marshal(advisory)
	require.NoError(t, err)
	changed := filepath.Join(t.TempDir(), "EXC-2026-0004.json")
	require.NoError(t, os.WriteFile(changed, raw, 0o600))
	h.must(t, &imported, "ledger", "import", "--stream", "osv", changed)
	require.Equal(t, 1, imported.Accepted)

	delete(before, "pkg:pypi/brass-kettle@0.9.3 EXC-2026-0004")
	require.Equal(t, before, h.decides(t, snapshot.ID), "the decisions of one advisory, and no others, have changed")
}

// decides runs json:policy by a snapshot, has the bundle verified and decided again, and
// gives the actions by package URL and advisory.
func (h *house) decides(t *testing.T, snapshot string) map[string]string {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "policy.tar")
	var run exported
	h.must(t, &run, "export", "run", "json:policy", "--policy-snapshot", snapshot, "--wait", "--output", archive)
	_, code := h.stella(t, "verify", archive, "--trust", h.env["STELLA_TRUST"])
	require.Zero(t, code)
	out, err := exec.Command(program(t, "exportcenter"), "policy", "replay", archive, "--trust", h.env["STELLA_TRUST"]).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "SAME DECISIONS")

	actions := map[string]string{}
	file, err := os.Open(archive)
	require.NoError(t, err)
	defer file.Close()
	for entries := tar.NewReader(file); ; {
		header, err := entries.Next()
		if err == io.EOF {
			return actions
		}
		require.NoError(t, err)
		if !strings.HasPrefix(header.Name, "data/policy/findings-") {
			continue
		}
		lines, err := bundle.OpenPayload(entries)
		require.NoError(t, err)
		for decoder := json.NewDecoder(lines); decoder.More(); {
			var finding struct {
				Advisory  struct{ ID string }
				Component struct{ Purl string }
				Action    string
			}
			require.NoError(t, decoder.Decode(&finding))
			actions[finding.Component.Purl+" "+finding.Advisory.ID] = finding.Action
		}
	}
}
