package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/signing/dpop"
)

func loginCommand() *cobra.Command {
	var saved savedContext
	var name, secretPath string
	var offline bool
	command := leaf("login", "Log in: get tokens that are bound to a key of this machine", cobra.NoArgs,
		func(command *cobra.Command, _ []string) (err error) {
			s, err := loadSettings(chosen(name))
			if err != nil {
				return err
			}
			name = firstOf(s.Login, chosen(name), defaultContext)
			if saved.dir, err = contextDir(name); err != nil {
				return err
			}
			if offline {
				return errOffline
			}
			saved.Server = strings.TrimSuffix(firstOf(saved.Server, os.Getenv("STELLA_SERVER"), s.Server), "/")
			if saved.Server == "" {
				return inputErrorf("no server: give --server URL or set STELLA_SERVER")
			}
			if saved.Client == "" {
				return inputErrorf("who are you? give --client-id ID")
			}
			saved.Endpoint = firstOf(saved.Endpoint, saved.Server+"/oauth/token")
			secret, err := readSecret(secretPath, command.ErrOrStderr())
			if err != nil {
				return err
			}
			return logIn(command, name, &saved, secret)
		})
	command.Long = `Log in as a registered client. A P-256 key is made on this machine and stays on it; tokens are bound to it
(DPoP, RFC 9449) and are renewed when they end. "exportcenter client add" registers a client with an
installation of one machine.

Everything is kept in ~/.stella/contexts/NAME (STELLA_CONFIG_DIR in place of ~/.stella), closed to others.
Commands use it when neither STELLA_TOKEN nor --token-file is there, or when --context names it.

` + exitCodesHelp
	flags := command.Flags()
	flags.StringVar(&saved.Server, "server", "", "`URL` of Export Center (STELLA_SERVER)")
	flags.StringVar(&saved.Client, "client-id", "", "the client's `ID`")
	flags.StringVar(&secretPath, "client-secret-file", "", "`FILE` with the client's secret (instead of STELLA_CLIENT_SECRET)")
	flags.StringVar(&saved.Endpoint, "token-url", "", "the issuer's token endpoint; default: /oauth/token of the server")
	flags.StringArrayVar(&saved.Scopes, "scope", nil, "ask for this `SCOPE` only; may be repeated")
	flags.BoolVar(&offline, "offline", false, "make no connection: end with code 5 instead (STELLA_OFFLINE)")
	contextFlags(command, &name, "`NAME` to keep it under (STELLA_CONTEXT)")
	return command
}

// logIn keeps credentials once they have worked.
func logIn(command *cobra.Command, name string, saved *savedContext, secret string) error {
	key, err := dpop.NewKey()
	if err != nil {
		return err
	}
	credentials := &client.Credentials{Endpoint: saved.Endpoint, ID: saved.Client, Secret: secret, Scopes: saved.Scopes, Key: key}
	opened, err := client.New(saved.Server, "", client.Tokens(credentials.Token), client.DPoP(key))
	if err != nil {
		return &exitError{err, exitInput}
	}
	me, err := opened.Me(command.Context())
	if err != nil {
		return fmt.Errorf("log in: %w", err)
	}
	if me.Tenant != "_" {
		saved.Tenant = me.Tenant
	}
	if err := saved.save(secret, key); err != nil {
		return err
	}
	fmt.Fprintf(command.ErrOrStderr(), "Logged in to %s as %s of tenant %s; kept as context %q.\n",
		printable(saved.Server), printable(me.Subject), printable(me.Tenant), name)
	return nil
}

func readSecret(path string, warn io.Writer) (string, error) {
	if path == "" {
		if secret := strings.TrimSpace(os.Getenv("STELLA_CLIENT_SECRET")); secret != "" {
			return secret, nil
		}
		return "", &exitError{fmt.Errorf("no client secret: give --client-secret-file FILE or set STELLA_CLIENT_SECRET"), exitAuth}
	}
	return readSecretFile(path, false, warn)
}

func logoutCommand() *cobra.Command {
	var name string
	command := leaf("logout", "Forget a login: its key, secret and token", cobra.NoArgs, func(command *cobra.Command, _ []string) error {
		s, err := loadSettings(chosen(name))
		if err != nil {
			return err
		}
		name = firstOf(s.Login, chosen(name), defaultContext)
		dir, err := contextDir(name)
		if err != nil {
			return err
		}
		if _, err := loadContext(name); absent(err) {
			return &exitError{fmt.Errorf("there is no context %q", name), exitNotFound}
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("log out: %w", err)
		}
		return nil
	})
	contextFlags(command, &name, "`NAME` it is kept under (STELLA_CONTEXT)")
	return command
}

func whoamiCommand() *cobra.Command {
	var c connection
	var f *format
	command := leaf("whoami", "Show who the token speaks for and what it may do", cobra.NoArgs, func(command *cobra.Command, _ []string) error {
		opened, err := c.open()
		if err != nil {
			return err
		}
		me, err := opened.Me(command.Context())
		if err != nil {
			return err
		}
		if f.machine() {
			return f.encode(command.OutOrStdout(), me)
		}
		bound := "no; whoever sees the token can use it"
		if me.DpopBound {
			bound = "yes"
		}
		rows := [][]string{{"subject", me.Subject}, {"tenant", me.Tenant}}
		if me.Project != "" {
			rows = append(rows, []string{"project", me.Project})
		}
		return printTable(command.OutOrStdout(), append(rows,
			[]string{"scopes", strings.Join(me.Scopes, " ")}, []string{"actions", strings.Join(me.Actions, " ")},
			[]string{"expires", me.ExpiresAt.UTC().Format(time.RFC3339)}, []string{"bound", bound}))
	})
	c.addFlags(command)
	f = addFormat(command)
	return command
}
