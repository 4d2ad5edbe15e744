package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"time"
)

// Config is the one file this program reads. `exportcenter up` writes it
// (internal/box/files.go holds the same names), readable by its
// owner only, because it holds a password.
type Config struct {
	Postgres Postgres `json:"postgres"`
	// ListenHost is where the frontend and the web page listen: "127.0.0.1"
	// when empty. Neither asks who you are, so anything else belongs into a
	// private network such as a compose file's.
	ListenHost   string `json:"listenHost,omitempty"`
	FrontendPort int    `json:"frontendPort"`
	UIPort       int    `json:"uiPort"`
	// Namespace is registered when it is missing.
	Namespace      string `json:"namespace"`
	RetentionHours int    `json:"retentionHours,omitempty"` // of ended workflows; default 72
	// SearchAttributes are added to the namespace when they are missing: name
	// to type, as Temporal spells types ("Keyword").
	SearchAttributes map[string]string `json:"searchAttributes,omitempty"`
	// ReadyFile is removed at start and written once clients may come; "" = none.
	ReadyFile string `json:"readyFile,omitempty"`
}

// Postgres says where state is kept. User needs CREATEDB: it makes the two
// databases on first start.
type Postgres struct {
	Address            string `json:"address"` // host:port
	User               string `json:"user"`
	Password           string `json:"password"`
	Database           string `json:"database"`           // workflow state
	VisibilityDatabase string `json:"visibilityDatabase"` // lists and searches
}

const (
	loopback         = "127.0.0.1"
	defaultRetention = 72
)

func loadConfig(path string) (Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	defer file.Close()
	dec := json.NewDecoder(io.LimitReader(file, 1<<20))
	dec.DisallowUnknownFields()
	var c Config
	if err := dec.Decode(&c); err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	if c.ListenHost == "" {
		c.ListenHost = loopback
	}
	if c.RetentionHours == 0 {
		c.RetentionHours = defaultRetention
	}
	if err := c.validate(); err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

func (c Config) validate() error {
	required := []struct {
		name string
		ok   bool
	}{
		{"postgres.address", c.Postgres.Address != ""},
		{"postgres.user", c.Postgres.User != ""},
		{"postgres.database", c.Postgres.Database != ""},
		{"postgres.visibilityDatabase", c.Postgres.VisibilityDatabase != ""},
		{"frontendPort", c.FrontendPort > 0},
		{"uiPort", c.UIPort > 0},
		{"namespace", c.Namespace != ""},
	}
	for _, r := range required {
		if !r.ok {
			return fmt.Errorf("%s is not set", r.name)
		}
	}
	if net.ParseIP(c.ListenHost) == nil {
		return fmt.Errorf("listenHost %q is not an IP address", c.ListenHost)
	}
	return nil
}

// frontend is where this process itself reaches the frontend.
func (c Config) frontend() string { return address(c.FrontendPort) }

func (c Config) uiURL() string { return "http://" + address(c.UIPort) }

func (c Config) retention() time.Duration { return time.Duration(c.RetentionHours) * time.Hour }

func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

func (c Config) clearReady() error {
	if c.ReadyFile == "" {
		return nil
	}
	if err := os.Remove(c.ReadyFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove ready file: %w", err)
	}
	return nil
}

// writeReady writes the process id: a reader can tell this start's file from
// that of another.
func (c Config) writeReady() error {
	if c.ReadyFile == "" {
		return nil
	}
	if err := os.WriteFile(c.ReadyFile, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return fmt.Errorf("write ready file: %w", err)
	}
	return nil
}
