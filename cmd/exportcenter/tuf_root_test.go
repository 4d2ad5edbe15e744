package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/signing/keyfile"
	"github.com/stella-ops/exportcenter/tuf"
)

// desk is a machine of a root key: a directory, and nothing else.
type desk struct {
	dir    string
	online signing.Signer
}

func newDesk(t *testing.T) desk {
	t.Helper()
	d := desk{dir: t.TempDir(), online: bundletest.Key(t, 1)}
	d.put(t, "online.pub", d.online.PublicKeyPEM())
	d.put(t, "next.pub", bundletest.Key(t, 2, signing.Ed25519).PublicKeyPEM())
	d.put(t, "password", []byte("a secret\n"))
	d.put(t, "other-password", []byte("another"))
	return d
}

func (d desk) at(name string) string { return filepath.Join(d.dir, name) }

func (d desk) put(t *testing.T, name string, content []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(d.at(name), content, 0o600))
}

// do runs exportcenter tuf-root with words in which @ stands for the desk.
func (d desk) do(t *testing.T, words ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	args := []string{"tuf-root"}
	for _, word := range words {
		if word[0] == '@' {
			word = d.at(word[1:])
		}
		args = append(args, word)
	}
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&out)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func (d desk) must(t *testing.T, words ...string) string {
	t.Helper()
	said, err := d.do(t, words...)
	require.NoError(t, err)
	return said
}

func (d desk) chain(t *testing.T) tuf.Chain {
	t.Helper()
	chain, err := tuf.Folder(d.at("roots")).Chain()
	require.NoError(t, err)
	return chain
}

var mine = []string{"--roots", "@roots", "--key", "@root.key", "--password-file", "@password"}

func with(verb string, words ...string) []string {
	return append(append([]string{verb}, mine...), words...)
}

func TestRootsAreMadeRenewedAndRotated(t *testing.T) {
	d := newDesk(t)
	said := d.must(t, with("init", "--online", "@online.pub")...)
	require.Contains(t, said, "root 1\n")
	require.Contains(t, said, "mirrors  are signed by "+d.online.KeyID()+" (ecdsa-p256-sha256)")
	require.NoError(t, d.chain(t).Last().MaySign(bundletest.TUFKey(t, d.online)))
	first, err := keyfile.Load(d.at("root.key"), []byte("a secret"))
	require.NoError(t, err)
	_, err = keyfile.Load(d.at("root.key"), nil)
	require.ErrorIs(t, err, keyfile.ErrPassword, "the key is encrypted")

	d.must(t, with("renew", "--days", "10")...)
	chain := d.chain(t)
	require.Len(t, chain, 2)
	require.True(t, chain.Last().IsRootKey(first.PublicKeyPEM()))
	require.NoError(t, chain.Last().MaySign(bundletest.TUFKey(t, d.online)), "the keys for mirrors stay")
	require.NoError(t, chain.Last().Expired(time.Now().AddDate(0, 0, 9)))
	require.ErrorIs(t, chain.Last().Expired(time.Now().AddDate(0, 0, 11)), tuf.ErrExpired)

	d.must(t, with("renew", "--online", "@online.pub", "--online", "@next.pub")...)
	last := d.chain(t).Last()
	require.NoError(t, last.MaySign(bundletest.TUFKey(t, d.online)))
	require.NoError(t, last.MaySign(bundletest.TUFKey(t, bundletest.Key(t, 2, signing.Ed25519))))

	d.must(t, with("renew", "--online", "@next.pub")...)
	require.Error(t, d.chain(t).Last().MaySign(bundletest.TUFKey(t, d.online)), "the old key is taken away")

	d.must(t, with("rotate", "--new-key", "@second.key", "--new-password-file", "@other-password")...)
	chain = d.chain(t)
	require.Len(t, chain, 5)
	require.False(t, chain.Last().IsRootKey(first.PublicKeyPEM()))
	_, err = d.do(t, with("renew")...)
	require.ErrorContains(t, err, "signs no roots after")
	require.Len(t, d.chain(t), 5)
	said = d.must(t, "renew", "--roots", "@roots", "--key", "@second.key", "--password-file", "@other-password")
	require.Contains(t, said, "root 6\n")

	said = d.must(t, "show", "--roots", "@roots")
	for _, text := range []string{"root 1\n", "root 6\n", first.KeyID(), "(ed25519)", filepath.Join("roots", "3.root.json")} {
		require.Contains(t, said, text)
	}
	require.NotContains(t, said, "EXPIRED")
}

func TestRootsThatAreRefused(t *testing.T) {
	d := newDesk(t)
	d.must(t, with("init", "--online", "@online.pub")...)
	before := d.chain(t)
	d.put(t, "root.pub", mustRoot(t, d).PublicKeyPEM())
	for name, of := range map[string]struct {
		words []string
		says  string
	}{
		"a second first root":             {with("init", "--online", "@online.pub"), "renew makes the next"},
		"the root key as one for mirrors": {with("renew", "--online", "@root.pub"), "it may sign nothing else"},
		"a new root key that is the old":  {with("rotate", "--new-key", "@root.key", "--new-password-file", "@password"), "the key of --key"},
		"the wrong password":              {[]string{"renew", "--roots", "@roots", "--key", "@root.key", "--password-file", "@other-password"}, "wrong password"},
		"no password":                     {[]string{"renew", "--roots", "@roots", "--key", "@root.key"}, "wrong password"},
		"no days":                         {with("renew", "--days", "0"), "--days 0"},
		"a hundred years":                 {with("renew", "--days", "36500"), "--days 36500"},
		"no such key":                     {with("renew", "--online", "@none.pub"), "--online"},
		"no public key":                   {with("renew", "--online", "@password"), "--online"},
		"no roots":                        {[]string{"renew", "--roots", "@none", "--key", "@root.key", "--password-file", "@password"}, "no TUF root"},
		"nothing to show":                 {[]string{"show", "--roots", "@none"}, "no TUF root"},
		"a missing flag":                  {[]string{"renew", "--roots", "@roots"}, "required flag"},
		"a key for mirrors of nobody":     {with("init"), "required flag"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.do(t, of.words...)
			require.ErrorContains(t, err, of.says)
			require.Equal(t, before, d.chain(t))
		})
	}
	require.NoError(t, os.Rename(d.at("roots/1.root.json"), d.at("roots/2.root.json")))
	_, err := d.do(t, "show", "--roots", "@roots")
	require.Error(t, err, "a chain has no gap")
}

func mustRoot(t *testing.T, d desk) signing.Signer {
	t.Helper()
	signer, err := keyfile.Load(d.at("root.key"), []byte("a secret"))
	require.NoError(t, err)
	return signer
}

// A start that was cut off between the key and the root goes on with the key.
func TestARootKeyThatIsThereIsUsed(t *testing.T) {
	d := newDesk(t)
	key, err := keyfile.Generate(signing.ECDSAP256, bytes.NewReader(bytes.Repeat([]byte{7}, 64)))
	require.NoError(t, err)
	require.NoError(t, keyfile.Write(d.at("root.key"), key, []byte("a secret")))
	d.must(t, with("init", "--online", "@online.pub")...)
	require.True(t, d.chain(t).Last().IsRootKey(mustRoot(t, d).PublicKeyPEM()))
}

// Two people at the same desk do not make two roots of one version.
func TestARootIsNeverReplaced(t *testing.T) {
	d := newDesk(t)
	d.must(t, with("init", "--online", "@online.pub")...)
	root := d.chain(t)[0]
	require.ErrorIs(t, tuf.Folder(d.at("roots")).Write(root), os.ErrExist)
	left, err := os.ReadDir(d.at("roots"))
	require.NoError(t, err)
	require.Len(t, left, 1, "nothing else is left there")
	old := rootMaker{roots: tuf.Folder(d.at("old")), key: d.at("root.key"), password: d.at("password"), online: []string{d.at("online.pub")}, days: 1,
		clock: clock.Fixed(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))}
	require.NoError(t, old.first(t.Context(), &bytes.Buffer{}))
	require.Contains(t, d.must(t, "show", "--roots", "@old"), "EXPIRED")
}
