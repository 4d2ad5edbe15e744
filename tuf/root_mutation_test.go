package tuf_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/tuf"
)

// A first root is whatever its maker says: each of these is signed by the very
// keys that it names, and must be refused for its form.
func TestOtherRootsAreRefused(t *testing.T) {
	online, root := bundletest.Key(t, 1, signing.Ed25519), bundletest.RootKey(t, 1)
	onlineID, rootID := idOf(t, bundletest.TUFKey(t, online)), idOf(t, bundletest.TUFKey(t, root))
	spare := bundletest.TUFKey(t, bundletest.Key(t, 2, signing.ECDSAP256))
	_, err := tuf.ReadChain([][]byte{signRoot(t, rootOf(t, 1, root, online), root)})
	require.NoError(t, err)
	for name, change := range map[string]func(*tuf.Root){
		"threshold 0":                  func(r *tuf.Root) { r.Roles.Timestamp.Threshold = 0 },
		"a threshold below 0":          func(r *tuf.Root) { r.Roles.Root.Threshold = -1 },
		"a threshold nobody can reach": func(r *tuf.Root) { r.Roles.Targets.Threshold = 2 },
		"a role without keys":          func(r *tuf.Root) { r.Roles.Snapshot.KeyIDs = []string{} },
		"a role whose keys are null":   func(r *tuf.Root) { r.Roles.Snapshot.KeyIDs = nil },
		"a key that is not there":      func(r *tuf.Root) { r.Roles.Snapshot.KeyIDs = []string{strings.Repeat("0", 64)} },
		"a key twice in a role":        func(r *tuf.Root) { r.Roles.Targets = tuf.Role{KeyIDs: []string{onlineID, onlineID}, Threshold: 2} },
		"one key for root and mirrors": func(r *tuf.Root) { r.Roles.Timestamp.KeyIDs = []string{rootID} },
		"a key without a role":         func(r *tuf.Root) { r.Keys[idOf(t, spare)] = spare },
		"a key under another id": func(r *tuf.Root) {
			r.Keys[strings.Repeat("0", 64)] = r.Keys[rootID]
			delete(r.Keys, rootID)
			r.Roles.Root.KeyIDs = []string{strings.Repeat("0", 64)}
		},
		"keys that are null":      func(r *tuf.Root) { r.Keys = nil },
		"a key of another type":   func(r *tuf.Root) { rekey(t, r, onlineID, func(k *tuf.Key) { k.Type = "ecdsa" }) },
		"a key of another scheme": func(r *tuf.Root) { rekey(t, r, onlineID, func(k *tuf.Key) { k.Scheme = "ecdsa-sha2-nistp256" }) },
		"an unknown type":         func(r *tuf.Root) { rekey(t, r, onlineID, func(k *tuf.Key) { k.Type, k.Scheme = "gpg", "gpg" }) },
		"a key in upper case": func(r *tuf.Root) {
			rekey(t, r, onlineID, func(k *tuf.Key) { k.Value.Public = strings.ToUpper(k.Value.Public) })
		},
		"half a key":                     func(r *tuf.Root) { rekey(t, r, onlineID, func(k *tuf.Key) { k.Value.Public = k.Value.Public[:32] }) },
		"no key":                         func(r *tuf.Root) { rekey(t, r, onlineID, func(k *tuf.Key) { k.Value.Public = "" }) },
		"a key with blank lines":         func(r *tuf.Root) { rekeyTo(t, r, onlineID, withBlankLines(spare)) },
		"a key with text around it":      func(r *tuf.Root) { spaced := spare; spaced.Value.Public += "\n"; rekeyTo(t, r, onlineID, spaced) },
		"the other name of an ECDSA key": func(r *tuf.Root) { named := spare; named.Type = "ecdsa-sha2-nistp256"; rekeyTo(t, r, onlineID, named) },
		"an RSA key":                     func(r *tuf.Root) { rekeyTo(t, r, onlineID, rsaKey(t)) },
		"a key of another curve":         func(r *tuf.Root) { rekeyTo(t, r, onlineID, curveKey(t)) },
		"consistent snapshots":           func(r *tuf.Root) { r.ConsistentSnapshot = true },
		"another role's document":        func(r *tuf.Root) { r.Type = "targets" },
		"version 0":                      func(r *tuf.Root) { r.Version = 0 },
		"a version beyond the last":      func(r *tuf.Root) { r.Version = bundle.MaxTUFRoots + 1 },
		"no end":                         func(r *tuf.Root) { r.Expires = "" },
		"too many keys":                  func(r *tuf.Root) { manyKeys(t, r) },
	} {
		t.Run(name, func(t *testing.T) {
			made := rootOf(t, 1, root, online)
			change(&made)
			text, err := bundle.MarshalCanonical(made)
			require.NoError(t, err)
			_, err = tuf.ReadChain([][]byte{signText(t, string(text), root)})
			require.ErrorIs(t, err, tuf.ErrForm)
		})
	}
	t.Run("a role more", func(t *testing.T) {
		text, err := bundle.MarshalCanonical(rootOf(t, 1, root, online))
		require.NoError(t, err)
		more := strings.Replace(string(text), `"snapshot":`, `"mirror":{"keyids":["`+onlineID+`"],"threshold":1},"snapshot":`, 1)
		_, err = tuf.ReadChain([][]byte{signText(t, more, root)})
		require.ErrorIs(t, err, tuf.ErrForm)
	})
	t.Run("a huge document", func(t *testing.T) {
		_, err := tuf.ReadChain([][]byte{append(signRoot(t, rootOf(t, 1, root, online), root), make([]byte, 512_000)...)})
		require.ErrorIs(t, err, tuf.ErrForm)
	})
	t.Run("too many roots", func(t *testing.T) {
		_, err := tuf.ReadChain(make([][]byte, bundle.MaxTUFRoots+1))
		require.ErrorIs(t, err, tuf.ErrForm)
	})
}

// Two of three keys are two keys: one of them twice is one, and a third that is no
// good spoils it.
func TestThresholdsCountKeys(t *testing.T) {
	online := bundletest.Key(t, 1, signing.Ed25519)
	a, b, c := bundletest.RootKey(t, 1), bundletest.RootKey(t, 2), bundletest.RootKey(t, 3)
	root, err := tuf.NewRoot(1, bundle.Stamp(bundletest.TUFEnd), []tuf.Key{bundletest.TUFKey(t, a), bundletest.TUFKey(t, b), bundletest.TUFKey(t, c)},
		[]tuf.Key{bundletest.TUFKey(t, online)})
	require.NoError(t, err)
	root.Roles.Root.Threshold = 2
	for name, of := range map[string]struct {
		signers []signing.Signer
		good    bool
	}{
		"one": {[]signing.Signer{a}, false}, "one twice": {[]signing.Signer{a, a}, false}, "two": {[]signing.Signer{a, c}, true},
		"three": {[]signing.Signer{a, b, c}, true}, "one and one of no role in roots": {[]signing.Signer{a, online}, false},
	} {
		_, err := tuf.ReadChain([][]byte{signRoot(t, root, of.signers...)})
		if of.good {
			require.NoError(t, err, name)
		} else {
			require.ErrorIs(t, err, tuf.ErrSignature, name)
		}
	}
	// The next root needs two of these three as well.
	chain, err := tuf.ReadChain([][]byte{signRoot(t, root, a, b)})
	require.NoError(t, err)
	d := bundletest.RootKey(t, 4)
	next := rootOf(t, 2, d, online)
	for name, signers := range map[string][]signing.Signer{"one of them": {a, d}, "only itself": {d}, "only them": {a, b}} {
		document, err := tuf.Sign(t.Context(), next, signers...)
		require.NoError(t, err)
		_, err = chain.Add(document)
		require.ErrorIs(t, err, tuf.ErrSignature, name)
	}
	document, err := tuf.Sign(t.Context(), next, b, c, d)
	require.NoError(t, err)
	_, err = chain.Add(document)
	require.NoError(t, err)
}

func idOf(t testing.TB, key tuf.Key) string {
	t.Helper()
	id, err := key.ID()
	require.NoError(t, err)
	return id
}

// rekey changes a key and everything that names it.
func rekey(t testing.TB, r *tuf.Root, id string, change func(*tuf.Key)) {
	key := r.Keys[id]
	change(&key)
	rekeyTo(t, r, id, key)
}

func rekeyTo(t testing.TB, r *tuf.Root, id string, key tuf.Key) {
	delete(r.Keys, id)
	next := idOf(t, key)
	r.Keys[next] = key
	for _, role := range []*tuf.Role{&r.Roles.Targets, &r.Roles.Snapshot, &r.Roles.Timestamp} {
		role.KeyIDs = []string{next}
	}
}

func withBlankLines(key tuf.Key) tuf.Key {
	key.Value.Public = strings.ReplaceAll(key.Value.Public, "\n", "\n\n")
	return key
}

func publicKey(t testing.TB, kind, scheme string, public any) tuf.Key {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	return tuf.Key{Type: kind, Scheme: scheme, Value: tuf.KeyValue{Public: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}}
}

func rsaKey(t testing.TB) tuf.Key {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	return publicKey(t, "rsa", "rsassa-pss-sha256", &key.PublicKey)
}

func curveKey(t testing.TB) tuf.Key {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	return publicKey(t, "ecdsa", "ecdsa-sha2-nistp256", &key.PublicKey)
}

func manyKeys(t testing.TB, r *tuf.Root) {
	for n := range byte(40) {
		key := bundletest.TUFKey(t, bundletest.Key(t, 150+n, signing.Ed25519))
		r.Keys[idOf(t, key)] = key
	}
}
