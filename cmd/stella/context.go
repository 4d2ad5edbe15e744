package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/durable"
	"github.com/stella-ops/exportcenter/signing/dpop"
)

// A context is what "stella login" leaves behind: a server, and credentials that are
// for it alone. Each is a directory of its own below ~/.stella/contexts, closed to
// others:
//
//	context.json  server, tenant, client id, token endpoint
//	secret        the client's secret
//	key.pem       the private key that tokens are bound to; it never leaves the machine
//	token.json    the last token, until it ends
type savedContext struct {
	Server   string   `json:"server"`
	Tenant   string   `json:"tenant,omitempty"`
	Client   string   `json:"client"`
	Endpoint string   `json:"endpoint"`
	Scopes   []string `json:"scopes,omitempty"`

	dir string
}

// Files of a context.
const (
	contextFile = "context.json"
	secretFile  = "secret"
	keyFile     = "key.pem"
	tokenFile   = "token.json"
)

const defaultContext = "default"

// contextDir names the directory of a context.
func contextDir(name string) (string, error) { return configPath("contexts", name, "") }

// loadContext reads a context; it gives fs.ErrNotExist when there is none.
func loadContext(name string) (*savedContext, error) {
	dir, err := contextDir(name)
	if err != nil {
		return nil, err
	}
	raw, err := readOwn(filepath.Join(dir, contextFile), maxSettings)
	if err != nil {
		return nil, err
	}
	saved := &savedContext{dir: dir}
	if err := bundle.UnmarshalStrict(raw, saved); err != nil {
		return nil, inputErrorf("%s: %w; log in again", filepath.Join(dir, contextFile), err)
	}
	return saved, nil
}

// save writes the context with its secret and key. What tells that it is there comes
// last.
func (s *savedContext) save(secret string, key *dpop.Key) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return inputErrorf("make %s: %w", s.dir, err)
	}
	pem, err := key.PEM()
	if err != nil {
		return err
	}
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	os.Remove(filepath.Join(s.dir, tokenFile)) //nolint:errcheck // it was bound to another key; an old one is not used
	return errors.Join(
		durable.WriteFile(filepath.Join(s.dir, keyFile), pem, 0o600),
		durable.WriteFile(filepath.Join(s.dir, secretFile), []byte(secret+"\n"), 0o600),
		durable.WriteFile(filepath.Join(s.dir, contextFile), append(raw, '\n'), 0o600))
}

// credentials reads secret and key.
func (s *savedContext) credentials() (*client.Credentials, error) {
	pem, err := readSecretFile(filepath.Join(s.dir, keyFile), true, io.Discard)
	if err != nil {
		return nil, loginAgain(err)
	}
	key, err := dpop.ParseKey([]byte(pem))
	if err != nil {
		return nil, loginAgain(fmt.Errorf("%s: %w", filepath.Join(s.dir, keyFile), err))
	}
	secret, err := readSecretFile(filepath.Join(s.dir, secretFile), true, io.Discard)
	if err != nil {
		return nil, loginAgain(err)
	}
	return &client.Credentials{Endpoint: s.Endpoint, ID: s.Client, Secret: secret, Scopes: s.Scopes, Key: key}, nil
}

func loginAgain(err error) error {
	return &exitError{fmt.Errorf("credentials: %w; log in again: stella login", err), exitAuth}
}

// savedToken is a token that the next command may still use.
type savedToken struct {
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
	// Key is the thumbprint of the key it is bound to.
	Key string `json:"key"`
}

// tokens is a token source that keeps the token between commands.
func (s *savedContext) tokens(c *client.Credentials) client.TokenSource {
	path := filepath.Join(s.dir, tokenFile)
	var held client.Token
	turn := make(chan struct{}, 1) // one command's requests ask together
	return func(ctx context.Context) (string, error) {
		turn <- struct{}{}
		defer func() { <-turn }()
		if !held.Fresh(clock.System()) {
			held = readToken(path, c.Key.Thumbprint())
		}
		if held.Fresh(clock.System()) {
			return held.Access, nil
		}
		var err error
		if held, err = c.Fetch(ctx); err != nil {
			return "", err
		}
		raw, err := json.Marshal(savedToken{Token: held.Access, Expires: held.Expires.UTC(), Key: c.Key.Thumbprint()})
		if err != nil {
			return "", err
		}
		return held.Access, durable.WriteFile(path, append(raw, '\n'), 0o600)
	}
}

// readToken gives the token of the last command; whatever is wrong with it, a new
// one is asked for.
func readToken(path, key string) client.Token {
	raw, err := os.ReadFile(path)
	if err != nil {
		return client.Token{}
	}
	var saved savedToken
	if bundle.UnmarshalStrict(raw, &saved) != nil || saved.Key != key {
		return client.Token{}
	}
	return client.Token{Access: saved.Token, Expires: saved.Expires}
}

// absent reports whether there is no such context.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) }
