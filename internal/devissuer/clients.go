package devissuer

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/durable"
)

// Client is who may ask for tokens, and for which.
type Client struct {
	ID      string        `json:"id"`
	Tenant  string        `json:"tenant"` // export.Installation for an administrator of tenants
	Project string        `json:"project,omitempty"`
	Scopes  []string      `json:"scopes,omitempty"`
	Roles   []export.Role `json:"roles,omitempty"`
	// Secret is the SHA-256 of the client's secret. The secret has 128 random bits, so
	// a slow hash would add nothing.
	Secret  bundle.Digest `json:"secret"`
	Created time.Time     `json:"created"`
}

var clientID = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$`)

func (c Client) validate() error {
	switch {
	case !clientID.MatchString(c.ID):
		return fmt.Errorf("client %.80q: want 1 to 64 lower-case letters, digits and inner dots, underscores or hyphens", c.ID)
	case !export.ValidTenant(c.Tenant) && c.Tenant != export.Installation:
		return fmt.Errorf("client %s: %.80q is not a tenant name", c.ID, c.Tenant)
	case c.Project != "" && !export.ValidTenant(c.Project):
		return fmt.Errorf("client %s: %.80q is not a project name", c.ID, c.Project)
	case len(c.Scopes)+len(c.Roles) == 0:
		return fmt.Errorf("client %s: it has neither scopes nor roles", c.ID)
	}
	for _, scope := range c.Scopes {
		if !slices.Contains(export.Scopes, scope) {
			return fmt.Errorf("client %s: %.80q is not a scope; there are %v", c.ID, scope, export.Scopes)
		}
		if export.OfInstallation(scope) != (c.Tenant == export.Installation) {
			return fmt.Errorf("client %s: %s and %s are for the tenant %q alone, and that for nothing else",
				c.ID, export.ScopeTenantManage, export.ScopeTenantOffboard, export.Installation)
		}
	}
	for _, role := range c.Roles {
		if !slices.Contains(export.Roles, role) || c.Tenant == export.Installation {
			return fmt.Errorf("client %s: %.80q is not a role for it; there are %v, for tenants", c.ID, role, export.Roles)
		}
	}
	return nil
}

// register is the file.
type register struct {
	Clients []Client `json:"clients"`
}

// maxRegister bounds the file.
const maxRegister = 1 << 20

// Clients reads the register at path; none is there before the first.
func Clients(path string) ([]Client, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read registered clients: %w", err)
	}
	clients, err := parseRegister(raw)
	if err != nil {
		return nil, fmt.Errorf("registered clients %s: %w", path, err)
	}
	return clients, nil
}

func parseRegister(raw []byte) ([]Client, error) {
	if len(raw) > maxRegister {
		return nil, fmt.Errorf("it is larger than %d bytes", maxRegister)
	}
	var r register
	if err := bundle.UnmarshalStrict(raw, &r); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, c := range r.Clients {
		if err := c.validate(); err != nil {
			return nil, err
		}
		if seen[c.ID] {
			return nil, fmt.Errorf("client %s is there twice", c.ID)
		}
		seen[c.ID] = true
	}
	return r.Clients, nil
}

// Add registers c in the file at path and gives its secret, which is kept nowhere.
// There must be one writer at a time.
func Add(path string, c Client) (secret string, err error) {
	clients, err := Clients(path)
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(clients, func(other Client) bool { return other.ID == c.ID }) {
		return "", fmt.Errorf("client %s is registered already; remove it first", c.ID)
	}
	secret = rand.Text()
	c.Secret = bundle.DigestOf([]byte(secret))
	if err := c.validate(); err != nil {
		return "", err
	}
	return secret, write(path, append(clients, c))
}

// Remove takes a client off the register. Its tokens live for five minutes more.
func Remove(path, id string) error {
	clients, err := Clients(path)
	if err != nil {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(clients), func(c Client) bool { return c.ID == id })
	if len(left) == len(clients) {
		return fmt.Errorf("client %.80q is not registered", id)
	}
	return write(path, left)
}

func write(path string, clients []Client) error {
	raw, err := json.MarshalIndent(register{Clients: clients}, "", "  ")
	if err != nil {
		return fmt.Errorf("write registered clients: %w", err)
	}
	return durable.WriteFile(path, append(raw, '\n'), 0o600)
}

// knows finds the client with this id and secret. It takes as long for an unknown
// id as for a wrong secret.
func knows(clients []Client, id, secret string) (Client, bool) {
	var found Client
	for _, c := range clients {
		if c.ID == id {
			found = c
		}
	}
	sum := sha256.Sum256([]byte(secret))
	return found, subtle.ConstantTimeCompare(sum[:], found.Secret[:]) == 1 && found.ID != ""
}
