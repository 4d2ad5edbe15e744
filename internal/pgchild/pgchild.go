// Package pgchild runs a private PostgreSQL as a child process: `exportcenter
// up` keeps its state in one, and tests get a throw-away one.
//
// The child listens on 127.0.0.1 only, asks every connection for a SCRAM
// password, runs as an unprivileged user when we are root (PostgreSQL refuses
// to run as root) and is told to quit by the kernel when the thread that
// started it ends, so a killed parent leaves nothing behind. An immediate quit
// is safe: PostgreSQL replays its log at the next start.
//
// There are two levels. Start makes, starts, watches and stops a server. Init,
// Command and Ready are its parts, for a supervisor that runs every child the
// same way: Init once, Command for each start, Ready before the others start,
// StopSignal to end it.
package pgchild

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// StopSignal asks the server for a fast shutdown: sessions are ended, the log
// is flushed, exit code 0. (SIGTERM would wait for clients to leave.)
const StopSignal = syscall.SIGINT

// QuitSignal asks for an immediate shutdown: every process of the server ends at
// once, and the next start recovers from the log. (SIGKILL would end the first
// process only; the others would go on writing for a while.)
const QuitSignal = syscall.SIGQUIT

// Config describes one cluster.
type Config struct {
	// Bin is the directory with initdb and postgres; "" = look for it.
	Bin string
	// Data is the cluster's directory. Every directory above it must be open
	// (x) to the user the server runs as.
	Data string
	// Port on 127.0.0.1.
	Port int
	// SocketOnly listens on a Unix socket in Data, and on no network; Port only names
	// it. Data must be short enough for that.
	SocketOnly bool
	// Superuser and Password of the cluster's first role, set by Init.
	Superuser string
	Password  string
	// Log is the file Start appends the server's log to; "" discards it.
	Log string
	// Volatile gives up durability for speed. Tests only.
	Volatile bool
	// Settings are added to, and win over, the settings below.
	Settings map[string]string
}

// DSN is the connection string of user for database.
func (c Config) DSN(user, password, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(user, password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	if c.SocketOnly {
		u.Host = ""
		u.RawQuery = url.Values{"host": {c.Data}, "port": {strconv.Itoa(c.Port)}, "sslmode": {"disable"}}.Encode()
	}
	return u.String()
}

// AdminDSN is the superuser's connection string for the postgres database.
func (c Config) AdminDSN() string { return c.DSN(c.Superuser, c.Password, "postgres") }

func (c Config) validate() error {
	switch {
	case c.Data == "":
		return errors.New("postgres child: no data directory given")
	case !filepath.IsAbs(c.Data):
		return fmt.Errorf("postgres child: data directory %q is not an absolute path", c.Data)
	case c.Superuser == "" || c.Password == "":
		return errors.New("postgres child: superuser and password must be given")
	case c.SocketOnly && c.socketDir() == "":
		return fmt.Errorf("postgres child: the path %s is too long for a socket; choose a shorter directory", c.Data)
	}
	return nil
}

// Socket paths have room for 107 bytes (sockaddr_un, Linux).
const maxSocketPath = 107

// socketDir is the data directory, where only the server's own user can reach
// the socket, or "" (no socket) when the path would be too long.
func (c Config) socketDir() string {
	if len(c.Data)+len("/.s.PGSQL.65535.lock") > maxSocketPath {
		return ""
	}
	return c.Data
}

// MaxConnections is how many connections the server takes from all.
const MaxConnections = 200

// settings are chosen for one machine that imports and exports documents:
// modest memory, TOAST in lz4 (the ledger's originals), no JIT (its warm-up
// costs more than our queries), room for two pools and an embedded Temporal.
// major is the cluster's version.
func (c Config) settings(major int) []string {
	s := map[string]string{
		"listen_addresses":          "127.0.0.1",
		"port":                      strconv.Itoa(c.Port),
		"unix_socket_directories":   c.socketDir(),
		"max_connections":           strconv.Itoa(MaxConnections),
		"shared_buffers":            sharedBuffers(),
		"work_mem":                  "16MB",
		"maintenance_work_mem":      "128MB",
		"max_wal_size":              "4GB",
		"checkpoint_timeout":        "15min",
		"wal_compression":           "on",
		"default_toast_compression": "lz4",
		"jit":                       "off",
		"random_page_cost":          "1.1",
		"password_encryption":       "scram-sha-256",
		"timezone":                  "UTC",
		"log_timezone":              "UTC",
		"log_destination":           "stderr",
		"logging_collector":         "off",
		// Statements may hold what tenants wrote: never in the log.
		"log_statement":            "none",
		"log_min_error_statement":  "panic",
		"log_parameter_max_length": "0",
	}
	if c.SocketOnly {
		s["listen_addresses"] = ""
	}
	if major >= 15 {
		s["wal_compression"] = "lz4"
	}
	if c.Volatile {
		maps.Copy(s, map[string]string{
			"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
			"max_wal_size": "512MB", "shared_buffers": "256MB",
		})
	}
	maps.Copy(s, c.Settings)
	args := make([]string, 0, 2*len(s))
	for _, name := range slices.Sorted(maps.Keys(s)) {
		args = append(args, "-c", name+"="+s[name])
	}
	return args
}
