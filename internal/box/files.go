package box

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/internal/devtoken"
	"github.com/stella-ops/exportcenter/internal/pgchild"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// demoTenant is the tenant of the token in DIR/env.
const demoTenant = "demo"

const (
	temporalNamespace = "exportcenter"
	taskQueue         = "exports"
)

// postgresConfig is the private cluster.
func (b *box) postgresConfig() pgchild.Config {
	return pgchild.Config{
		Bin: b.options.PostgresBin, Data: b.layout.postgres(), Port: b.state.Ports.Postgres,
		Superuser: "postgres", Password: b.state.Passwords.Superuser,
	}
}

func (b *box) apiAddress() string {
	host, _, _ := splitListen(b.options.Listen) // it was checked when ports were chosen
	return net.JoinHostPort(host, strconv.Itoa(b.state.Ports.API))
}

func (b *box) apiURL() string { return "http://" + b.apiAddress() }

func (b *box) temporalURL() string {
	return "http://" + net.JoinHostPort(loopback, strconv.Itoa(b.state.Ports.TemporalUI))
}

// writeConfigs writes what children read, anew at every start: ports and the
// directory's own path may have changed.
func (b *box) writeConfigs() error {
	pg, p := b.postgresConfig(), b.state.Passwords
	shared := config.Config{
		Listen:    b.apiAddress(),
		PublicURL: b.apiURL(),
		Database: config.Database{
			Owner:    pg.DSN(postgres.OwnerRole, p.Owner, postgres.DatabaseName),
			App:      pg.DSN(postgres.AppRole, p.App, postgres.DatabaseName),
			Dispatch: pg.DSN(postgres.DispatchRole, p.Dispatch, postgres.DatabaseName),
			Offboard: pg.DSN(postgres.OffboardRole, p.offboard(), postgres.DatabaseName),
		},
		Temporal: config.Temporal{
			Address:   net.JoinHostPort(loopback, strconv.Itoa(b.state.Ports.Temporal)),
			Namespace: temporalNamespace,
			TaskQueue: taskQueue,
		},
		Blobs:   config.Blobs{Dir: b.layout.blobs()},
		Scratch: config.Scratch{Dir: b.layout.scratch()},
		Signing: config.Signing{Key: b.layout.signingKey(), PasswordFile: b.layout.signingPassword()},
		TUF:     config.TUF{Roots: b.layout.roots()},
		Auth: config.Auth{
			Issuer: devtoken.IssuerName(b.state.Installation), Audience: devtoken.Audience, JWKS: b.layout.jwks(),
		},
		CrossTenant: config.CrossTenant{Enabled: len(b.options.CrossTenantApprovers) > 0, Approvers: b.options.CrossTenantApprovers},
		Verify:      config.Verify{Trust: b.layout.trust()},
		WorkerReady: b.layout.ready(workerChild),
		// Whoever reaches this machine's loopback may use all of it.
		Calls: config.Calls{PerSecond: 100_000, Burst: 100_000, AtOnce: 64, Streams: 1024, InAll: 256},
	}
	if err := shared.Write(b.layout.config()); err != nil {
		return err
	}
	return b.writeTemporalConfig()
}

// temporalConfig is the file of exportcenter-temporal (devserver/config.go).
// That program lives in a module of its own; this file is all they share.
type temporalConfig struct {
	Postgres         temporalPostgres  `json:"postgres"`
	ListenHost       string            `json:"listenHost,omitempty"` // docker-compose.yml sets it; here it is loopback
	FrontendPort     int               `json:"frontendPort"`
	UIPort           int               `json:"uiPort"`
	Namespace        string            `json:"namespace"`
	SearchAttributes map[string]string `json:"searchAttributes"`
	ReadyFile        string            `json:"readyFile"`
}

type temporalPostgres struct {
	Address            string `json:"address"`
	User               string `json:"user"`
	Password           string `json:"password"`
	Database           string `json:"database"`
	VisibilityDatabase string `json:"visibilityDatabase"`
}

func (b *box) writeTemporalConfig() error {
	raw, err := json.MarshalIndent(temporalConfig{
		Postgres: temporalPostgres{
			Address:  net.JoinHostPort(loopback, strconv.Itoa(b.state.Ports.Postgres)),
			User:     temporalRole,
			Password: b.state.Passwords.Temporal,
			Database: "temporal", VisibilityDatabase: "temporal_visibility",
		},
		FrontendPort: b.state.Ports.Temporal,
		UIPort:       b.state.Ports.TemporalUI,
		Namespace:    temporalNamespace,
		SearchAttributes: map[string]string{
			export.AttributeTenant: "Keyword", export.AttributeProfile: "Keyword",
		},
		ReadyFile: b.layout.ready(temporalChild),
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode Temporal's configuration: %w", err)
	}
	return writeWhole(b.layout.temporalConfig(), append(raw, '\n'))
}

// refreshEnv corrects DIR/env at the beginning of a later start: what it says
// is never about an earlier one. On the first start it appears when everything
// is ready.
func (b *box) refreshEnv() error {
	if _, err := os.Stat(b.layout.env()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return b.writeEnv()
}

// writeEnv writes the shell file that `stella` finds everything by.
func (b *box) writeEnv() error {
	issuer, err := devtoken.Open(devtoken.IssuerName(b.state.Installation), b.layout.tokenIssuer())
	if err != nil {
		return err
	}
	token, err := issuer.Issue(devtoken.Claims{
		Subject: "developer", Tenant: demoTenant, Scopes: devtoken.AllScopes, Lifetime: devtoken.Lifetime,
	}, b.options.Clock())
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, v := range []struct{ name, value string }{
		{"STELLA_SERVER", b.apiURL()}, {"STELLA_TENANT", demoTenant},
		{"STELLA_TOKEN", token}, {"STELLA_TRUST", b.layout.trust()},
	} {
		fmt.Fprintf(&text, "export %s=%s\n", v.name, shellQuote(v.value))
	}
	return writeWhole(b.layout.env(), []byte(text.String()))
}

// shellQuote makes one POSIX shell word of s.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
