package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

// asks is a command of stella that does open a socket: the control of the traps.
var asks = []string{"ledger", "stats", "--server", "http://127.0.0.1:9"}

// TestVerifyOpensNoSocket watches the system calls of the real program.
func TestVerifyOpensNoSocket(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		testkit.Missing(t, "strace")
	}
	a := newAuditor(t)
	t.Setenv("STELLA_TOKEN", "x")
	good := a.write(t, "good.tar", bundletest.Build(t, bundletest.Options{Signer: a.signer}))
	cut := a.write(t, "cut.tar", []byte("no bundle"))
	once := func(args ...string) (string, error) {
		log := filepath.Join(a.dir, "calls")
		err := exec.Command(strace, append([]string{"-f", "-qq", "-e", "trace=network,io_uring_setup", "-e", "signal=none", "-o", log, a.stella}, args...)...).Run()
		out, readErr := os.ReadFile(log)
		require.NoError(t, readErr)
		return string(out), err
	}
	// A thread that ends while strace looks at it leaves a line that names no call, of
	// which nobody can say that it was none: then it is asked again.
	calls := func(args ...string) (seen string, err error) {
		for range 5 {
			if seen, err = once(args...); !strings.Contains(seen, "???( <detached ...>") {
				break
			}
		}
		return seen, err
	}
	seen, _ := calls(asks...)
	if !strings.Contains(seen, "socket(") {
		testkit.Missing(t, "the right to trace with strace")
	}
	for _, path := range []string{good, cut, filepath.Join(a.dir, "absent.tar")} {
		seen, err := calls("verify", path, "--trust", a.dir)
		require.Equal(t, path == good, err == nil)
		require.Empty(t, seen, "calls of the network")
	}
}

// TestVerifyWithoutANetwork runs the real program where there is none, not even
// loopback.
func TestVerifyWithoutANetwork(t *testing.T) {
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		testkit.Missing(t, "unshare")
	}
	a := newAuditor(t)
	alone := func(args ...string) (string, error) {
		out, err := exec.Command(unshare, append([]string{"--net", "--map-root-user", a.stella}, args...)...).CombinedOutput()
		return string(out), err
	}
	if out, err := alone("--help"); err != nil {
		testkit.Missing(t, "network namespaces: "+out)
	}
	t.Setenv("STELLA_TOKEN", "x")
	out, err := alone(asks...)
	require.Error(t, err)
	require.Contains(t, out, "unreachable", "the control finds no network")
	out, err = alone("verify", a.write(t, "good.tar", bundletest.Build(t, bundletest.Options{Signer: a.signer})), "--trust", a.dir)
	require.NoError(t, err, out)
	require.Contains(t, out, "VERIFIED")
}

// dials matches the functions without which no connection can be made.
var dials = regexp.MustCompile(`(?m) (net\.\(\*(Dialer|sysDialer|netFD|Resolver)\)\..*|net\.Dial.*|syscall\.(connect|socket|sendto|Connect|Socket))$`)

// TestVerifierCannotDial links a program that only verifies, and finds that the
// linker kept nothing to dial with: package net is there for the addresses in
// certificates alone.
func TestVerifierCannotDial(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	require.NoError(t, os.WriteFile(source, []byte(`package main

import (
	"context"
	"os"

	"github.com/stella-ops/exportcenter/bundle/verify"
)

func main() {
	trust, err := verify.LoadTrust(os.Args[1], os.Args[2])
	if err == nil {
		_, err = verify.File(context.Background(), os.Args[3], trust, verify.WithEvidence())
	}
	if err != nil {
		os.Exit(1)
	}
}
`), 0o600))
	only := filepath.Join(dir, "only")
	run := func(args ...string) string {
		cmd := exec.Command("go", args...)
		cmd.Dir = repository
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	run("build", "-o", only, source)
	require.Contains(t, run("tool", "nm", only), "bundle/verify.Reader")
	require.Empty(t, dials.FindAllString(run("tool", "nm", only), -1))
	require.NotEmpty(t, dials.FindAllString(run("tool", "nm", program(t, "stella")), -1), "the control: stella has a client too")
}
