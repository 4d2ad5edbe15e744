package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
)

// connection says which server to call and as whom. Flags win over the
// environment, and that over what "stella login" keeps.
type connection struct {
	server, tokenFile, tenant, context string
	// everyTenant: the command is for no tenant, so none is named.
	everyTenant bool
}

func (c *connection) addFlags(command *cobra.Command) {
	flags := command.PersistentFlags()
	flags.StringVar(&c.server, "server", "", "address of Export Center (STELLA_SERVER)")
	flags.StringVar(&c.tokenFile, "token-file", "", "file with the token (instead of STELLA_TOKEN)")
	if !c.everyTenant {
		flags.StringVar(&c.tenant, "tenant", "", "tenant the token must belong to (STELLA_TENANT)")
	}
	flags.StringVar(&c.context, "context", "", "`NAME` of a login to use (STELLA_CONTEXT)")
	command.MarkFlagsMutuallyExclusive("context", "token-file")
}

// address is the server that is meant, tenantName the tenant, "" when none is named.
func (c *connection) address() string {
	if saved, err := c.login(); err == nil && saved != nil {
		return saved.Server
	}
	return firstOf(c.server, os.Getenv("STELLA_SERVER"))
}

func (c *connection) tenantName() string {
	if c.everyTenant {
		return ""
	}
	if named := firstOf(c.tenant, os.Getenv("STELLA_TENANT")); named != "" {
		return named
	}
	if saved, err := c.login(); err == nil && saved != nil {
		return saved.Tenant
	}
	return ""
}

// login is the login to use, nil when a token was given instead.
func (c *connection) login() (*savedContext, error) {
	name := c.context
	if name == "" {
		if c.tokenFile != "" || strings.TrimSpace(os.Getenv("STELLA_TOKEN")) != "" {
			return nil, nil
		}
		name = os.Getenv("STELLA_CONTEXT")
	}
	saved, err := loadContext(firstOf(name, defaultContext))
	if absent(err) {
		if name == "" {
			return nil, nil
		}
		return nil, inputErrorf("there is no context %q; log in: stella login --context %s", name, name)
	}
	return saved, err
}

// open makes a client of the flags, the environment or a login.
func (c *connection) open() (*client.Client, error) {
	var options []client.Option
	if tenant := c.tenantName(); tenant != "" {
		options = append(options, client.Tenant(tenant))
	}
	saved, err := c.login()
	if err != nil {
		return nil, err
	}
	if saved != nil {
		return c.openLogin(saved, options)
	}
	server := c.address()
	if server == "" {
		return nil, inputErrorf("no server: give --server URL or set STELLA_SERVER, or log in: stella login")
	}
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	opened, err := client.New(server, token, options...)
	if err != nil {
		return nil, &exitError{err, exitInput}
	}
	return opened, nil
}

// openLogin uses a login for its own server and no other: another one would learn
// a token.
func (c *connection) openLogin(saved *savedContext, options []client.Option) (*client.Client, error) {
	if named := strings.TrimSuffix(firstOf(c.server, os.Getenv("STELLA_SERVER")), "/"); named != "" && named != saved.Server {
		return nil, inputErrorf("the login is for %s, not for %s; log in there too, under another --context, or unset STELLA_SERVER", saved.Server, named)
	}
	credentials, err := saved.credentials()
	if err != nil {
		return nil, err
	}
	opened, err := client.New(saved.Server, "", append(options, client.Tokens(saved.tokens(credentials)), client.DPoP(credentials.Key))...)
	if err != nil {
		return nil, &exitError{err, exitInput}
	}
	return opened, nil
}

// maxTokenFile is far more than a token or a secret has.
const maxTokenFile = 64 << 10

func (c *connection) token() (string, error) {
	if c.tokenFile == "" {
		if token := strings.TrimSpace(os.Getenv("STELLA_TOKEN")); token != "" {
			return token, nil
		}
		return "", &exitError{fmt.Errorf("no token: log in (stella login), set STELLA_TOKEN or give --token-file FILE"), exitAuth}
	}
	return readSecretFile(c.tokenFile)
}

// readSecretFile reads a token or a secret, without line ends.
func readSecretFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", inputErrorf("token file: %w", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxTokenFile+1))
	if err != nil {
		return "", inputErrorf("token file: %w", err)
	}
	if len(raw) > maxTokenFile {
		return "", inputErrorf("token file %s is larger than a token can be", path)
	}
	return strings.TrimSpace(string(raw)), nil
}
