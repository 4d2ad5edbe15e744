package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/testkit"
)

// replayArguments, in the environment, makes this test's process be the command.
const replayArguments = "REPLAY_ARGUMENTS"

// TestReplayOpensNoSocket watches the system calls of a process that replays:
// Open Policy Agent brings functions that would dial, and none may be reached.
func TestReplayOpensNoSocket(t *testing.T) {
	if arguments := os.Getenv(replayArguments); arguments != "" {
		if arguments == "dial" {
			_, err := net.Dial("tcp", "127.0.0.1:9")
			require.Error(t, err)
			return
		}
		root := rootCommand()
		root.SetArgs(strings.Split(arguments, "\n"))
		require.NoError(t, root.ExecuteContext(t.Context()))
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		testkit.Missing(t, "strace")
	}
	calls := func(arguments ...string) string {
		log := filepath.Join(t.TempDir(), "calls")
		command := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-e", "trace=network,io_uring_setup", "-e", "signal=none", "-o", log,
			os.Args[0], "-test.run", "^TestReplayOpensNoSocket$")
		command.Env = append(os.Environ(), replayArguments+"="+strings.Join(arguments, "\n"))
		out, err := command.CombinedOutput()
		require.NoError(t, err, string(out))
		seen, err := os.ReadFile(log)
		require.NoError(t, err)
		return string(seen)
	}
	if !strings.Contains(calls("dial"), "socket(") {
		testkit.Missing(t, "the right to trace with strace")
	}
	file, key := decidedBundle(t, decidedShards(t, unchanged))
	require.Empty(t, calls("policy", "replay", file, "--key", key), "calls of the network")
}
