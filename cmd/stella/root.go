package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
)

func rootCommand() *cobra.Command {
	root := group("stella", "Import evidence, export bundles, verify them",
		"Import evidence into Export Center, export it as signed bundles, and verify bundles offline.\n\n"+exitCodesHelp)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(ledgerCommand(), exportCommand(), verifyCommand())
	return root
}

// group is a command that has only commands below it. Anything else is an
// input error, never a help text with exit code 0.
func group(use, short, long string) *cobra.Command {
	command := &cobra.Command{
		Use: use, Short: short, Long: long,
		SilenceUsage: true, SilenceErrors: true,
		Args: cobra.ArbitraryArgs,
		RunE: func(command *cobra.Command, args []string) error {
			if len(args) > 0 {
				return inputErrorf("unknown command %q for %q; see %s --help", args[0], command.CommandPath(), command.CommandPath())
			}
			_ = command.Help() // a help text that cannot be written helps nobody
			return inputErrorf("name a command")
		},
	}
	command.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		return inputErrorf("%w; see %s --help", err, command.CommandPath())
	})
	return command
}

// leaf is a command that does something.
func leaf(use, short string, args cobra.PositionalArgs, run func(*cobra.Command, []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, RunE: run,
		SilenceUsage: true, SilenceErrors: true,
		Args: func(command *cobra.Command, given []string) error {
			if err := args(command, given); err != nil {
				return inputErrorf("%w: %s", err, command.UseLine())
			}
			return nil
		},
	}
}

// connection says which server to call and as whom.
type connection struct {
	server, tokenFile, tenant string
}

func (c *connection) addFlags(command *cobra.Command) {
	flags := command.PersistentFlags()
	flags.StringVar(&c.server, "server", "", "address of Export Center (STELLA_SERVER)")
	flags.StringVar(&c.tokenFile, "token-file", "", "file with the token (instead of STELLA_TOKEN)")
	flags.StringVar(&c.tenant, "tenant", "", "tenant the token must belong to (STELLA_TENANT)")
}

// address is the server that is meant, tenantName the tenant, "" when none is
// named; flags win over the environment.
func (c *connection) address() string { return firstOf(c.server, os.Getenv("STELLA_SERVER")) }

func (c *connection) tenantName() string { return firstOf(c.tenant, os.Getenv("STELLA_TENANT")) }

// open makes a client of the flags and the environment.
func (c *connection) open() (*client.Client, error) {
	server := c.address()
	if server == "" {
		return nil, inputErrorf("no server: give --server URL or set STELLA_SERVER")
	}
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	var options []client.Option
	if tenant := c.tenantName(); tenant != "" {
		options = append(options, client.Tenant(tenant))
	}
	opened, err := client.New(server, token, options...)
	if err != nil {
		return nil, &exitError{err, exitInput}
	}
	return opened, nil
}

// maxTokenFile is far more than a token has.
const maxTokenFile = 64 << 10

func (c *connection) token() (string, error) {
	if c.tokenFile == "" {
		if token := strings.TrimSpace(os.Getenv("STELLA_TOKEN")); token != "" {
			return token, nil
		}
		return "", &exitError{fmt.Errorf("no token: set STELLA_TOKEN or give --token-file FILE"), exitAuth}
	}
	file, err := os.Open(c.tokenFile)
	if err != nil {
		return "", inputErrorf("token file: %w", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxTokenFile+1))
	if err != nil {
		return "", inputErrorf("token file: %w", err)
	}
	if len(raw) > maxTokenFile {
		return "", inputErrorf("token file %s is larger than a token can be", c.tokenFile)
	}
	return strings.TrimSpace(string(raw)), nil
}

func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}
