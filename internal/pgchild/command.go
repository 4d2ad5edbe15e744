package pgchild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Command is the server of an initialised cluster, ready to be started; output
// is not set. It also removes the pid file of a server that is gone.
//
// The kernel's parent-death signal follows the thread that starts the command:
// start it from a goroutine that called runtime.LockOSThread and lives as long
// as the child.
func Command(c Config) (*exec.Cmd, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	bin, err := FindBinaries(c.Bin)
	if err != nil {
		return nil, err
	}
	acc, err := serverAccount()
	if err != nil {
		return nil, err
	}
	if err := acc.canReach(c.Data); err != nil {
		return nil, err
	}
	major, err := clusterVersion(c.Data, bin)
	if err != nil {
		return nil, err
	}
	if err := removeStalePID(c.Data); err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(bin, "postgres"), append([]string{"-D", c.Data}, c.settings(major)...)...)
	cmd.Dir = "/"
	cmd.Env = childEnv(bin)
	cmd.SysProcAttr = acc.attributes()
	return cmd, nil
}

// minVersion is the first with lz4 for TOAST.
const minVersion = 14

// clusterVersion is the cluster's major version. It is compared with that of
// Debian's directory name, so that an upgrade of the machine gives a sentence
// and not a line in a log.
func clusterVersion(data, bin string) (int, error) {
	raw, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err != nil {
		return 0, fmt.Errorf("%s holds no database cluster: %w", data, err)
	}
	made, err := strconv.Atoi(string(bytes.TrimSpace(raw)))
	if err != nil {
		return 0, fmt.Errorf("%s/PG_VERSION does not hold a version: %w", data, err)
	}
	if made < minVersion {
		return 0, fmt.Errorf("the database in %s was made by PostgreSQL %d; %d or newer is needed", data, made, minVersion)
	}
	have, err := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	if err == nil && have != made {
		return 0, fmt.Errorf("the database in %s was made by PostgreSQL %d, the programs in %s are version %d: "+
			"install postgresql-%d or give its directory (PG_BIN)", data, made, bin, have, made)
	}
	return made, nil
}

// removeStalePID removes postmaster.pid when no server of this cluster lives.
// PostgreSQL does so itself unless the pid now belongs to another process of
// the same user, as after a reboot.
func removeStalePID(data string) error {
	path := filepath.Join(data, "postmaster.pid")
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	first, _, _ := bytes.Cut(raw, []byte("\n"))
	pid, err := strconv.Atoi(string(bytes.TrimSpace(first)))
	if err == nil && serves(pid, data) {
		return fmt.Errorf("a PostgreSQL (pid %d) is already running on %s", pid, data)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove stale pid file: %w", err)
	}
	return nil
}

// serves reports whether pid is a living server of this cluster: a server's
// working directory is its data directory. A process we may not signal is
// another user's and so not a server of our cluster.
func serves(pid int, data string) bool {
	if pid <= 0 || syscall.Kill(pid, 0) != nil {
		return false
	}
	cwd, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	if err != nil {
		// A zombie has no working directory and serves nobody.
		return !errors.Is(err, os.ErrNotExist)
	}
	real, err := filepath.EvalSymlinks(data)
	return err != nil || cwd == real
}

// Ready waits until the server answers a query, or ctx ends.
func Ready(ctx context.Context, c Config) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		if last = ping(ctx, c); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL on port %d is not ready: %w (last answer: %v)", c.Port, ctx.Err(), last)
		case <-tick.C:
		}
	}
}

func ping(ctx context.Context, c Config) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.AdminDSN())
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // only a probe
	return conn.Ping(ctx)
}

// runLocked runs cmd to its end from one thread (see Command).
func runLocked(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return cmd.Run()
}
