package main

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/profiles"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/signing/keyfile"
)

// What "export approve" prints stands in a profile file as it is, and counts where
// its key does; with the key of either form.
func TestExportApprove(t *testing.T) {
	dir := t.TempDir()
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", 32)))
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	plain, sealed, password := filepath.Join(dir, "plain.pem"), filepath.Join(dir, "sealed.key"), filepath.Join(dir, "password")
	require.NoError(t, os.WriteFile(plain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	require.NoError(t, keyfile.Write(sealed, private, []byte("secret")))
	require.NoError(t, os.WriteFile(password, []byte("secret\n"), 0o600))
	signer, err := signing.NewSigner(private)
	require.NoError(t, err)
	public, err := signing.ParsePublicKey(signer.PublicKeyPEM())
	require.NoError(t, err)
	asked := func(more ...string) []string {
		return append([]string{"export", "approve", "--tenant", "globex", "--reader", "acme", "--profile", "nightly", "--approver", "it's ops"}, more...)
	}
	const head = "apiVersion: stellaops.io/export.v1\nkind: ExportProfile\nmetadata: {name: nightly}\nspec:\n  kind: json\n  variant: raw\n  approvals:\n"
	for name, args := range map[string][]string{
		"a plain key":  asked("--project", "_", "--expires", "2027-01-01", "--key", plain),
		"a sealed key": asked("--project", "_", "--expires", "2027-01-01T00:00:00.9Z", "--key", sealed, "--password-file", password),
		"another zone": asked("--project", "_", "--expires", "2027-01-01T01:00:00+01:00", "--key", plain),
	} {
		text, err := stella(t, args...)
		require.NoError(t, err, name)
		file, err := client.ReadProfileFile([]byte(head + "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") + "\n"))
		require.NoError(t, err, "%s\n%s", name, text)
		require.Len(t, file.Spec.Approvals, 1)
		got := file.Spec.Approvals[0]
		require.Equal(t, "2027-01-01T00:00:00Z", got.ExpiresAt)
		ends, err := time.Parse(time.RFC3339, got.ExpiresAt)
		require.NoError(t, err)
		approval := export.Approval{Tenant: got.Tenant, Project: got.Project, Approver: got.Approver, ExpiresAt: ends, Signature: got.Signature}
		require.True(t, approval.Covers("globex", "_"))
		trust := profiles.CrossTenant{Enabled: true, Approvers: []signing.Verifier{public}}
		require.NoError(t, trust.Check(approval, "acme", export.Profile{Name: "nightly"}, ends.Add(-time.Second)))

		text, err = stella(t, append(args, "--format", "json")...)
		require.NoError(t, err)
		var again client.SpecApproval
		require.NoError(t, json.Unmarshal([]byte(text), &again))
		require.Equal(t, got, again)
	}
	open := filepath.Join(dir, "open.pem")
	require.NoError(t, os.WriteFile(open, []byte("x"), 0o644))
	for says, args := range map[string][]string{
		"--expires is missing": asked("--key", plain),
		"is not a day":         asked("--expires", "tomorrow", "--key", plain),
		"no approval":          append(asked("--expires", "2027-01-01", "--key", plain), "--reader", "globex"),
		"not a project":        asked("--expires", "2027-01-01", "--key", plain, "--project", "../x"),
		"chmod 600":            asked("--expires", "2027-01-01", "--key", open),
		"wrong password":       asked("--expires", "2027-01-01", "--key", sealed),
		"--key":                asked("--expires", "2027-01-01", "--key", password),
	} {
		_, err := stella(t, args...)
		require.ErrorContains(t, err, says)
		require.Equal(t, exitInput, exitCode(err), says)
	}
}

// The commands of docs/cross-tenant.md make the same approval with openssl alone.
func TestApprovalByOpenSSL(t *testing.T) {
	testkit.Tool(t, "openssl")
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "cross-tenant.md"))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(page), "```sh\n")
	require.True(t, found)
	script, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	dir := t.TempDir()
	run := func(text string) []byte {
		cmd := exec.Command("sh", "-ec", text)
		cmd.Dir = dir
		out, err := cmd.Output()
		require.NoError(t, err, "%s", text)
		return out
	}
	run("umask 077; openssl genpkey -algorithm ed25519 -out approver.pem; openssl pkey -in approver.pem -pubout -out approver.pub")
	envelope := run(script)
	text, err := os.ReadFile(filepath.Join(dir, "approver.pub"))
	require.NoError(t, err)
	key, err := signing.ParsePublicKey(text)
	require.NoError(t, err)
	ends := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	approval := export.Approval{Tenant: "globex", Approver: "ops", ExpiresAt: ends, Signature: string(envelope)}
	trust := profiles.CrossTenant{Enabled: true, Approvers: []signing.Verifier{key}}
	require.NoError(t, trust.Check(approval, "acme", export.Profile{Name: "nightly"}, ends.Add(-time.Second)))

	ours, err := stella(t, "export", "approve", "--tenant", "globex", "--reader", "acme", "--profile", "nightly", "--approver", "ops",
		"--expires", "2027-01-01", "--key", filepath.Join(dir, "approver.pem"), "--format", "json")
	require.NoError(t, err)
	var again client.SpecApproval
	require.NoError(t, json.Unmarshal([]byte(ours), &again))
	require.Equal(t, string(envelope), again.Signature, "Ed25519 signs the same text the same way")
}
