package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

// verifySteps are the steps of verify, in order.
var verifySteps = []string{"walk", "require", "signatures", "manifest", "provenance", "checksums", "approvals", "contents", "seal", "evidence"}

// hurtMain is stella with something that happens before one step of verify:
// HURT is what, HURT_STEP before which, HURT_FILE to which file.
func hurtMain() {
	verifyOptions = []verify.Option{verify.WithWorkers(1), verify.WithSteps(func(ctx context.Context, step string) {
		if step == os.Getenv("HURT_STEP") {
			hurt(ctx, os.Getenv("HURT"), os.Getenv("HURT_FILE"))
		}
	})}
	main()
}

func hurt(ctx context.Context, how, file string) {
	var err error
	switch how {
	case "panic":
		panic("injected\x1b[2J")
	case "nil":
		var report *verify.Report
		report.Status = verify.StatusVerified
	case "interrupt":
		err = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		<-ctx.Done()
	case "cut":
		err = os.Truncate(file, 3*bundle.BlockSize)
	case "empty":
		err = os.Truncate(file, 0)
	case "spoil": // every byte of what follows the headers of the first entries
		var out *os.File
		if out, err = os.OpenFile(file, os.O_WRONLY, 0); err == nil {
			_, err = out.WriteAt(bytes.Repeat([]byte{'x'}, 20_000), bundle.BlockSize)
			err = errors.Join(err, out.Close())
		}
	default:
		panic("how should it hurt?")
	}
	if err != nil {
		panic(err)
	}
}

// verdict is what a stella process said.
type verdict struct {
	code           int // -1: ended by a signal
	report         verify.Report
	stdout, stderr string
}

// runStella runs a whole process, to its real end.
func runStella(t *testing.T, name string, stdout *os.File, env []string, args ...string) verdict {
	t.Helper()
	command := exec.Command(name, append([]string{"verify", "--format", "json"}, args...)...)
	var out, stderr bytes.Buffer
	command.Stdout, command.Stderr = &out, &stderr
	if stdout != nil {
		command.Stdout = stdout
	}
	command.Env = append(os.Environ(), env...)
	err := command.Run()
	var exit *exec.ExitError
	if err != nil {
		require.ErrorAs(t, err, &exit)
	}
	v := verdict{code: command.ProcessState.ExitCode(), stdout: out.String(), stderr: stderr.String()}
	if out.Len() > 0 {
		require.NoError(t, json.Unmarshal(out.Bytes(), &v.report), "%.300s", v.stdout)
	}
	return v
}

// evidenceBundle writes a bundle that passes every step, evidence too.
func evidenceBundle(t *testing.T, path string) []byte {
	t.Helper()
	doc := `{"id":"X"}`
	digest := bundle.DigestOf([]byte(doc)).String()
	line := `{"content":{"raw":` + doc + `},"format":"osv","kind":"advisory","linkset":{"aliases":[],"ecosystems":[],"products":[]},` +
		`"original":{"bytes":10,"digest":"` + digest + `"},"source":"osv","stream":"s","upstreamId":"X"}`
	archive := bundletest.Build(t, bundletest.Options{Shards: []bundletest.Shard{{Type: "advisories", Lines: []string{line}}}})
	require.NoError(t, os.WriteFile(path, archive, 0o600))
	return archive
}

// TestExitCodeIsHonest hurts the program before every step, through its real
// end: a panic, an interruption, and a file that changes while it is read. None
// ends with 0 or a report that says "verified" (TRUST V4).
func TestExitCodeIsHonest(t *testing.T) {
	dir := verifyRoom(t)
	file := filepath.Join(dir, "evidence.tar")
	args := []string{file, "--key", filepath.Join(dir, "key.pub"), "--evidence"}
	evidenceBundle(t, file)
	v := runStella(t, "stella-hurt", nil, nil, args...)
	require.Zero(t, v.code, v.stderr)
	require.Equal(t, verify.StatusVerified, v.report.Status)
	require.EqualValues(t, 1, v.report.Evidence.Identical, "every step has run")

	for _, c := range []struct {
		how    string
		steps  []string
		code   int
		reason verify.Reason
		says   string // in the message; STEP is the step
	}{
		{"panic", verifySteps, 5, verify.ReasonInternal, `in step STEP: "injected\x1b[2J"`},
		{"nil", verifySteps, 5, verify.ReasonInternal, `in step STEP: "runtime error: invalid memory address`},
		{"interrupt", []string{"walk", "contents", "evidence"}, 5, verify.ReasonInterrupted, "interrupted: context canceled"},
		{"cut", []string{"walk", "require", "signatures", "contents"}, 2, verify.ReasonTruncated, "shorter while it was read"},
		{"empty", []string{"walk", "signatures", "manifest", "provenance", "checksums", "contents"}, 2, verify.ReasonTruncated, "shorter while it was read"},
		{"spoil", []string{"contents"}, 2, verify.ReasonDigest, "expected sha256:"},
	} {
		for _, step := range c.steps {
			t.Run(c.how+" at "+step, func(t *testing.T) {
				evidenceBundle(t, file)
				v := runStella(t, "stella-hurt", nil, []string{"HURT=" + c.how, "HURT_STEP=" + step, "HURT_FILE=" + file}, args...)
				require.Equal(t, c.code, v.code, v.stderr)
				require.Equal(t, verify.StatusFailed, v.report.Status)
				require.Equal(t, c.reason, v.report.Failure.Reason, v.report.Failure.Message)
				require.Contains(t, v.report.Failure.Message, strings.ReplaceAll(c.says, "STEP", step))
				require.Contains(t, v.stderr, "not verified")
				require.NotContains(t, v.stderr, "\x1b")
			})
		}
	}
}

// TestReportNobodyCanRead: a good bundle whose report cannot be written is no
// success, whatever is at the other end.
func TestReportNobodyCanRead(t *testing.T) {
	dir := verifyRoom(t)
	args := []string{filepath.Join(dir, "good.tar"), "--key", filepath.Join(dir, "key.pub")}
	for _, format := range []string{"table", "json"} {
		t.Run("full disk, "+format, func(t *testing.T) {
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				testkit.Missing(t, "/dev/full: "+err.Error())
			}
			defer full.Close()
			v := runStella(t, "stella", full, nil, append(args, "--format", format)...)
			require.Equal(t, 5, v.code)
			require.Contains(t, v.stderr, "print the report")
			require.Contains(t, v.stderr, "no space left")
		})
		t.Run("closed pipe, "+format, func(t *testing.T) {
			read, write, err := os.Pipe()
			require.NoError(t, err)
			require.NoError(t, read.Close())
			defer write.Close()
			v := runStella(t, "stella", write, nil, append(args, "--format", format)...)
			require.NotZero(t, v.code)
		})
		t.Run("stdout that is only read, "+format, func(t *testing.T) {
			null, err := os.Open(os.DevNull)
			require.NoError(t, err)
			defer null.Close()
			v := runStella(t, "stella", null, nil, append(args, "--format", format)...)
			require.Equal(t, 5, v.code)
		})
	}
}

// panicking panics when it is written to.
type panicking struct{}

func (panicking) Write([]byte) (int, error) { panic("the printer's own fault") }

// TestPanicOutsideTheStepsIsAFailure: exit code 0 is behind every line of the
// command, not only behind the verifier's.
func TestPanicOutsideTheStepsIsAFailure(t *testing.T) {
	t.Chdir(verifyRoom(t))
	for _, format := range []string{"table", "json"} {
		require.Equal(t, 5, runCommand(t, panicking{}, "good.tar", "--key", "key.pub", "--format", format))
	}
	asJSON := format("json")
	err := runVerify(t.Context(), panicking{}, "good.tar", verifyFlags{key: "key.pub", format: &asJSON})
	require.ErrorContains(t, err, "not verified: the verifier itself failed")
}

// TestUnreadableFile: permissions do not hold root back, so root asks as nobody.
func TestUnreadableFile(t *testing.T) {
	dir := verifyRoom(t)
	for _, path := range []string{dir, filepath.Dir(dir)} {
		require.NoError(t, os.Chmod(path, 0o755))
	}
	file, key := filepath.Join(dir, "good.tar"), filepath.Join(dir, "key.pub")
	require.NoError(t, os.Chmod(key, 0o644))
	require.NoError(t, os.Chmod(file, 0))
	stella, err := exec.LookPath("stella")
	require.NoError(t, err)
	command := exec.Command(stella, "verify", file, "--key", key)
	if os.Getuid() == 0 {
		open := filepath.Join(dir, "stella")
		program, err := os.ReadFile(stella)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(open, program, 0o755))
		command.Path = open
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := command.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, 5, command.ProcessState.ExitCode(), "%s", out)
	require.Contains(t, string(out), "permission denied")
	require.NotContains(t, string(out), "\nVERIFIED")
}
