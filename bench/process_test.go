package main

import (
	"bytes"
	"os"
	"os/exec"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/testkit"
)

func TestParseStatWithAnyProgramName(t *testing.T) {
	got, err := parseStat([]byte("42 (a) b (c) S 7 42 42 0 -1 4194304 1 2 3 4 10 20 30 40 20 0 1 0 5 6 7"))
	require.NoError(t, err)
	require.Equal(t, process{pid: 42, parent: 7, cpu: time.Second}, got)
	for _, bad := range []string{"", "42", "42 (x", "42 (x) S 1", "x (x) S 7 42 42 0 -1 4194304 1 2 3 4 10 20 30 40 20"} {
		_, err := parseStat([]byte(bad))
		require.Error(t, err, bad)
	}
}

// TestTimeOfChildrenThatEndedIsCounted burns time in a grandchild that ends.
func TestTimeOfChildrenThatEndedIsCounted(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		testkit.Missing(t, "sh")
	}
	cmd := exec.Command(sh, "-c", `sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; echo; exec sleep 60`)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it sleeps
		cmd.Wait()         //nolint:errcheck // killed
	})
	_, err = out.Read(make([]byte, 1))
	require.NoError(t, err)
	sum, err := cpuByPart(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, sum["other"], 20*time.Millisecond)
}

func TestPeakForgetsWhatWasBefore(t *testing.T) {
	debug.FreeOSMemory() // or held would fit into what earlier tests gave back
	require.NoError(t, resetPeak(os.Getpid()))
	before, err := peak(os.Getpid())
	require.NoError(t, err)
	held := make([]byte, 64<<20)
	for i := range held {
		held[i] = byte(i)
	}
	after, err := peak(os.Getpid())
	require.NoError(t, err)
	require.Greater(t, after, before+48<<20)
	require.NotZero(t, held[1])
}

func TestPipelineTellsWhoFailed(t *testing.T) {
	for _, name := range []string{"printf", "cat", "false"} {
		if _, err := exec.LookPath(name); err != nil {
			testkit.Missing(t, name)
		}
	}
	require.NoError(t, pipeline(exec.Command("printf", "x"), exec.Command("cat"), exec.Command("cat")))
	require.ErrorContains(t, pipeline(exec.Command("printf", "x"), exec.Command("false"), exec.Command("cat")), "false")
	require.Error(t, pipeline(exec.Command("printf", "x"), exec.Command("/nonexistent/program")))
}

// What a program had is its own, however much the one has that runs it.
func TestAProgramIsWatchedAlone(t *testing.T) {
	held := bytes.Repeat([]byte{1}, 200<<20)
	most, err := runWatched(exec.Command("sh", "-c", "sleep 0.2"))
	require.NoError(t, err)
	require.Positive(t, most)
	require.Less(t, most, int64(50<<20))
	require.Len(t, held, 200<<20)
	_, err = runWatched(exec.Command("sh", "-c", "exit 3"))
	require.Error(t, err)
}
