package pgchild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Init makes the cluster unless it is there. It works beside the target and
// renames at the end, so a directory under the final name is always whole: an
// interrupted Init is begun again by the next.
func Init(ctx context.Context, c Config) error {
	if err := c.validate(); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(c.Data, "PG_VERSION")); err == nil {
		return nil
	}
	bin, err := FindBinaries(c.Bin)
	if err != nil {
		return err
	}
	acc, err := serverAccount()
	if err != nil {
		return err
	}
	if err := acc.canReach(c.Data); err != nil {
		return err
	}
	fresh := c.Data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("remove an interrupted database set-up: %w", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("make database directory: %w", err)
	}
	if err := acc.own(fresh); err != nil {
		return fmt.Errorf("give database directory to %s: %w", acc.name, err)
	}
	if err := initdb(ctx, c, bin, fresh, acc); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := os.Rename(fresh, c.Data); err != nil {
		return fmt.Errorf("finish database set-up: %w", err)
	}
	return syncDir(filepath.Dir(c.Data))
}

func initdb(ctx context.Context, c Config, bin, dir string, acc account) error {
	password, err := passwordFile(c, acc)
	if err != nil {
		return err
	}
	defer os.Remove(password) //nolint:errcheck // a leftover is overwritten next time
	args := []string{
		"--pgdata", dir, "--encoding", "UTF8", "--locale", "C", "--data-checksums",
		"--username", c.Superuser, "--pwfile", password,
		"--auth-host", "scram-sha-256", "--auth-local", "scram-sha-256",
	}
	if c.Volatile {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), args...)
	cmd.Dir = "/"
	cmd.Env = childEnv(bin)
	cmd.SysProcAttr = acc.attributes()
	// initdb starts postgres children of its own; end the whole group.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := runLocked(cmd); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLines(out.Bytes()))
	}
	return nil
}

// passwordFile writes the superuser's password where initdb can read it.
func passwordFile(c Config, acc account) (string, error) {
	path := c.Data + ".password"
	if err := os.WriteFile(path, []byte(c.Password+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write password for initdb: %w", err)
	}
	if err := acc.own(path); err != nil {
		return "", errors.Join(fmt.Errorf("give password file to %s: %w", acc.name, err), os.Remove(path))
	}
	return path, nil
}

// childEnv is all of the environment PostgreSQL needs: no PG* variable and no
// locale of ours reaches it.
func childEnv(bin string) []string {
	return []string{"PATH=" + bin + ":/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("finish database set-up: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func lastLines(out []byte) []byte {
	const keep = 600
	out = bytes.TrimSpace(out)
	if len(out) > keep {
		out = out[len(out)-keep:]
	}
	return out
}
