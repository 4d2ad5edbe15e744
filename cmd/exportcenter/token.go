package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/internal/devtoken"
)

func tokenCommand() *cobra.Command {
	var data, tenant, scopes, issuer string
	var lifetime time.Duration
	cmd := &cobra.Command{
		Use:   "token --data DIR --tenant T",
		Short: "Print a development token of the installation in DIR",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !export.ValidTenant(tenant) {
				return fmt.Errorf("--tenant %q is not a tenant name", tenant)
			}
			if issuer == "" {
				cfg, err := config.Load(filepath.Join(data, "config.yaml"))
				if err != nil {
					return fmt.Errorf("%w (run `exportcenter up --data %s` once, or give --issuer)", err, data)
				}
				issuer = cfg.Auth.Issuer
			}
			tokens, err := devtoken.Open(issuer, filepath.Join(data, "keys", "issuer.jwk"))
			if err != nil {
				return err
			}
			token, err := tokens.Issue(devtoken.Claims{
				Subject: "developer", Tenant: tenant, Scopes: strings.Fields(scopes), Lifetime: lifetime,
			}, clock.System())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&data, "data", "", "data `DIR` of `exportcenter up` or `exportcenter init`")
	flags.StringVar(&tenant, "tenant", "", "the `TENANT` that the token speaks for")
	flags.StringVar(&scopes, "scope", strings.Join(devtoken.AllScopes, " "), "what it may do, words separated by spaces")
	flags.DurationVar(&lifetime, "ttl", devtoken.Lifetime, "how long it is valid")
	flags.StringVar(&issuer, "issuer", "", "issuer's name; default: auth.issuer of DIR/config.yaml")
	cmd.MarkFlagRequired("data")   //nolint:errcheck // the flag is there
	cmd.MarkFlagRequired("tenant") //nolint:errcheck // the flag is there
	return cmd
}
