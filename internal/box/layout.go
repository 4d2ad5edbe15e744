package box

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stella-ops/exportcenter/internal/durable"
)

// layout names everything in a data directory.
type layout struct{ root string }

func (l layout) at(parts ...string) string {
	return filepath.Join(append([]string{l.root}, parts...)...)
}

func (l layout) lock() string             { return l.at("up.lock") }
func (l layout) state() string            { return l.at("state.json") }
func (l layout) config() string           { return l.at("config.yaml") }
func (l layout) env() string              { return l.at("env") }
func (l layout) postgres() string         { return l.at("postgres") }
func (l layout) temporalConfig() string   { return l.at("temporal", "config.json") }
func (l layout) blobs() string            { return l.at("blobs") }
func (l layout) scratch() string          { return l.at("scratch") }
func (l layout) trust() string            { return l.at("trust") }
func (l layout) signingKey() string       { return l.at("keys", "signing.key") }
func (l layout) signingPassword() string  { return l.at("keys", "password") }
func (l layout) rootKey() string          { return l.at("keys", "tuf-root.key") }
func (l layout) rootPassword() string     { return l.at("keys", "tuf-root.password") }
func (l layout) roots() string            { return l.at("tuf") }
func (l layout) tokenIssuer() string      { return l.at("keys", "issuer.jwk") }
func (l layout) jwks() string             { return l.at("keys", "jwks.json") }
func (l layout) log(child string) string  { return l.at("logs", child+".log") }
func (l layout) ready(what string) string { return l.at("run", what+".ready") }

// Children, and what the start waits for, by these names.
const (
	postgresChild = "postgres"
	temporalChild = "temporal"
	apiChild      = "api"
	workerChild   = "worker"
	migrateStep   = "migrate"
	everything    = "up"
)

// makeLayout makes the directories. Only the root is open to other users, and
// only as far as PostgreSQL needs it: as root it runs as a user of its own
// that must pass through (x) to its directory.
func makeLayout(data string) (layout, error) {
	if data == "" { // an unset variable in a script, not a wish to fill the current directory
		return layout{}, errors.New("data directory: its name is empty")
	}
	root, err := filepath.Abs(data)
	if err != nil {
		return layout{}, fmt.Errorf("data directory: %w", err)
	}
	l := layout{root: root}
	if err := os.MkdirAll(filepath.Dir(root), 0o755); err != nil {
		return layout{}, fmt.Errorf("make data directory: %w", err)
	}
	for _, dir := range []string{"", "keys", "blobs", "trust", "logs", "run", "temporal"} {
		if err := os.MkdirAll(l.at(dir), 0o700); err != nil {
			return layout{}, fmt.Errorf("make data directory: %w", err)
		}
	}
	if os.Geteuid() == 0 {
		for dir := root; dir == root || isTemporary(dir); dir = filepath.Dir(dir) {
			if err := letThrough(dir); err != nil {
				return layout{}, err
			}
		}
	}
	return l, nil
}

// isTemporary: dir lies below the directory for temporary files. `mktemp -d`
// makes such directories closed, and they are there for us alone. Any other
// directory above the data is not ours to open; pgchild says which is closed.
func isTemporary(dir string) bool {
	below, err := filepath.Rel(os.TempDir(), dir)
	return err == nil && below != "." && filepath.IsLocal(below)
}

// letThrough adds x for everybody.
func letThrough(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if info.Mode().Perm()&0o011 == 0o011 {
		return nil
	}
	if err := os.Chmod(dir, info.Mode().Perm()|0o011); err != nil {
		return fmt.Errorf("data directory: PostgreSQL does not run as root, and its own user must pass through %s: %w", dir, err)
	}
	return nil
}

// removeReady forgets what an earlier start said.
func (l layout) removeReady() error {
	for _, what := range []string{everything, temporalChild, workerChild} {
		if err := os.Remove(l.ready(what)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove ready file: %w", err)
		}
	}
	return nil
}

// writeWhole puts a file for us alone in place, whole or not at all.
func writeWhole(path string, content []byte) error {
	return durable.WriteFile(path, content, 0o600)
}
