package box

import (
	"bytes"
	"fmt"
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

	"github.com/stella-ops/exportcenter/internal/pgchild"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

// These tests boot the built programs, as a user does.

// built gives a program of bin/, or skips the test by name.
func built(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(testkit.Root(t), "bin", name)
	if _, err := os.Stat(path); err != nil {
		testkit.Missing(t, "bin/"+name+" (run `make build`)")
	}
	return path
}

// up is a running `exportcenter up`.
type up struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	out  *testkit.Output
	done chan struct{} // closed when it has ended
	code int           // then
}

func newData(t *testing.T) string {
	t.Helper()
	built(t, "exportcenter")
	built(t, "exportcenter-temporal")
	if _, err := pgchild.FindBinaries(""); err != nil {
		testkit.Missing(t, err.Error())
	}
	// Not t.TempDir: its long name leaves no room for PostgreSQL's socket.
	dir, err := os.MkdirTemp("", "exportcenter-box-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "data")
}

// launch starts `up` without waiting; it ends with the test.
func launch(t *testing.T, dir string) *up {
	t.Helper()
	u := &up{t: t, dir: dir, out: &testkit.Output{}, done: make(chan struct{})}
	u.cmd = exec.Command(built(t, "exportcenter"), "up", "--data", dir, "--listen", "127.0.0.1:0")
	u.cmd.Stdout, u.cmd.Stderr = u.out, u.out
	require.NoError(t, u.cmd.Start())
	go func() {
		u.cmd.Wait() //nolint:errcheck // the exit code says it
		u.code = u.cmd.ProcessState.ExitCode()
		close(u.done)
	}()
	t.Cleanup(func() {
		u.cmd.Process.Kill() //nolint:errcheck // mostly it has ended
		<-u.done
	})
	return u
}

// boot starts `up` and waits until everything is ready.
func boot(t *testing.T, dir string) *up {
	t.Helper()
	u := launch(t, dir)
	u.awaitReady()
	return u
}

func (u *up) awaitReady() {
	u.t.Helper()
	u.eventually(90*time.Second, "ready", func() bool {
		if u.ended() {
			u.t.Fatalf("up ended (exit code %d) before it was ready\n%s", u.code, u.everything())
		}
		raw, err := os.ReadFile(filepath.Join(u.dir, "run", "up.ready"))
		return err == nil && string(raw) == strconv.Itoa(u.cmd.Process.Pid)+"\n"
	})
}

func (u *up) eventually(patience time.Duration, what string, holds func() bool) {
	u.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			u.t.Fatalf("not within %s: %s\n%s", patience, what, u.everything())
		}
	}
}

// everything that was said, for a failure.
func (u *up) everything() string {
	text := "--- up\n" + u.out.String()
	logs, _ := filepath.Glob(filepath.Join(u.dir, "logs", "*.log"))
	for _, path := range logs {
		raw, _ := os.ReadFile(path)
		text += "--- " + filepath.Base(path) + "\n" + string(raw[max(0, len(raw)-2000):])
	}
	return text
}

// child is the pid of the child whose command line holds word, or 0.
func (u *up) child(word string) int {
	for _, pid := range descendants(u.cmd.Process.Pid) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if parent(pid) == u.cmd.Process.Pid && err == nil && bytes.Contains(line, []byte(word)) {
			return pid
		}
	}
	return 0
}

func (u *up) healthy() bool {
	env, err := os.ReadFile(filepath.Join(u.dir, "env"))
	_, rest, _ := strings.Cut(string(env), "STELLA_SERVER='")
	server, _, ok := strings.Cut(rest, "'")
	if err != nil || !ok {
		return false
	}
	answer, err := http.Get(server + "/health/ready")
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// descendants lists the living processes below pid.
func descendants(pid int) []int {
	entries, _ := os.ReadDir("/proc")
	parents := map[int]int{}
	for _, e := range entries {
		if p, err := strconv.Atoi(e.Name()); err == nil {
			parents[p] = parent(p)
		}
	}
	var below []int
	for p := range parents {
		for up := parents[p]; up > 1; up = parents[up] {
			if up == pid {
				below = append(below, p)
				break
			}
		}
	}
	return below
}

// parent of a process, 0 when it is gone or a zombie (proc(5), stat).
func parent(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if err != nil || len(fields) < 2 || fields[0] == "Z" {
		return 0
	}
	ppid, _ := strconv.Atoi(fields[1])
	return ppid
}

// living gives the command lines of those that are left.
func living(pids []int) []string {
	var left []string
	for _, pid := range pids {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if parent(pid) != 0 && err == nil {
			left = append(left, fmt.Sprintf("%d %.120s", pid, bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return left
}

func TestTheHouseStandsUpAgain(t *testing.T) {
	dir := newData(t)
	begin := time.Now()
	u := boot(t, dir)
	t.Logf("cold start: %s", time.Since(begin).Round(time.Millisecond))
	require.True(t, u.healthy())

	t.Run("a second up is refused", func(t *testing.T) {
		second := exec.Command(built(t, "exportcenter"), "up", "--data", dir)
		said, err := second.CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(said), fmt.Sprintf("(pid %d)", u.cmd.Process.Pid))
	})
	for _, word := range []string{"worker", "api", "temporal", "postgres"} {
		t.Run("a killed "+word+" comes back", func(t *testing.T) { u.killAndAwait(word) })
	}
	t.Run("a killed up leaves no child and the next goes on", func(t *testing.T) { u = u.killAndBoot(t) })
	t.Run("Ctrl-C", func(t *testing.T) {
		family := descendants(u.cmd.Process.Pid)
		require.GreaterOrEqual(t, len(family), 4)
		begin := time.Now()
		require.NoError(t, u.cmd.Process.Signal(os.Interrupt))
		u.eventually(15*time.Second, "stopped", u.ended)
		t.Logf("stopped after %s", time.Since(begin).Round(time.Millisecond))
		require.Zero(t, u.code, u.everything())
		require.Empty(t, living(family))
		require.NoFileExists(t, filepath.Join(dir, "run", "up.ready"))
		raw, err := os.ReadFile(filepath.Join(dir, "logs", "postgres.log"))
		require.NoError(t, err)
		require.Contains(t, string(raw[max(0, len(raw)-300):]), "database system is shut down")
	})
	begin = time.Now()
	u = boot(t, dir)
	t.Logf("warm start: %s", time.Since(begin).Round(time.Millisecond))
	require.NotContains(t, u.out.String(), "was killed")
}

func (u *up) ended() bool {
	select {
	case <-u.done:
		return true
	default:
		return false
	}
}

func (u *up) killAndAwait(word string) {
	u.t.Helper()
	victim := u.child(word)
	require.NotZero(u.t, victim, word)
	begin := time.Now()
	require.NoError(u.t, syscall.Kill(victim, syscall.SIGKILL))
	u.eventually(30*time.Second, word+" back", func() bool {
		now := u.child(word)
		return now != 0 && now != victim
	})
	u.eventually(30*time.Second, "healthy after a killed "+word, u.healthy)
	u.t.Logf("%s back and the API ready after %s", word, time.Since(begin).Round(time.Millisecond))
	u.eventually(30*time.Second, "said", func() bool { return strings.Contains(u.out.String(), word+" ended (signal: killed)") })
	for _, name := range []string{"worker", "api", "temporal", "postgres"} {
		u.eventually(30*time.Second, name+" alive", func() bool { return u.child(name) != 0 })
	}
}

// killAndBoot kills `up`, watches its family die, and starts it again.
func (u *up) killAndBoot(t *testing.T) *up {
	t.Helper()
	family := descendants(u.cmd.Process.Pid)
	require.GreaterOrEqual(t, len(family), 4)
	begin := time.Now()
	require.NoError(t, u.cmd.Process.Kill())
	u.leavesNone(family)
	t.Logf("no child after %s", time.Since(begin).Round(time.Millisecond))
	before, err := os.ReadFile(filepath.Join(u.dir, "config.yaml"))
	require.NoError(t, err)

	next := boot(u.t, u.dir)
	require.Contains(t, next.out.String(), "was killed")
	require.True(t, next.healthy())
	after, err := os.ReadFile(filepath.Join(u.dir, "config.yaml"))
	require.NoError(t, err)
	require.Equal(t, string(before), string(after), "the same ports and passwords")
	return next
}

// leavesNone: a killed `up` leaves no child after five seconds.
func (u *up) leavesNone(family []int) {
	u.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); len(living(family)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			u.t.Fatalf("left behind: %s\n%s", living(family), u.everything())
		}
	}
}

// TestAKilledFirstStartBeginsAgain kills `up` at moments all over its first
// start, when the cluster, the roles, Temporal's schemas and ours are made.
// The next start must find nothing half-made.
func TestAKilledFirstStartBeginsAgain(t *testing.T) {
	dir := newData(t)
	for i := range 8 {
		u := launch(t, dir)
		time.Sleep(time.Duration(i+1) * 300 * time.Millisecond)
		family := descendants(u.cmd.Process.Pid)
		require.NoError(t, u.cmd.Process.Kill())
		u.leavesNone(family)
	}
	require.True(t, boot(t, dir).healthy())
}

// TestTheSecondInterruptKills does not wait for anybody.
func TestTheSecondInterruptKills(t *testing.T) {
	u := boot(t, newData(t))
	family := descendants(u.cmd.Process.Pid)
	frozen := u.child("worker")
	require.NoError(t, syscall.Kill(frozen, syscall.SIGSTOP)) // it would take its whole grace
	require.NoError(t, u.cmd.Process.Signal(os.Interrupt))
	time.Sleep(300 * time.Millisecond)
	require.False(t, u.ended())
	require.NoError(t, u.cmd.Process.Signal(os.Interrupt))
	u.eventually(2*time.Second, "killed", u.ended)
	require.NotZero(t, u.code)
	// PostgreSQL's backends see that their parent is gone, and go themselves.
	u.eventually(5*time.Second, "without children", func() bool { return len(living(family)) == 0 })
}
