package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/jsonpolicy"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/adapters/mirrordelta"
	"github.com/stella-ops/exportcenter/adapters/mirrorfull"
	"github.com/stella-ops/exportcenter/adapters/trivydb"
	"github.com/stella-ops/exportcenter/adapters/trivyjavadb"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/policy"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/signing/keyfile"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/tuf"
	"github.com/stella-ops/exportcenter/worker"
)

// parts are the concrete stores that api and worker share.
type parts struct {
	db      *postgres.DB
	objects *files.Store
}

func openParts(ctx context.Context, cfg config.Config) (*parts, error) {
	db, err := postgres.Open(ctx, postgres.Config{App: cfg.Database.App, Dispatch: cfg.Database.Dispatch,
		MaxConns: cfg.Database.Connections, DoorConns: cfg.Database.DoorConnections})
	if err != nil {
		return nil, err
	}
	objects, err := files.Open(cfg.Blobs.Dir, clock.System, rand.Reader)
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	return &parts{db: db, objects: objects}, nil
}

func (p *parts) close() {
	p.objects.Close() //nolint:errcheck // nothing is written any more
	p.db.Close()
}

// temporalConfig is the worker's view of the configuration.
func temporalConfig(cfg config.Config) worker.Config {
	return worker.Config{Address: cfg.Temporal.Address, Namespace: cfg.Temporal.Namespace, TaskQueue: cfg.Temporal.TaskQueue}
}

// trustedKeys are the keys in the directory that a setting names; none when it
// names none.
func trustedKeys(setting, dir string) (verify.Trust, error) {
	if dir == "" {
		return nil, nil
	}
	keys, err := verify.LoadTrust("", dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return keys, nil
}

func keyIDs(keys verify.Trust) (ids []string) {
	for _, key := range keys {
		ids = append(ids, key.KeyID())
	}
	return ids
}

// runLimits are the bounds on each tenant's runs, the same for api and worker.
func runLimits(cfg config.Config) storage.Limits {
	e := cfg.Exports
	return storage.Limits{Active: e.ActiveRuns, Pending: e.PendingRuns, RunsPerDay: e.RunsPerDay, Bytes: e.Bytes}
}

// offboardAfter is how long a tenant must have been suspended before it may leave.
func offboardAfter(c config.Offboarding) time.Duration {
	if c.After == nil {
		return export.OffboardAfter
	}
	return *c.After
}

// loadSigner reads the signing key.
func loadSigner(cfg config.Signing) (signing.Signer, error) {
	password, err := passwordIn(cfg.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("read the signing key's password: %w", err)
	}
	return keyfile.Load(cfg.Key, password)
}

// passwordIn reads a password file; "" is no password.
func passwordIn(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(file)
	return bytes.TrimRight(raw, "\r\n"), err
}

// mirrorMetadata is what the worker makes the TUF metadata of mirrors with.
func mirrorMetadata(cfg config.TUF) activities.TUF {
	t := activities.TUF{Lifetimes: tuf.Offline}
	if cfg.Roots != "" {
		t.Roots = tuf.Folder(cfg.Roots)
	}
	if cfg.Expiry == config.ExpiryOnline {
		t.Lifetimes = tuf.Online
	}
	return t
}

// profileKinds are the adapters of this program. A new profile kind is a
// folder in adapters and a line here.
func profileKinds() (*adapters.Registry, error) {
	return adapters.NewRegistry(
		jsonraw.Adapter{},
		jsonpolicy.Adapter{},
		mirrorfull.Adapter{},
		mirrordelta.Adapter{},
		trivydb.Adapter{},
		trivyjavadb.Adapter{},
	)
}

// policySnapshots are those of the tenants, and the built-in one.
func policySnapshots(db *postgres.DB) (storage.PolicySnapshots, error) {
	raw, err := policy.Baseline()
	if err != nil {
		return nil, err
	}
	pack, err := policy.ReadPack(raw)
	if err != nil {
		return nil, fmt.Errorf("the built-in policy pack: %w", err)
	}
	return storage.WithBaseline(postgres.NewPolicySnapshots(db), storage.NewBaseline(policy.BaselineName, pack.Revision, raw)), nil
}

// checkPack reads a policy pack and gives its version, or says why it is refused.
func checkPack(raw []byte) (version string, err error) {
	pack, err := policy.ReadPack(raw)
	if err != nil {
		return "", err
	}
	return pack.Revision, nil
}

// quiet drops what a library says below warnings.
func quiet(log *slog.Logger) *slog.Logger {
	return slog.New(&warnings{log.Handler()})
}

type warnings struct{ slog.Handler }

func (w *warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

func (w *warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &warnings{w.Handler.WithAttrs(attrs)}
}

func (w *warnings) WithGroup(name string) slog.Handler { return &warnings{w.Handler.WithGroup(name)} }
