package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

// stranger has a directory with a mirror, bundles of it and keys to trust, and nothing else.
type stranger struct {
	t   *testing.T
	dir string
	// within runs the program: in an empty environment, and where there is no network if
	// this machine can make such a place.
	within []string
}

// rebuilt is what `exportcenter rebuild` answers.
type rebuiltBundle struct {
	Verdict, ExportID, Profile, Mirror string
	Generation, Documents, Files       int64
	First                              *struct {
		Path, What, Document string
		Line                 int64
	}
}

func newStranger(t *testing.T, h *house) *stranger {
	dir, err := os.MkdirTemp("", "stranger-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711), "PostgreSQL drops root and must get in")
	t.Cleanup(func() { os.RemoveAll(dir) })
	keys, err := filepath.Glob(filepath.Join(h.env["STELLA_TRUST"], "*.pub"))
	require.NoError(t, err)
	for _, key := range keys {
		text, err := os.ReadFile(key)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(key)), text, 0o644))
	}
	s := &stranger{t: t, dir: dir}
	if unshare, err := exec.LookPath("unshare"); err == nil && exec.Command(unshare, "--net", "true").Run() == nil {
		s.within = []string{unshare, "--net"}
	} else {
		testkit.Missing(t, "unshare --net")
	}
	return s
}

// rebuild runs the program on a mirror, or on a bundle of it.
func (s *stranger) rebuild(bundles ...string) (rebuiltBundle, int, string) {
	s.t.Helper()
	return s.rebuildFrom("mirror.tar", bundles...)
}

func (s *stranger) rebuildFrom(mirror string, bundles ...string) (rebuiltBundle, int, string) {
	s.t.Helper()
	args := append(append([]string{}, s.within...), program(s.t, "exportcenter"), "rebuild", "--from", mirror, "--trust", ".", "--format", "json",
		"--scratch", filepath.Join(s.dir, "scratch"))
	for _, b := range bundles {
		args = append(args, "--bundle", b)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = s.dir, []string{}
	out, err := cmd.Output()
	var r rebuiltBundle
	var said string
	if failed, ok := err.(*exec.ExitError); ok {
		said = string(failed.Stderr)
	}
	if len(out) > 0 {
		require.NoError(s.t, json.Unmarshal(out, &r), "%s", out)
	}
	left, _ := filepath.Glob(filepath.Join(s.dir, "scratch", "*"))
	require.Empty(s.t, left, "nothing is left")
	return r, cmd.ProcessState.ExitCode(), said
}

// stella runs a command that needs no service, where the files are.
func (s *stranger) stella(args ...string) {
	s.t.Helper()
	cmd := exec.Command(program(s.t, "stella"), append(args, "--trust", ".")...)
	cmd.Dir, cmd.Env = s.dir, []string{"HOME=" + s.dir}
	out, err := cmd.CombinedOutput()
	require.NoError(s.t, err, "%v: %s", args, out)
}

// TestAStrangerBuildsEveryKindAgain has a house make a mirror and a bundle of every kind
// that belongs to it. Somebody who has these files, and no service, builds each again.
func TestAStrangerBuildsEveryKindAgain(t *testing.T) {
	t.Parallel() // a house of its own, which mostly waits
	h := openHouse(t)
	s := newStranger(t, h)
	sample := filepath.Join(repository, "ledger", "sample")
	var imported counts
	h.must(t, &imported, "ledger", "import", filepath.Join(sample, "osv"), filepath.Join(sample, "sbom"), filepath.Join(sample, "vex"))
	// The same bytes in two streams, and an id in two streams with other bytes.
	h.must(t, &imported, "ledger", "import", "--stream", "second", filepath.Join(sample, "osv", "EXC-2026-0001.json"))
	require.Equal(t, 1, imported.Accepted)
	other := filepath.Join(t.TempDir(), "other.json")
	require.NoError(t, os.WriteFile(other, []byte(` {"id":"EXC-2026-0002","modified":"2026-01-01T00:00:00Z","summary":"kept as it is" }`+"\n"), 0o600))
	h.must(t, &imported, "ledger", "import", "--stream", "second", other)
	archives := filepath.Join(t.TempDir(), "archives.json") // a list of Java archives
	require.NoError(t, os.WriteFile(archives, []byte(`{"format":"stellaops.gav-list/v1","id":"central","modified":"2026-01-01T00:00:00Z","artifacts":[
		{"sha1":"0018d5c10ba151158b389adbdc5ef34420ada259","groupId":"org.example","artifactId":"shop","version":"1.2.3"}]}`), 0o600))
	h.must(t, &imported, "ledger", "import", archives)
	require.Equal(t, 1, imported.Accepted)
	var mirror exported
	h.must(t, &mirror, "export", "run", "mirror:full", "--wait", "--output", filepath.Join(s.dir, "mirror.tar"))
	// What came later is not in the mirror, and must not be in what belongs to it.
	require.NoError(t, os.WriteFile(other, []byte(`{"id":"EXC-2026-0002","modified":"2026-02-01T00:00:00Z","summary":"news"}`), 0o600))
	h.must(t, &imported, "ledger", "import", "--stream", "second", other)
	kinds := []string{"json:raw", "json:policy", "trivy:db", "trivy:java-db"}
	for _, kind := range kinds {
		var run exported
		h.must(t, &run, "export", "run", kind, "--mirror", mirror.RunID, "--wait", "--output", filepath.Join(s.dir, kind[:4]+kind[5:]+".tar"))
	}
	var alone exported
	h.must(t, &alone, "export", "run", "json:raw", "--wait", "--output", filepath.Join(s.dir, "alone.tar"))

	// The next mirror, and what leads to it from the first; and one that leaves encrypted.
	h.must(t, &imported, "ledger", "import", "--stream", "second", filepath.Join(sample, "osv", "EXC-2026-0003.json")) // or the guard sees a shrunken stream
	h.must(t, &imported, "ledger", "remove", "--source", "osv", "--stream", "second", "--kind", "advisory", "--reason", "withdrawn", "EXC-2026-0001")
	var next, delta, secret exported
	h.must(t, &next, "export", "run", "mirror:full", "--wait")
	h.must(t, &delta, "export", "run", "mirror:delta", "--base", mirror.RunID, "--wait", "--output", filepath.Join(s.dir, "delta.tar"))
	alice, profile := bundletest.Identity(t, 0), filepath.Join(t.TempDir(), "profile.yaml")
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "alice"), []byte(alice.String()+"\n"), 0o600))
	require.NoError(t, os.WriteFile(profile, []byte("apiVersion: stellaops.io/export.v1\nkind: ExportProfile\nmetadata: {name: secret}\n"+
		"spec: {kind: mirror, variant: full, encryption: {enabled: true, mode: aes-gcm, recipientKeys: ["+alice.Recipient().String()+"], strict: true}}\n"), 0o600))
	out, code := h.stella(t, "export", "profile", "create", "--file", profile)
	require.Zero(t, code, "%s", out)
	h.must(t, &secret, "export", "run", "secret", "--wait", "--output", filepath.Join(s.dir, "secret.tar"))

	// A document goes from the ledger behind everybody's back, and a bundle without it is
	// signed as one of the mirror.
	db := h.superuser(t)
	_, err := db.Exec(t.Context(), "delete from ledger_observations where upstream_id = 'EXC-2026-0004'")
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), "delete from export_plans")
	require.NoError(t, err)
	var lacking exported
	h.must(t, &lacking, "export", "run", "json:raw", "--mirror", mirror.RunID, "--wait", "--output", filepath.Join(s.dir, "lacking.tar"))
	h.stop(t)

	r, code, said := s.rebuild()
	require.Zero(t, code, said)
	require.Equal(t, "identical", r.Verdict)
	require.Equal(t, mirror.RunID, r.ExportID)
	require.EqualValues(t, 1, r.Generation)
	for _, kind := range kinds {
		r, code, said := s.rebuild(kind[:4] + kind[5:] + ".tar")
		require.Zero(t, code, "%s: %s %+v", kind, said, r.First)
		require.Equal(t, "identical", r.Verdict)
		require.Equal(t, kind, r.Profile)
		require.Equal(t, mirror.RunID, r.Mirror)
	}
	_, code, said = s.rebuildFrom("secret.tar")
	require.Equal(t, 4, code)
	require.Contains(t, said, "open it first")
	s.stella("export", "open", "secret.tar", "--identity", "alice", "--output", "opened.tar")
	r, code, said = s.rebuildFrom("opened.tar")
	require.Zero(t, code, "%s %+v", said, r.First)
	require.Equal(t, secret.RunID, r.ExportID)
	_, code, said = s.rebuildFrom("delta.tar")
	require.Equal(t, 4, code)
	require.Contains(t, said, "only a full mirror")
	s.stella("mirror", "init", "site", "mirror.tar")
	s.stella("mirror", "apply", "--base", "site", "delta.tar")
	r, code, said = s.rebuildFrom("site")
	require.Zero(t, code, "%s %+v", said, r.First)
	require.Equal(t, "identical", r.Verdict)
	require.Equal(t, next.RunID, r.ExportID)
	require.EqualValues(t, 2, r.Generation)
	r, code, _ = s.rebuild("lacking.tar")
	require.Equal(t, 1, code)
	require.Equal(t, "different", r.Verdict)
	require.Contains(t, r.First.Path, "data/raw/advisories-")
	require.Positive(t, r.First.Line)
	require.NotEmpty(t, r.First.Document)
	_, code, said = s.rebuild("alone.tar")
	require.Equal(t, 4, code)
	require.Contains(t, said, "does not name this mirror")
	_, code, said = s.rebuild("mirror.tar")
	require.Equal(t, 4, code)
	require.Contains(t, said, "give it with --from alone")
}
