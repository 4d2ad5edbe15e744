package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/testkit"
)

// house is a running `exportcenter up`.
type house struct {
	dir string
	bin string // where its programs are, "" for those that were built
	// flags of `up` besides.
	flags []string
	up    *exec.Cmd
	log   *os.File
	env   map[string]string // what DIR/env exports
}

// repository is the root of the project, seen from this package.
const repository = ".."

// program gives the path of a built program. Without it the test is skipped by
// name, or fails where everything is required to be there.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(repository, "bin", name))
	require.NoError(t, err)
	if _, err := os.Stat(path); err != nil {
		testkit.Missing(t, "bin/"+name+" (run `make build`)")
	}
	return path
}

// openHouse starts a house on fresh data and free ports; it ends with the test.
func openHouse(t testing.TB) *house {
	t.Helper()
	return openHouseOf(t, "")
}

// openHouseOf starts a house of the programs in bin.
func openHouseOf(t testing.TB, bin string, flags ...string) *house {
	t.Helper()
	dir, err := os.MkdirTemp("", "exportcenter-e2e-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755), "PostgreSQL drops root and must get in")
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := &house{dir: filepath.Join(dir, "data"), bin: bin, flags: flags}
	h.start(t)
	t.Cleanup(func() { h.stop(t) })
	return h
}

// startWithin is how long `up` itself waits for its parts; on a machine with much else to do a start takes most of it.
const startWithin = 3 * time.Minute

// start starts `up` on the house's data and waits until it is ready.
func (h *house) start(t testing.TB) {
	t.Helper()
	h.launch(t)
	h.waitReady(t, startWithin)
}

// launch starts `up` without waiting for it.
func (h *house) launch(t testing.TB) {
	t.Helper()
	program(t, "exportcenter-temporal")
	log, err := os.OpenFile(h.dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	require.NoError(t, err)
	h.log = log
	up := program(t, "exportcenter")
	if h.bin != "" {
		up = filepath.Join(h.bin, "exportcenter")
	}
	h.up = exec.Command(up, append([]string{"up", "--data", h.dir, "--listen", "127.0.0.1:0"}, h.flags...)...)
	h.up.Stdout, h.up.Stderr = log, log
	require.NoError(t, h.up.Start())
	go h.up.Wait() //nolint:errcheck // reaps; its end is seen by the pid
}

// waitReady waits until the API says that all parts are there.
func (h *house) waitReady(t testing.TB, patience time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if h.env = readEnv(filepath.Join(h.dir, "env")); h.env["STELLA_SERVER"] != "" {
			if answer, err := http.Get(h.env["STELLA_SERVER"] + "/health/ready"); err == nil {
				answer.Body.Close()
				if answer.StatusCode == http.StatusOK {
					return
				}
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("not ready after %s:\n%s", patience, h.tail())
		}
	}
}

// stop ends `up` the way Ctrl-C does.
func (h *house) stop(t testing.TB) {
	t.Helper()
	if h.up == nil || !alive(h.up.Process.Pid) {
		return
	}
	require.NoError(t, h.up.Process.Signal(syscall.SIGINT))
	for deadline := time.Now().Add(30 * time.Second); alive(h.up.Process.Pid); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.up.Process.Kill()
			t.Errorf("`up` did not stop within 30 s of Ctrl-C:\n%s", h.tail())
			return
		}
	}
}

// tail is the end of what `up` and its children said.
func (h *house) tail() string {
	var out strings.Builder
	logs, _ := filepath.Glob(filepath.Join(h.dir, "logs", "*"))
	for _, path := range append([]string{h.dir + ".log"}, logs...) {
		content, _ := os.ReadFile(path)
		out.WriteString("--- " + filepath.Base(path) + "\n")
		out.Write(content[max(0, len(content)-3000):])
	}
	return out.String()
}

// logged counts the lines of a child's log that have text.
func (h *house) logged(t testing.TB, child, text string) int {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(h.dir, "logs", child+".log"))
	require.NoError(t, err)
	return strings.Count(string(content), text)
}

// readEnv reads the assignments of a shell file of `export NAME='value'` lines.
func readEnv(path string) map[string]string {
	env := map[string]string{}
	content, err := os.ReadFile(path)
	if err != nil {
		return env
	}
	lines := bufio.NewScanner(bytes.NewReader(content))
	for lines.Scan() {
		name, value, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "=")
		if ok {
			env[name] = strings.Trim(value, `'"`)
		}
	}
	return env
}

// child gives the pid of the child of `up` whose command line has word, 0 if
// there is none.
func (h *house) child(word string) int {
	for _, pid := range childrenOf(h.up.Process.Pid) {
		if strings.Contains(commandLine(pid), word) {
			return pid
		}
	}
	return 0
}

// waitChild waits for a child with word that is not the process before.
func (h *house) waitChild(t testing.TB, word string, before int) int {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if pid := h.child(word); pid != 0 && pid != before {
			return pid
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s child came back:\n%s", word, h.tail())
		}
	}
}

func childrenOf(parent int) []int {
	var pids []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && parentOf(pid) == parent {
			pids = append(pids, pid)
		}
	}
	return pids
}

// parentOf reads the fourth field of /proc/PID/stat (proc(5)).
func parentOf(pid int) int {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 2 || fields[0] == "Z" {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

func commandLine(pid int) string {
	raw, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return strings.ReplaceAll(string(raw), "\x00", " ")
}

// alive reports whether pid runs and is not a zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// stella runs the CLI against the house and gives its standard output and exit code.
func (h *house) stella(t testing.TB, args ...string) ([]byte, int) {
	t.Helper()
	return h.stellaAs(t, h.env["STELLA_TOKEN"], args...)
}

// stellaAs runs the CLI with another token.
func (h *house) stellaAs(t testing.TB, token string, args ...string) ([]byte, int) {
	t.Helper()
	cmd := h.commandAs(t, token, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		t.Logf("stella %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.Bytes(), cmd.ProcessState.ExitCode()
}

// command is a stella command against the house.
func (h *house) command(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	return h.commandAs(t, h.env["STELLA_TOKEN"], args...)
}

func (h *house) commandAs(t testing.TB, token string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program(t, "stella"), args...)
	cmd.Env = append(os.Environ(), "STELLA_SERVER="+h.env["STELLA_SERVER"], "STELLA_TOKEN="+token,
		"STELLA_TENANT=", "STELLA_TRUST="+h.env["STELLA_TRUST"])
	return cmd
}

// must runs a stella command that has to succeed and decodes its JSON answer.
func (h *house) must(t testing.TB, into any, args ...string) {
	t.Helper()
	out, code := h.stella(t, append(args, "--format", "json")...)
	require.Zero(t, code, "stella %v\n%s", args, h.tail())
	require.NoError(t, json.Unmarshal(out, into), "stella %v answered %s", args, out)
}

// counts is what `stella ledger import` answers.
type counts struct {
	Read, Accepted, Unchanged, Superseded, Rejected int
	Rejections                                      []struct{ File, Entry, Reason string }
}

// exported is what `stella export run` answers.
type exported struct {
	RunID, Status, PayloadDigest, RerunHash, ArchiveDigest string
}
