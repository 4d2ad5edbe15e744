package frontend

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
)

const (
	keySetFresh    = 5 * time.Minute  // a set younger than this is not read again
	keySetStale    = time.Hour        // a set older than this is not believed any more
	keySetPatience = 10 * time.Second // pause between readings, also for unknown key ids
	keySetPause    = time.Second      // the same while there is no set at all
	keySetTimeout  = 5 * time.Second
	maxKeySet      = 1 << 20
	minRSABits     = 2048
)

// KeySet is an issuer's key set (JWKS, RFC 7517), read from a file or URL when
// it is first needed and again when it is old or lacks a key. When it cannot
// be read again the last one serves for an hour.
type KeySet struct {
	read  func(ctx context.Context) ([]byte, error)
	clock clock.Clock

	current atomic.Pointer[keySnapshot]

	loading sync.Mutex // held by whoever reads the set; guards the two below
	tried   time.Time
	failure error
}

// keySnapshot is the set as it was read once.
type keySnapshot struct {
	keys   []publicKey
	loaded time.Time
}

// youngerThan reports whether the snapshot was read less than age before now.
func (s *keySnapshot) youngerThan(age time.Duration, now time.Time) bool {
	return s != nil && now.Sub(s.loaded) < age
}

// publicKey is one usable key of the set.
type publicKey struct {
	id        string
	algorithm string // "" = any that fits the key
	key       any    // *ecdsa.PublicKey, ed25519.PublicKey or *rsa.PublicKey
}

// NewKeySet makes a key set of a path or an http(s) URL. Plain http is taken
// on loopback only: whoever could change the answer could sign tokens.
func NewKeySet(source string, now clock.Clock) (*KeySet, error) {
	if !strings.HasPrefix(source, "http://") && !strings.HasPrefix(source, "https://") {
		return &KeySet{clock: now, read: func(context.Context) ([]byte, error) { return readKeyFile(source) }}, nil
	}
	u, err := url.Parse(source)
	if err != nil {
		return nil, fmt.Errorf("key set address: %w", err)
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return nil, fmt.Errorf("key set address %s: plain http is allowed on loopback only; use https", u.Redacted())
	}
	client := &http.Client{Timeout: keySetTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	return &KeySet{clock: now, read: func(ctx context.Context) ([]byte, error) { return fetchKeys(ctx, client, source) }}, nil
}

// Check reads the set if it is due; for readiness.
func (k *KeySet) Check(ctx context.Context) error { return k.refresh(ctx, keySetFresh) }

// find gives the key a token names, and the reading of the set that it is from. A
// token without key id is accepted only when the set has exactly one key that fits.
func (k *KeySet) find(ctx context.Context, id, algorithm string) (any, *keySnapshot, error) {
	held, err := k.fresh(ctx)
	if err != nil {
		return nil, nil, &export.Error{Code: export.CodeUnavailable, Class: export.ClassUpstream,
			Message: "the token issuer's keys cannot be read; try again", Err: err}
	}
	if key, ok := held.lookup(id, algorithm); ok {
		return key, held, nil
	}
	// The issuer may have a new key; look, but not at every stranger's token.
	if err := k.refresh(ctx, keySetPatience); err == nil {
		held = k.current.Load()
		if key, ok := held.lookup(id, algorithm); ok {
			return key, held, nil
		}
	}
	return nil, nil, refused("it is signed by an unknown key", nil)
}

// fresh gives the set as it is to be believed now, read again if it is due.
func (k *KeySet) fresh(ctx context.Context) (*keySnapshot, error) {
	if err := k.refresh(ctx, keySetFresh); err != nil {
		return nil, err
	}
	return k.current.Load(), nil
}

func (s *keySnapshot) lookup(id, algorithm string) (any, bool) {
	var found []any
	for _, candidate := range s.keys {
		if id != "" && candidate.id != id {
			continue
		}
		if fits(candidate, algorithm) {
			found = append(found, candidate.key)
		}
	}
	if len(found) != 1 {
		return nil, false
	}
	return found[0], true
}

// fits binds algorithm and key type, and the key's own word when it has one.
func fits(k publicKey, algorithm string) bool {
	if k.algorithm != "" && k.algorithm != algorithm {
		return false
	}
	switch k.key.(type) {
	case *ecdsa.PublicKey:
		return algorithm == "ES256"
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	case *rsa.PublicKey:
		return algorithm == "RS256" || algorithm == "PS256"
	}
	return false
}

// refresh reads the set when it is older than age. Nobody waits for a reading
// while there is a set that can still be believed; without one refresh fails.
func (k *KeySet) refresh(ctx context.Context, age time.Duration) error {
	now := k.clock()
	if k.current.Load().youngerThan(age, now) {
		return nil
	}
	if k.current.Load().youngerThan(keySetStale, now) {
		if !k.loading.TryLock() {
			return nil
		}
	} else {
		k.loading.Lock()
	}
	defer k.loading.Unlock()
	return k.reload(ctx, age, now)
}

// reload is refresh for the holder of loading.
func (k *KeySet) reload(ctx context.Context, age time.Duration, now time.Time) error {
	held := k.current.Load()
	if held.youngerThan(age, now) {
		return nil
	}
	believed := held.youngerThan(keySetStale, now)
	pause := keySetPause
	if believed {
		pause = keySetPatience
	}
	if k.tried.IsZero() || now.Sub(k.tried) >= pause {
		var keys []publicKey
		k.tried = now
		if keys, k.failure = k.load(ctx); k.failure == nil {
			k.current.Store(&keySnapshot{keys: keys, loaded: now})
			return nil
		}
	}
	if believed {
		return nil
	}
	return k.failure
}

func (k *KeySet) load(ctx context.Context) ([]publicKey, error) {
	ctx, cancel := context.WithTimeout(ctx, keySetTimeout)
	defer cancel()
	raw, err := k.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	var keys []publicKey
	for _, member := range set.Keys {
		if usable, ok := usableKey(member); ok {
			keys = append(keys, usable)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no public key for ES256, EdDSA, RS256 or PS256")
	}
	return keys, nil
}

// usableKey takes public signature keys of the kinds we accept. Everything
// else is passed over: one key of a kind we do not know must not lock out all.
// Shared secrets and private keys do not belong into a key set.
func usableKey(raw []byte) (publicKey, bool) {
	var found publicKey
	key, err := jwk.ParseKey(raw)
	if err != nil {
		return found, false
	}
	found.id, _ = key.KeyID()
	if alg, ok := key.Algorithm(); ok {
		found.algorithm = alg.String()
	}
	if use, ok := key.KeyUsage(); ok && use != "" && use != "sig" {
		return found, false
	}
	if err := jwk.Export(key, &found.key); err != nil {
		return found, false
	}
	switch k := found.key.(type) {
	case *ecdsa.PublicKey:
		return found, k.Curve == elliptic.P256()
	case *rsa.PublicKey:
		return found, k.N.BitLen() >= minRSABits
	case ed25519.PublicKey:
		return found, len(k) == ed25519.PublicKeySize
	}
	return found, false
}

func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f)
}

func fetchKeys(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the issuer answered %s", resp.Status)
	}
	return readBounded(resp.Body)
}

func readBounded(r io.Reader) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxKeySet+1))
	if err == nil && len(raw) > maxKeySet {
		err = fmt.Errorf("the key set is larger than %d bytes", maxKeySet)
	}
	return raw, err
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
