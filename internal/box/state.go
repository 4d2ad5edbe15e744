package box

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/stella-ops/exportcenter/storage/postgres"
)

// state is what the box remembers between starts: state.json, readable by its
// owner only.
type state struct {
	// Installation names this box; its development tokens carry the name.
	Installation string    `json:"installation"`
	Passwords    passwords `json:"passwords"`
	Ports        ports     `json:"ports"`
}

// passwords of the database's roles.
type passwords struct {
	Superuser string `json:"superuser"`
	Owner     string `json:"owner"`
	App       string `json:"app"`
	Dispatch  string `json:"dispatch"`
	Temporal  string `json:"temporal"`
}

// offboard is the password of the role that removes tenants. It is made of another
// one: a member that an older release does not know would keep that from starting.
func (p passwords) offboard() string {
	mac := hmac.New(sha256.New, []byte(p.Superuser))
	mac.Write([]byte(postgres.OffboardRole)) //nolint:errcheck // never fails (hash.Hash)
	return hex.EncodeToString(mac.Sum(nil)[:24])
}

// ports used last time.
type ports struct {
	API        int `json:"api"`
	Postgres   int `json:"postgres"`
	Temporal   int `json:"temporal"`
	TemporalUI int `json:"temporalUI"`
}

// loadState reads the state or makes it. It is on the disk before anything
// uses a password in it.
func loadState(l layout, random io.Reader) (state, error) {
	raw, err := os.ReadFile(l.state())
	if errors.Is(err, fs.ErrNotExist) {
		return newState(l, random)
	}
	if err != nil {
		return state{}, fmt.Errorf("read state: %w", err)
	}
	var s state
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return state{}, fmt.Errorf("state %s: %w", l.state(), err)
	}
	if s.Installation == "" || s.Passwords.Superuser == "" {
		return state{}, fmt.Errorf("state %s: it lacks the installation's name or passwords", l.state())
	}
	return s, nil
}

func newState(l layout, random io.Reader) (state, error) {
	if _, err := os.Stat(l.postgres()); err == nil {
		return state{}, fmt.Errorf("%s is missing but %s is there: the database's passwords were in it. "+
			"Put it back from a copy, or start with an empty data directory", l.state(), l.postgres())
	}
	var s state
	for _, secret := range []struct {
		into  *string
		bytes int
	}{
		{&s.Installation, 8}, {&s.Passwords.Superuser, 24}, {&s.Passwords.Owner, 24},
		{&s.Passwords.App, 24}, {&s.Passwords.Dispatch, 24}, {&s.Passwords.Temporal, 24},
	} {
		text, err := randomHex(random, secret.bytes)
		if err != nil {
			return state{}, err
		}
		*secret.into = text
	}
	return s, s.save(l)
}

func (s state) save(l layout) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	return writeWhole(l.state(), append(raw, '\n'))
}

func randomHex(random io.Reader, n int) (string, error) {
	raw := make([]byte, n)
	if _, err := io.ReadFull(random, raw); err != nil {
		return "", fmt.Errorf("draw randomness: %w", err)
	}
	return hex.EncodeToString(raw), nil
}
