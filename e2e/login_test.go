package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"

	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/internal/supervise"
	"github.com/stella-ops/exportcenter/signing/dpop"
)

// visitor is somebody who has logged in with `stella login`, with a directory of
// their own and no token in the environment.
type visitor struct {
	*house
	dir   string
	key   *dpop.Key
	token string
}

func (h *house) login(t *testing.T, client string, register ...string) *visitor {
	t.Helper()
	v := &visitor{house: h, dir: filepath.Join(t.TempDir(), "stella")}
	secret, err := exec.Command(program(t, "exportcenter"), append([]string{"client", "add", client, "--data", h.dir}, register...)...).Output()
	require.NoError(t, err)
	out, err := v.stella(t, "login", "--client-id", client, "--client-secret-file", v.file(t, "given", secret))
	require.NoError(t, err, out)
	v.read(t)
	return v
}

func (v *visitor) file(t *testing.T, name string, content []byte) string {
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// stella runs a command as the visitor.
func (v *visitor) stella(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(program(t, "stella"), args...)
	cmd.Env = append(os.Environ(), "STELLA_SERVER="+v.env["STELLA_SERVER"], "STELLA_TOKEN=", "STELLA_TENANT=", "STELLA_CONTEXT=", "STELLA_CONFIG_DIR="+v.dir)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// read takes the key and the token that the last command used.
func (v *visitor) read(t *testing.T) {
	_, err := v.stella(t, "whoami")
	require.NoError(t, err)
	raw, err := os.ReadFile(filepath.Join(v.dir, "contexts", "default", "key.pem"))
	require.NoError(t, err)
	v.key, err = dpop.ParseKey(raw)
	require.NoError(t, err)
	raw, err = os.ReadFile(filepath.Join(v.dir, "contexts", "default", "token.json"))
	require.NoError(t, err)
	var saved struct{ Token string }
	require.NoError(t, json.Unmarshal(raw, &saved))
	v.token = saved.Token
}

const mePath = "/api/export/me"

func (v *visitor) proof(t *testing.T, nonce string) string {
	proof, err := v.key.Proof(dpop.Claims{Method: "GET", Address: v.env["STELLA_SERVER"] + mePath, Token: v.token, Nonce: nonce, Now: time.Now()})
	require.NoError(t, err)
	return proof
}

// send asks a server who calls, as the visitor with this proof.
func (v *visitor) send(t *testing.T, server, proof string) *http.Response {
	t.Helper()
	req, err := http.NewRequest("GET", server+mePath, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "DPoP "+v.token)
	if proof != "" {
		req.Header.Set("DPoP", proof)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp
}

// answered sends until the answer is more than that the database is away: behind
// its restart connections to it are found dead one by one.
func (v *visitor) answered(t *testing.T, server string, proof func() string) *http.Response {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp := v.send(t, server, proof())
		if resp.StatusCode != http.StatusServiceUnavailable || time.Now().After(until) {
			return resp
		}
	}
}

func (v *visitor) requireReplayed(t *testing.T, server, proof, when string) {
	t.Helper()
	resp := v.send(t, server, proof)
	require.Equal(t, 401, resp.StatusCode, when)
	require.Contains(t, resp.Header.Get("WWW-Authenticate"), "invalid_dpop_proof", when)
}

// TestLogin: credentials that are bound to a key, with the real parts. A proof
// serves once over two API processes and their restart; when PostgreSQL crashes and
// forgets, no proof from before counts, and the client does not notice.
func TestLogin(t *testing.T) {
	t.Parallel() // a house of its own, which mostly waits
	h := openHouse(t)
	v := h.login(t, "ci", "--tenant", "demo", "--role", "Export.Operator")
	server := h.env["STELLA_SERVER"]

	require.Equal(t, 401, v.send(t, server, "").StatusCode, "a bound token is not taken plain")
	proof := v.proof(t, "")
	require.Equal(t, 200, v.send(t, server, proof).StatusCode)
	v.requireReplayed(t, server, proof, "at the same process")
	other := h.secondAPI(t)
	v.requireReplayed(t, other, proof, "at another process")
	proof = v.proof(t, "")
	require.Equal(t, 200, v.send(t, other, proof).StatusCode)
	v.requireReplayed(t, server, proof, "at the first")

	api := h.child(" api ")
	require.NoError(t, syscall.Kill(api, syscall.SIGKILL))
	h.waitChild(t, " api ", api)
	h.waitReady(t, time.Minute)
	v.requireReplayed(t, server, proof, "after a restart of the process")

	postgres := h.child("postgres")
	require.NoError(t, syscall.Kill(postgres, syscall.SIGQUIT))
	h.waitChild(t, "postgres", postgres)
	h.waitReady(t, time.Minute)
	resp := v.answered(t, server, func() string { return proof })
	require.Equal(t, 401, resp.StatusCode, "after a crash of the database")
	require.Contains(t, resp.Header.Get("WWW-Authenticate"), "use_dpop_nonce")
	nonce := resp.Header.Get("DPoP-Nonce")
	require.Equal(t, 200, v.answered(t, server, func() string { return v.proof(t, nonce) }).StatusCode)
	out, err := v.stella(t, "export", "list")
	require.NoError(t, err, out)

	for _, log := range []string{"api.log"} {
		content, err := os.ReadFile(filepath.Join(h.dir, "logs", log))
		require.NoError(t, err)
		require.NotContains(t, string(content), "eyJ", "tokens and proofs do not belong into logs")
	}
	t.Run("an administrator suspends the tenant", func(t *testing.T) { v.isSuspended(t) })
	t.Run("quotas of the tenant and of a profile", h.hasQuotas)
	t.Run("and has it removed", func(t *testing.T) { v.leaves(t) })
}

// isSuspended lets an administrator of the installation keep the visitor out.
func (v *visitor) isSuspended(t *testing.T) {
	root := v.login(t, "root", "--tenant", "_", "--scope", "tenant:manage")
	run := func(args ...string) string {
		out, err := root.stella(t, append([]string{"tenant"}, args...)...)
		require.NoError(t, err, out)
		return out
	}
	out, err := root.stella(t, "export", "list")
	require.Error(t, err, "whoever manages tenants opens none: %s", out)
	run("create", "demo")
	run("suspend", "demo", "--reason", "test")
	require.Contains(t, run("list"), "suspended")
	out, err = v.stella(t, "export", "list")
	require.Error(t, err)
	require.Contains(t, out, "TENANT_SUSPENDED")
	run("resume", "demo")
	_, err = v.stella(t, "export", "list")
	require.NoError(t, err)
}

// secondAPI starts another API process that clients reach under the same address,
// as behind a load balancer.
func (h *house) secondAPI(t *testing.T) string {
	cfg, err := config.Load(filepath.Join(h.dir, "config.yaml"))
	require.NoError(t, err)
	cfg.Listen = freeAddress(t)
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, cfg.Write(path))
	child := supervise.Start(supervise.Spec{
		Name: "api-2", Log: filepath.Join(h.dir, "logs", "api-2.log"), StopSignal: syscall.SIGTERM, Grace: 10 * time.Second,
		Command: func() (*exec.Cmd, error) {
			return exec.Command(program(t, "exportcenter"), "api", "--config", path), nil
		},
	}, func(e supervise.Exit) { t.Errorf("the second api ended: %s", e.Reason) })
	t.Cleanup(child.Stop)
	server := "http://" + cfg.Listen
	require.Eventually(t, func() bool {
		resp, err := http.Get(server + "/health/ready")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	}, time.Minute, 20*time.Millisecond)
	return server
}
