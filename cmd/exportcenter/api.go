package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/worker"
)

func apiCommand() *cobra.Command {
	issue := false
	cmd := service("api", "Serve the HTTP API", func(ctx context.Context, cfg config.Config, log *slog.Logger) error {
		return runAPI(ctx, cfg, log, issue)
	})
	cmd.Flags().BoolVar(&issue, "development-issuer", false, "give tokens to the clients of `exportcenter client`; on loopback only")
	return cmd
}

// runAPI serves until ctx ends, then lets open requests finish. With issue it also
// gives out development tokens.
func runAPI(ctx context.Context, cfg config.Config, log *slog.Logger, issue bool) error {
	boundMemory()
	requireDPoP, err := cfg.DPoP()
	if err != nil {
		return err
	}
	stores, err := openParts(ctx, cfg)
	if err != nil {
		return err
	}
	defer stores.close()
	keys, err := frontend.NewKeySet(cfg.Auth.JWKS, clock.System)
	if err != nil {
		return fmt.Errorf("auth.jwks: %w", err)
	}
	verifier, err := frontend.NewJWTVerifier(frontend.JWTConfig{
		Issuer: cfg.Auth.Issuer, Audience: cfg.Auth.Audience, Keys: keys, Clock: clock.System,
	})
	if err != nil {
		return err
	}
	trust, err := trustedKeys("verify.trust", cfg.Verify.Trust)
	if err != nil {
		return err
	}
	tufRoot, err := verify.LoadTUFRoot("", cfg.Verify.Trust)
	if err != nil {
		return fmt.Errorf("verify.trust: %w", err)
	}
	orchestrators, err := trustedKeys("orchestrator.trust", cfg.Orchestrator.Trust)
	if err != nil {
		return err
	}
	temporal := temporalConfig(cfg)
	client, err := worker.Lazy(temporal, quiet(log))
	if err != nil {
		return err
	}
	defer client.Close()
	proofs := postgres.NewProofs(stores.db)
	var issuer http.Handler
	if issue {
		if issuer, err = developmentIssuer(cfg, proofs, log); err != nil {
			return fmt.Errorf("--development-issuer: %w", err)
		}
	}
	kinds, err := profileKinds()
	if err != nil {
		return err
	}
	policies, err := policySnapshots(stores.db)
	if err != nil {
		return err
	}
	crossTenant, err := crossTenantOf(cfg.CrossTenant)
	if err != nil {
		return err
	}
	if err := approveNothing(crossTenant, "verify.trust", keyIDs(trust)...); err != nil {
		return err
	}
	server, err := frontend.New(frontend.Config{
		Runs:        postgres.NewRuns(stores.db).Within(runLimits(cfg)),
		Journal:     postgres.NewRuns(stores.db),
		Profiles:    postgres.NewProfiles(stores.db),
		Policies:    policies,
		CheckPack:   checkPack,
		Objects:     stores.objects,
		Records:     postgres.NewOrchestratorExports(stores.db),
		Ledger:      postgres.NewLedger(stores.db),
		Catalog:     postgres.NewCatalog(stores.db),
		Adapters:    kinds,
		CrossTenant: crossTenant,
		Neighbours:  postgres.NewNeighbours(stores.db),
		Parse:       parseEvidence,
		Starter:     &worker.Dispatcher{Client: client, TaskQueue: temporal.TaskQueue, Log: log},
		Verifier:    verifier,
		Tenants:     postgres.NewTenants(stores.db),

		Offboardings: postgres.NewTenants(stores.db), OffboardAfter: offboardAfter(cfg.Offboarding),

		Audit:   postgres.NewAudit(stores.db),
		Notices: postgres.NewNotices(stores.db),
		Proofs:  proofs,

		RequireDPoP: requireDPoP, PublicURL: cfg.PublicURL, Development: issuer,
		Ready: []frontend.Check{
			{Name: "database", Run: stores.db.Check},
			{Name: "blobs", Run: stores.objects.Check},
			{Name: "keys", Run: keys.Check},
			{Name: "temporal", Run: func(ctx context.Context) error { return worker.Check(ctx, client) }},
		},
		Trust: trust, TUFRoot: tufRoot,
		Rates: frontend.Rates{PerSecond: cfg.Calls.PerSecond, Burst: cfg.Calls.Burst, AtOnce: cfg.Calls.AtOnce, Streams: cfg.Calls.Streams, InAll: cfg.Calls.InAll},

		Orchestrators: orchestrators,

		Streams: frontend.StreamLimits{PerTenant: cfg.Exports.EventStreams},
		Clock:   clock.System,
		IDs:     clock.NewID,
		Log:     log,
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", cfg.Listen, err)
	}
	log.Info("serving", "address", listener.Addr().String())
	return server.Serve(ctx, listener)
}
