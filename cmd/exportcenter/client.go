package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/internal/devissuer"
	"github.com/stella-ops/exportcenter/internal/devtoken"
	"github.com/stella-ops/exportcenter/storage"
)

// Files of the development issuer, beside its public keys.
const (
	issuerKey      = "issuer.jwk"
	issuerRegister = "clients.json"
)

// developmentIssuer is the token endpoint of an installation on one machine. What
// it gives out opens everything its clients were registered for, so nobody outside
// may reach it.
func developmentIssuer(cfg config.Config, proofs storage.Proofs, log *slog.Logger) (http.Handler, error) {
	host, _, err := net.SplitHostPort(cfg.Listen)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("the api listens on %s; the issuer is served on loopback only", cfg.Listen)
	}
	if strings.Contains(cfg.Auth.JWKS, "://") {
		return nil, errors.New("auth.jwks is another issuer's address")
	}
	keys := filepath.Dir(cfg.Auth.JWKS)
	tokens, err := devtoken.Open(cfg.Auth.Issuer, filepath.Join(keys, issuerKey))
	if err != nil {
		return nil, err
	}
	return devissuer.New(devissuer.Config{Tokens: tokens, Clients: filepath.Join(keys, issuerRegister), JWKS: cfg.Auth.JWKS,
		Proofs: proofs, Clock: clock.System, Log: log}), nil
}

func clientCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "client",
		Short: "Register who may get tokens of `exportcenter up` with `stella login`",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&data, "data", "", "data `DIR` of `exportcenter up`")
	cmd.MarkPersistentFlagRequired("data") //nolint:errcheck // the flag is there
	path := func() string { return filepath.Join(data, "keys", issuerRegister) }
	cmd.AddCommand(clientAddCommand(path), clientListCommand(path), clientRemoveCommand(path))
	return cmd
}

func clientAddCommand(path func() string) *cobra.Command {
	var c devissuer.Client
	var scopes string
	var roles []string
	cmd := &cobra.Command{
		Use:   "add ID --data DIR --tenant T --scope WORDS",
		Short: "Register a client and print its secret, once",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.ID, c.Scopes, c.Created = args[0], strings.Fields(scopes), clock.System().UTC()
			for _, role := range roles {
				c.Roles = append(c.Roles, export.Role(role))
			}
			secret, err := devissuer.Add(path(), c)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), secret)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&c.Tenant, "tenant", "", "the `TENANT` its tokens speak for; _ for an administrator of tenants")
	flags.StringVar(&c.Project, "project", "", "the `PROJECT` they are bound to")
	flags.StringVar(&scopes, "scope", "", "what it may do, words separated by spaces")
	flags.StringArrayVar(&roles, "role", nil, "`ROLE` it has: Export.Viewer, Export.Operator or Export.Admin; may be repeated")
	cmd.MarkFlagRequired("tenant") //nolint:errcheck // the flag is there
	return cmd
}

func clientListCommand(path func() string) *cobra.Command {
	return &cobra.Command{
		Use: "list --data DIR", Short: "List registered clients", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			clients, err := devissuer.Clients(path())
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "CLIENT\tTENANT\tMAY")
			for _, c := range clients {
				fmt.Fprintf(table, "%s\t%s\t%s\n", c.ID, c.Tenant, strings.Join(export.EffectiveScopes(c.Tenant, c.Scopes, c.Roles), " "))
			}
			return table.Flush()
		},
	}
}

func clientRemoveCommand(path func() string) *cobra.Command {
	return &cobra.Command{
		Use: "remove ID --data DIR", Short: "Take a client off; its tokens live five minutes more", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return devissuer.Remove(path(), args[0]) },
	}
}
