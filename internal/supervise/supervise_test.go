package supervise

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func shell(script string) func() (*exec.Cmd, error) {
	return func() (*exec.Cmd, error) { return exec.Command("/bin/sh", "-c", script), nil }
}

func ignore(Exit) {}

// alive reports whether pid runs. A zombie that nobody reaps does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}

func gone(pid int) func() bool { return func() bool { return !alive(pid) } }

func TestAChildThatDiesIsStartedAgain(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	exits := make(chan Exit, 10)
	c := Start(Spec{Name: "short", Command: shell("echo born; exit 3"), Log: log, Grace: time.Second}, func(e Exit) { exits <- e })
	defer c.Kill()
	first, second, third := <-exits, <-exits, <-exits
	require.Equal(t, Exit{Child: "short", Reason: "exit status 3", Again: 100 * time.Millisecond}, first)
	require.Equal(t, 200*time.Millisecond, second.Again)
	require.Equal(t, 400*time.Millisecond, third.Again)
	require.Equal(t, "born\nborn", Tail(log, 2))
}

func TestThePauseGrowsUntilAChildHasLivedLongEnough(t *testing.T) {
	var pause time.Duration
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 50, 50} { // tenths of a second
		pause = pauseAfter(pause, settled-1)
		require.Equal(t, want*shortest, pause)
	}
	require.Equal(t, shortest, pauseAfter(longest, settled))
	require.Equal(t, 2*shortest, pauseAfter(shortest, 0))
}

func TestAKilledChildIsStartedAgain(t *testing.T) {
	exits := make(chan Exit, 10)
	c := Start(Spec{Name: "long", Command: shell("exec sleep 60"), Log: filepath.Join(t.TempDir(), "log"),
		StopSignal: syscall.SIGTERM, Grace: time.Second}, func(e Exit) { exits <- e })
	defer c.Kill()
	require.Eventually(t, func() bool { return c.PID() != 0 }, 5*time.Second, 5*time.Millisecond)
	first := c.PID()
	require.NoError(t, syscall.Kill(first, syscall.SIGKILL))
	require.Equal(t, "signal: killed", (<-exits).Reason)
	require.Eventually(t, func() bool { return c.PID() != 0 && c.PID() != first }, 5*time.Second, 5*time.Millisecond)
	c.Stop()
	require.Zero(t, c.PID())
	require.Empty(t, exits, "an end that was asked for is not reported")
}

func TestAProgramThatCannotStartIsReported(t *testing.T) {
	exits := make(chan Exit, 10)
	missing := func() (*exec.Cmd, error) { return exec.Command("/nonexistent/program"), nil }
	c := Start(Spec{Name: "none", Command: missing, Log: filepath.Join(t.TempDir(), "log"), Grace: time.Second}, func(e Exit) { exits <- e })
	require.Contains(t, (<-exits).Reason, "/nonexistent/program")
	c.Stop()

	refused := func() (*exec.Cmd, error) { return nil, errors.New("not today") }
	c = Start(Spec{Name: "none", Command: refused, Log: filepath.Join(t.TempDir(), "log"), Grace: time.Second}, func(e Exit) { exits <- e })
	for e := range exits {
		if e.Reason == "not today" {
			break
		}
	}
	c.Kill()
}

func TestStopWaitsForAGracefulEndAndThenKills(t *testing.T) {
	cases := []struct {
		name, script string
		grace        time.Duration
		quit         syscall.Signal
		says         string
	}{
		{"listens", `trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done`, 10 * time.Second, syscall.SIGQUIT, "up\nbye"},
		{"deaf", `trap '' TERM; echo up; while :; do sleep 0.05; done`, 300 * time.Millisecond, 0, "up"},
		{"slow", `trap '' TERM; trap 'echo at once; exit 1' QUIT; echo up; while :; do sleep 0.05; done`, 300 * time.Millisecond, syscall.SIGQUIT, "up\nat once"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "log")
			c := Start(Spec{Name: tc.name, Command: shell(tc.script), Log: log, StopSignal: syscall.SIGTERM, Grace: tc.grace, QuitSignal: tc.quit}, ignore)
			require.Eventually(t, func() bool { return Tail(log, 1) == "up" }, 5*time.Second, 5*time.Millisecond)
			pid := c.PID()
			c.Stop()
			require.True(t, gone(pid)())
			require.Equal(t, tc.says, Tail(log, 9))
		})
	}
}

// TestMain lets the test binary play a supervisor that is killed.
func TestMain(m *testing.M) {
	if log := os.Getenv("PLAY_SUPERVISOR"); log != "" {
		playSupervisor(log)
	}
	os.Exit(m.Run())
}

func playSupervisor(log string) {
	kept := Start(Spec{Name: "kept", Command: shell("exec sleep 60"), Log: log}, ignore)
	for kept.PID() == 0 {
		time.Sleep(time.Millisecond)
	}
	go Once(context.Background(), exec.Command("/bin/sh", "-c", "echo once $$; exec sleep 60"), log+".once")
	fmt.Println(kept.PID())
	select {}
}

func TestAKilledSupervisorLeavesNoChild(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	supervisor := exec.Command(os.Args[0])
	supervisor.Env = append(os.Environ(), "PLAY_SUPERVISOR="+log)
	out, err := supervisor.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, supervisor.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	kept, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err)
	once := 0
	require.Eventually(t, func() bool {
		fmt.Sscanf(Tail(log+".once", 1), "once %d", &once)
		return once != 0
	}, 5*time.Second, 5*time.Millisecond)
	require.True(t, alive(kept))
	require.True(t, alive(once))

	require.NoError(t, supervisor.Process.Kill())
	require.Error(t, supervisor.Wait())
	require.Eventually(t, gone(kept), 5*time.Second, 10*time.Millisecond)
	require.Eventually(t, gone(once), 5*time.Second, 10*time.Millisecond)
}

func TestOnceEndsWithItsContext(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	require.NoError(t, Once(context.Background(), exec.Command("/bin/sh", "-c", "echo done"), log))
	require.Equal(t, "done", Tail(log, 1))
	require.EqualError(t, Once(context.Background(), exec.Command("/bin/sh", "-c", "exit 4"), log), "exit status 4")

	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, Once(ctx, exec.Command("/bin/sleep", "60"), log), context.DeadlineExceeded)
}

func TestTailOfALongLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	require.NoError(t, os.WriteFile(log, []byte(strings.Repeat("x", 3*tailBytes)+"\nlast but one\nlast\n"), 0o600))
	require.Equal(t, "last but one\nlast", Tail(log, 2))
	require.Contains(t, Tail(filepath.Join(t.TempDir(), "none"), 2), "no such file")
}

func TestAFullLogIsSetAside(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(log)
	require.NoError(t, err)
	require.NoError(t, file.Truncate(maxLog+1))
	require.NoError(t, file.Close())
	fresh, err := openLog(log)
	require.NoError(t, err)
	defer fresh.Close()
	size, err := fresh.Seek(0, io.SeekEnd)
	require.NoError(t, err)
	require.Zero(t, size)
	require.FileExists(t, log+".1")
}
