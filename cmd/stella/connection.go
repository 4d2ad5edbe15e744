package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
)

// connection says which server to call and as whom. Flags win over the
// environment, that over the profile, and that over what "stella login" keeps.
type connection struct {
	server, tokenFile, tenant, context string
	offline, trace                     bool
	// everyTenant: the command is for no tenant, so none is named.
	everyTenant bool

	command *cobra.Command // whose flags these are
}

func (c *connection) addFlags(command *cobra.Command) {
	flags := command.PersistentFlags()
	flags.StringVar(&c.server, "server", "", "`URL` of Export Center (STELLA_SERVER; default "+defaultServer+")")
	flags.StringVar(&c.tokenFile, "token-file", "", "`FILE` with the token (instead of STELLA_TOKEN)")
	if !c.everyTenant {
		flags.StringVar(&c.tenant, "tenant", "", "`NAME` of the tenant the token must belong to (STELLA_TENANT)")
	}
	contextFlags(command, &c.context, "`NAME` of a login and a profile file to use (STELLA_CONTEXT)")
	flags.BoolVar(&c.offline, "offline", false, "make no connection: end with code 5 instead (STELLA_OFFLINE)")
	flags.BoolVar(&c.trace, "trace", false, "print a line for each request, with the id that finds it in the server's log")
	command.MarkFlagsMutuallyExclusive("context", "token-file")
	c.command = command
}

// settings are those of the profile that is meant.
func (c *connection) settings() (settings, error) { return loadSettings(chosen(c.context)) }

// address is the server that is meant, tenantName the tenant, "" when none is named.
// What is wrong with the profile or the login shows when the connection is opened.
func (c *connection) address() string {
	if saved, err := c.login(); err == nil && saved != nil {
		return saved.Server
	}
	return firstOf(c.namedServer(), defaultServer)
}

func (c *connection) namedServer() string {
	s, _ := c.settings() //nolint:errcheck // open says it
	return strings.TrimSuffix(firstOf(c.server, os.Getenv("STELLA_SERVER"), s.Server), "/")
}

func (c *connection) tenantName() string {
	if c.everyTenant {
		return ""
	}
	s, _ := c.settings() //nolint:errcheck // open says it
	if named := firstOf(c.tenant, os.Getenv("STELLA_TENANT"), s.Tenant); named != "" {
		return named
	}
	if saved, err := c.login(); err == nil && saved != nil {
		return saved.Tenant
	}
	return ""
}

// login is the login to use, nil when a token was given instead.
func (c *connection) login() (*savedContext, error) {
	s, err := c.settings()
	if err != nil {
		return nil, err
	}
	name := chosen(c.context)
	if c.context == "" && (c.tokenFile != "" || strings.TrimSpace(os.Getenv("STELLA_TOKEN")) != "") || s.TokenFile != "" {
		return nil, nil
	}
	wanted := firstOf(s.Login, name)
	saved, err := loadContext(firstOf(wanted, defaultContext))
	if absent(err) {
		if wanted == "" || s.file != "" && s.Login == "" {
			return nil, nil
		}
		return nil, inputErrorf("there is no context %q; log in: stella login --context %s", wanted, wanted)
	}
	return saved, err
}

// open makes a client of the flags, the environment, the profile or a login.
func (c *connection) open() (*client.Client, error) {
	s, err := c.settings()
	if err != nil {
		return nil, err
	}
	if c.offline {
		return nil, errOffline
	}
	var options []client.Option
	if tenant := c.tenantName(); tenant != "" {
		options = append(options, client.Tenant(tenant))
	}
	if c.trace {
		options = append(options, client.Watch(c.say))
	}
	saved, err := c.login()
	if err != nil {
		return nil, err
	}
	if saved != nil {
		return c.openLogin(saved, options)
	}
	token, err := c.token(s)
	if err != nil {
		return nil, err
	}
	if named := c.namedServer(); token.of != "" && named != token.of {
		return nil, inputErrorf("the profile's token is for %s, not for %s; give another --context, or unset STELLA_SERVER", token.of, named)
	}
	opened, err := client.New(c.address(), token.text, options...)
	if err != nil {
		return nil, &exitError{err, exitInput}
	}
	return opened, nil
}

// errOffline refuses every connection in offline mode, before anything is opened or
// looked up.
var errOffline = &exitError{errors.New("offline mode: this needs a server, and no connection is made (--offline, STELLA_OFFLINE or the profile says so)"), exitOffline}

// say prints a request that was made. The address has no secret in it: tokens are in
// headers.
func (c *connection) say(e client.Exchange) {
	outcome := fmt.Sprintf("%d", e.Status)
	if e.Err != nil {
		outcome = e.Err.Error()
	}
	fmt.Fprintf(c.command.ErrOrStderr(), "stella: trace %s %s %s %s in %s\n", e.TraceID, e.Method, printable(e.Path), printable(outcome), e.Took.Round(time.Millisecond))
}

// openLogin uses a login for its own server and no other: another one would learn
// a token.
func (c *connection) openLogin(saved *savedContext, options []client.Option) (*client.Client, error) {
	if named := c.namedServer(); named != "" && named != saved.Server {
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

// namedToken is a token and the server that it was saved for: another one would learn
// it. One that comes by flag or environment is for whichever server is named ("").
type namedToken struct{ text, of string }

// token gives the token that was named: by a flag, by a context that a flag chose, by
// the environment, by the profile.
func (c *connection) token(s settings) (namedToken, error) {
	if c.tokenFile != "" {
		text, err := readSecretFile(c.tokenFile, false, c.command.ErrOrStderr())
		return namedToken{text: text}, err
	}
	if token := strings.TrimSpace(os.Getenv("STELLA_TOKEN")); token != "" && (c.context == "" || s.TokenFile == "") {
		return namedToken{text: token}, nil
	}
	if s.TokenFile != "" {
		text, err := readSecretFile(s.TokenFile, true, c.command.ErrOrStderr())
		return namedToken{text, strings.TrimSuffix(s.Server, "/")}, err
	}
	return namedToken{}, &exitError{fmt.Errorf("no token: log in (stella login), set STELLA_TOKEN or give --token-file FILE"), exitAuth}
}

// readSecretFile reads a token or a secret, without line ends. ours: the place is of
// our configuration, so its modes are held to be ours.
func readSecretFile(path string, ours bool, warn io.Writer) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", inputErrorf("token file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", inputErrorf("token file: %w", err)
	}
	if err := checkSecret(path, info, ours, warn); err != nil {
		return "", err
	}
	raw, err := io.ReadAll(io.LimitReader(file, maxTokenFile+1))
	if err != nil {
		return "", inputErrorf("token file: %w", err)
	}
	if len(raw) > maxTokenFile {
		return "", inputErrorf("token file %s is larger than a token can be", path)
	}
	return strings.TrimSpace(string(raw)), nil
}
