// Package config is the one file that the processes of an installation share.
// `exportcenter up` writes it into its data directory; a cluster writes it by
// hand. It is read once, in cmd, and checked there; no environment variable is
// read below cmd.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/stella-ops/exportcenter/internal/durable"
)

// Config configures api, worker and migrate.
type Config struct {
	// Listen is the API's host:port; port 0 picks a free one.
	Listen string `yaml:"listen"`
	// PublicURL is where clients reach the API, without a trailing slash: what their
	// DPoP proofs name. The api needs it.
	PublicURL string   `yaml:"publicURL"`
	Database  Database `yaml:"database"`
	Temporal  Temporal `yaml:"temporal"`
	Blobs     Blobs    `yaml:"blobs"`
	Signing   Signing  `yaml:"signing"`
	Auth      Auth     `yaml:"auth"`
	// TUF is what mirrors need for their metadata; the worker reads it.
	TUF TUF `yaml:"tuf,omitempty"`
	// Exports bounds the runs of each tenant; api and worker must agree.
	Exports Exports `yaml:"exports,omitempty"`
	// CrossTenant lets runs read other tenants' evidence where an approval covers it;
	// api and worker must both be told.
	CrossTenant CrossTenant `yaml:"crossTenant,omitempty"`
	// Verify says whom the API trusts when it verifies stored bundles.
	Verify Verify `yaml:"verify,omitempty"`
	// Orchestrator says which reports of exports are believed.
	Orchestrator Orchestrator `yaml:"orchestrator,omitempty"`
	// Offboarding says when a tenant may be removed; the api reads it.
	Offboarding Offboarding `yaml:"offboarding,omitempty"`
	// Calls bounds what one API process does for each tenant.
	Calls Calls `yaml:"calls,omitempty"`
	// Scratch is where a worker puts what it needs only while it builds a database.
	Scratch Scratch `yaml:"scratch,omitempty"`
	// WorkerReady is a file the worker creates once it polls; "" = none.
	WorkerReady string `yaml:"workerReady,omitempty"`
}

// CrossTenant says whose approval counts when a run reads another tenant's evidence.
type CrossTenant struct {
	Enabled   bool     `yaml:"enabled,omitempty"`
	Approvers []string `yaml:"approvers,omitempty"` // files, each with one public key (PEM)
	// Revoked are approvals that count no more: digests of their envelopes.
	Revoked []string `yaml:"revoked,omitempty"`
}

// Database holds one connection string per role (docs/architecture.md, the tenant wall).
type Database struct {
	Owner    string `yaml:"owner"`    // owns the tables; migrations only
	App      string `yaml:"app"`      // owns nothing, bound by row level security
	Dispatch string `yaml:"dispatch"` // sees ids of waiting runs of all tenants
	// Connections each process may open for tenants' work, default 16, and
	// DoorConnections for used proofs and the audit record, default 4. With three
	// more they must fit, for all processes together, into PostgreSQL's max_connections.
	Connections     int32 `yaml:"connections,omitempty"`
	DoorConnections int32 `yaml:"doorConnections,omitempty"`
	// Offboard removes tenants that are being offboarded. Only migrate and offboard read
	// it: leave it out of the file of api and worker. "" = the role is not made.
	Offboard string `yaml:"offboard,omitempty"`
}

// Offboarding says when a tenant may be removed.
type Offboarding struct {
	// After is how long it must have been suspended; default 168h. 0s is for tests.
	After *time.Duration `yaml:"after,omitempty"`
}

// Temporal says where workflows run.
type Temporal struct {
	Address   string `yaml:"address"`
	Namespace string `yaml:"namespace"`
	TaskQueue string `yaml:"taskQueue"`
}

// Blobs says where bytes live.
type Blobs struct {
	Dir string `yaml:"dir"`
}

// Scratch says where temporary files live: about twice the greatest database that
// is built. They are removed when an attempt ends, and after a crash when the next
// worker of the machine starts.
type Scratch struct {
	// Dir may be shared by the workers of one machine. "" is the folder
	// exportcenter-scratch in the system's directory for temporary files.
	Dir string `yaml:"dir,omitempty"`
}

// Signing says which key signs.
type Signing struct {
	Key          string `yaml:"key"`          // encrypted private key file (PEM)
	PasswordFile string `yaml:"passwordFile"` // its password, without line end
}

// TUF says which keys sign mirrors, and for how long these are good.
type TUF struct {
	// Roots is the directory with 1.root.json, 2.root.json ... that exportcenter tuf-root
	// writes; they are read anew for each mirror. "" = no mirrors are made.
	Roots string `yaml:"roots,omitempty"`
	// Expiry is offline (365 days; the default) for sites that get a mirror now and then,
	// or online (targets and snapshot 30 days, timestamp 7) for clients that ask daily.
	Expiry string `yaml:"expiry,omitempty"`
}

// The values of TUF.Expiry.
const (
	ExpiryOffline = "offline"
	ExpiryOnline  = "online"
)

// Auth says whose tokens are believed.
type Auth struct {
	Issuer   string `yaml:"issuer"`
	Audience string `yaml:"audience"`
	// JWKS is the path or http(s) URL of the issuer's key set.
	JWKS string `yaml:"jwks"`
	// RequireDPoP refuses tokens that are bound to no key (RFC 9449). It is on unless
	// PublicURL is on loopback, and cannot be switched off elsewhere. It must be said
	// when PublicURL is and Listen is not.
	RequireDPoP *bool `yaml:"requireDPoP,omitempty"`
}

// DPoP says whether tokens must be bound to a key. A token that is not is for one
// machine: whoever sees it can use it.
func (c Config) DPoP() (required bool, err error) {
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return true, fmt.Errorf("publicURL %q: want http(s)://host[:port][/path], the address that clients call; their DPoP proofs name it", c.PublicURL)
	}
	loopback := onLoopback(u.Hostname())
	host, _, _ := net.SplitHostPort(c.Listen)
	switch wanted := c.Auth.RequireDPoP; {
	case wanted == nil && loopback && !onLoopback(host):
		return true, fmt.Errorf("auth.requireDPoP is not set: clients call %s, but %q is open to others; set it to true, "+
			"or to false when nobody else reaches that port", c.PublicURL, c.Listen)
	case wanted == nil:
		return !loopback, nil
	case !*wanted && !loopback:
		return true, fmt.Errorf("auth.requireDPoP: it cannot be switched off when clients call %s; "+
			"tokens that are bound to no key are for one machine", c.PublicURL)
	default:
		return *wanted, nil
	}
}

func onLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Exports bounds the runs of one tenant; 0 = the default, where there is one.
type Exports struct {
	ActiveRuns  int `yaml:"activeRuns,omitempty"`  // at work at once, default 4
	PendingRuns int `yaml:"pendingRuns,omitempty"` // waiting for their turn, default 100
	// RunsPerDay may be asked for on a day (UTC), and bundles of Bytes be kept; 0 is no
	// bound. `stella tenant quotas` says otherwise of a tenant (docs/quotas.md).
	RunsPerDay int   `yaml:"runsPerDay,omitempty"`
	Bytes      int64 `yaml:"bytes,omitempty"`
	// EventStreams may be open at once on one API process, default 500.
	EventStreams int `yaml:"eventStreams,omitempty"`
}

// Verify says whom the API trusts when it verifies stored bundles.
type Verify struct {
	// Trust is a directory whose *.pub files are the keys; "" = bundles are not
	// verified.
	Trust string `yaml:"trust,omitempty"`
}

// Orchestrator says which reports of exports are believed.
type Orchestrator struct {
	// Trust is a directory whose *.pub files are the Ed25519 keys of orchestrators;
	// "" = none, and signed reports are refused.
	Trust string `yaml:"trust,omitempty"`
}

// Calls bounds the calls of one tenant to one API process; 0 = the default.
type Calls struct {
	PerSecond float64 `yaml:"perSecond,omitempty"` // in the long run, default 2000
	Burst     int     `yaml:"burst,omitempty"`     // after a pause, default 4000
	AtOnce    int     `yaml:"atOnce,omitempty"`    // under way, streams not counted, default 12
	Streams   int     `yaml:"streams,omitempty"`   // downloads and imports under way, default 64
	InAll     int     `yaml:"inAll,omitempty"`     // under way of all tenants, default 48
}

// Load reads and checks the file at path. Unknown fields are errors: a
// misspelt setting must not be a silent default.
func Load(path string) (Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w", err)
	}
	var c Config
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) { // settings after a "---" would be ignored
		return Config{}, fmt.Errorf("configuration %s: it holds more than one YAML document", path)
	}
	if err := c.Validate(); err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// Validate names the first setting that is missing.
func (c Config) Validate() error {
	required := []struct{ name, value string }{
		{"listen", c.Listen},
		{"database.app", c.Database.App},
		{"database.dispatch", c.Database.Dispatch},
		{"temporal.address", c.Temporal.Address},
		{"temporal.namespace", c.Temporal.Namespace},
		{"temporal.taskQueue", c.Temporal.TaskQueue},
		{"blobs.dir", c.Blobs.Dir},
		{"signing.key", c.Signing.Key},
		{"auth.issuer", c.Auth.Issuer},
		{"auth.audience", c.Auth.Audience},
		{"auth.jwks", c.Auth.JWKS},
	}
	for _, r := range required {
		if r.value == "" {
			return fmt.Errorf("%s is not set", r.name)
		}
	}
	if c.CrossTenant.Enabled && len(c.CrossTenant.Approvers) == 0 {
		return errors.New("crossTenant.enabled needs crossTenant.approvers: files with the public keys of those who may approve")
	}
	if c.Database.Connections < 0 || c.Database.DoorConnections < 0 {
		return errors.New("database.connections and database.doorConnections must be positive, or 0 for the default")
	}
	if c.Exports.RunsPerDay < 0 || c.Exports.Bytes < 0 {
		return errors.New("exports.runsPerDay and exports.bytes must be positive, or 0 for no bound")
	}
	if c.Exports.ActiveRuns < 0 || c.Exports.PendingRuns < 0 || c.Exports.EventStreams < 0 {
		return errors.New("exports.activeRuns, exports.pendingRuns and exports.eventStreams must be positive, or 0 for the default")
	}
	if e := c.TUF.Expiry; e != "" && e != ExpiryOffline && e != ExpiryOnline {
		return fmt.Errorf("tuf.expiry: %q; choose %s or %s", e, ExpiryOffline, ExpiryOnline)
	}
	if after := c.Offboarding.After; after != nil && *after < 0 {
		return errors.New("offboarding.after must be a duration such as 168h, and not negative")
	}
	if c.Calls.PerSecond < 0 || c.Calls.Burst < 0 || c.Calls.AtOnce < 0 || c.Calls.Streams < 0 || c.Calls.InAll < 0 {
		return errors.New("the numbers of calls must be positive, or 0 for the default")
	}
	return nil
}

// Write writes c to path, readable by its owner only: it holds passwords.
func (c Config) Write(path string) error {
	raw, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode configuration: %w", err)
	}
	return durable.WriteFile(path, raw, 0o600)
}
