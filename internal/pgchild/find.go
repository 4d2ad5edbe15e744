package pgchild

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// ErrNoBinaries: this machine has no PostgreSQL server programs.
var ErrNoBinaries = errors.New("no PostgreSQL server programs (initdb, postgres) found; " +
	"on Debian: apt-get install postgresql; elsewhere give their directory (PG_BIN)")

// FindBinaries gives the directory that holds initdb and postgres: dir when it
// is given (and then it must be right), else Debian's newest version, else
// what PATH leads to. A symlink on PATH is followed, because PostgreSQL finds
// its other files relative to the real program.
func FindBinaries(dir string) (string, error) {
	if dir != "" {
		if !hasServer(dir) {
			return "", fmt.Errorf("%s does not hold initdb and postgres", dir)
		}
		return filepath.Abs(dir)
	}
	for _, candidate := range debianDirs("/usr/lib/postgresql") {
		if hasServer(candidate) {
			return candidate, nil
		}
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil && hasServer(filepath.Dir(real)) {
			return filepath.Abs(filepath.Dir(real))
		}
	}
	return "", ErrNoBinaries
}

// debianDirs lists root/<version>/bin, newest version first.
func debianDirs(root string) []string {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil
	}
	var versions []int
	for _, e := range entries {
		if v, err := strconv.Atoi(e.Name()); err == nil {
			versions = append(versions, v)
		}
	}
	slices.Sort(versions)
	slices.Reverse(versions)
	dirs := make([]string, len(versions))
	for i, v := range versions {
		dirs[i] = filepath.Join(root, strconv.Itoa(v), "bin")
	}
	return dirs
}

func hasServer(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}
