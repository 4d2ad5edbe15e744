package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/signing/keyfile"
	"github.com/stella-ops/exportcenter/tuf"
)

const tufRootHelp = `Make the TUF roots of an installation, which say what key signs its mirrors.

A root is signed with a key of its own, which is needed for nothing else: keep it on
another machine than the service, one without a network. None of these commands needs
a service, a database or a network. What they make is public, but for the key file.

  on the machine of the root key          on the service
  tuf-root init --online signing.pub  ->  the directory that tuf.roots names
  tuf-root renew                      ->  N.root.json, beside the others

Sites begin with 1.root.json (stella verify --tuf-root); every mirror brings all roots.
After each renew or rotate a site replaces the root it trusts by the newest: with an
older one it also takes mirrors of a key that is retired, and may be stolen.`

func tufRootCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "tuf-root", Short: "Make the TUF roots of mirrors, on a machine that may be offline", Long: tufRootHelp,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(tufRootInitCommand(), tufRootRenewCommand(), tufRootRotateCommand(), tufRootShowCommand())
	return cmd
}

// rootMaker is what the commands that make a root are told.
type rootMaker struct {
	roots         tuf.Folder
	key, password string
	online        []string
	days          int
	clock         clock.Clock
}

const (
	rootDays    = 365
	maxRootDays = 3660
)

func (m *rootMaker) addFlags(cmd *cobra.Command, online string) {
	m.clock = clock.System
	f := cmd.Flags()
	f.StringVar((*string)(&m.roots), "roots", "", "`DIR` of the root documents")
	f.StringVar(&m.key, "key", "", "`FILE` of the root key")
	f.StringVar(&m.password, "password-file", "", "`FILE` with the root key's password; without one the key file is not encrypted by a password")
	f.StringArrayVar(&m.online, "online", nil, online)
	f.IntVar(&m.days, "days", rootDays, "the root is good for this many `DAYS`")
	for _, name := range []string{"roots", "key"} {
		cmd.MarkFlagRequired(name) //nolint:errcheck // the flag is there
	}
}

func tufRootInitCommand() *cobra.Command {
	var m rootMaker
	cmd := &cobra.Command{
		Use:   "init --roots DIR --key FILE --online PUB",
		Short: "Make a root key and the first root",
		Long: "Makes an encrypted root key (Ed25519) in the file of --key, unless there is one already, and 1.root.json in the directory of --roots. " +
			"Nothing is ever replaced.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return m.first(cmd.Context(), cmd.OutOrStdout()) },
	}
	m.addFlags(cmd, "`FILE` with the public key (PEM) of a service that signs mirrors; may be given again")
	cmd.MarkFlagRequired("online") //nolint:errcheck // the flag is there
	return cmd
}

func tufRootRenewCommand() *cobra.Command {
	var m rootMaker
	cmd := &cobra.Command{
		Use:   "renew --roots DIR --key FILE [--online PUB]",
		Short: "Make the next root with the same root key",
		Long: "Makes the next N.root.json: the same root key, a later end, and the same keys for mirrors, or those of --online instead. " +
			"To change the service's signing key, name both while mirrors are made by either, then renew once more with the new one alone: " +
			"from then on mirrors by the old key are refused where the new root is trusted.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return m.next(cmd.Context(), cmd.OutOrStdout(), "", "") },
	}
	m.addFlags(cmd, "`FILE` with the public key (PEM) of a service that signs mirrors from now on; may be given again. Default: the keys of the root before")
	return cmd
}

func tufRootRotateCommand() *cobra.Command {
	var m rootMaker
	var key, password string
	cmd := &cobra.Command{
		Use:   "rotate --roots DIR --key FILE --new-key FILE",
		Short: "Make the next root with a new root key",
		Long: "Makes the next N.root.json with another root key, signed by the old one and the new one. The key of --new-key is made unless there is one already. " +
			"The old key can make no root that follows this one; destroy it when sites have this root.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return m.next(cmd.Context(), cmd.OutOrStdout(), key, password)
		},
	}
	m.addFlags(cmd, "`FILE` with the public key (PEM) of a service that signs mirrors from now on; may be given again. Default: the keys of the root before")
	cmd.Flags().StringVar(&key, "new-key", "", "`FILE` of the new root key")
	cmd.Flags().StringVar(&password, "new-password-file", "", "`FILE` with the new root key's password")
	cmd.MarkFlagRequired("new-key") //nolint:errcheck // the flag is there
	return cmd
}

// first makes the key and the first root.
func (m *rootMaker) first(ctx context.Context, out io.Writer) error {
	if chain, err := m.roots.Chain(); !errors.Is(err, tuf.ErrNoRoots) {
		if err == nil {
			err = fmt.Errorf("%s has %d roots already; tuf-root renew makes the next one", m.roots, len(chain))
		}
		return err
	}
	signer, err := rootKey(m.key, m.password)
	if err != nil {
		return err
	}
	online, err := publicKeys(m.online)
	if err != nil {
		return err
	}
	return m.write(ctx, out, nil, online, signer, signer)
}

// next makes the root that follows the last, with a new key if one is named.
func (m *rootMaker) next(ctx context.Context, out io.Writer, newKey, newPassword string) error {
	chain, err := m.roots.Chain()
	if err != nil {
		return err
	}
	signer, err := heldKey(m.key, m.password)
	if err != nil {
		return err
	}
	if !chain.Last().IsRootKey(signer.PublicKeyPEM()) {
		return fmt.Errorf("--key %s: the key %s signs no roots after %s", m.key, signer.KeyID(), m.roots.At(chain.Last().Version))
	}
	online := chain.Last().OnlineKeys()
	if len(m.online) > 0 {
		if online, err = publicKeys(m.online); err != nil {
			return err
		}
	}
	next := signer
	if newKey != "" {
		if next, err = rootKey(newKey, newPassword); err != nil {
			return err
		}
		if next.KeyID() == signer.KeyID() {
			return fmt.Errorf("--new-key %s: it is the key of --key; tuf-root renew goes on with the same key", newKey)
		}
	}
	return m.write(ctx, out, chain, online, signer, next)
}

// write makes the root that follows a chain.
func (m *rootMaker) write(ctx context.Context, out io.Writer, chain tuf.Chain, online []tuf.Key, before, next signing.Signer) error {
	if m.days < 1 || m.days > maxRootDays {
		return fmt.Errorf("--days %d: want 1 to %d", m.days, maxRootDays)
	}
	key, err := tuf.KeyOf(next.PublicKeyPEM())
	if err != nil {
		return err
	}
	expires := m.clock().Add(time.Duration(m.days) * 24 * time.Hour)
	root, err := tuf.NewRoot(int64(len(chain)+1), bundle.Stamp(expires), []tuf.Key{key}, online)
	if err != nil {
		return err
	}
	document, err := tuf.Sign(ctx, root, before, next)
	if err != nil {
		return err
	}
	if chain, err = chain.Add(document); err != nil {
		return err
	}
	if err := m.roots.Write(document); err != nil {
		return err
	}
	return printRoots(out, m.roots, chain[len(chain)-1:], m.clock())
}

// rootKey loads a root key, and makes it first when it is not there.
func rootKey(file, passwordFile string) (signing.Signer, error) {
	_, err := os.Lstat(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return heldKey(file, passwordFile)
	}
	password, err := passwordIn(passwordFile)
	if err != nil {
		return nil, fmt.Errorf("read the root key's password: %w", err)
	}
	key, err := keyfile.Generate(signing.Ed25519, rand.Reader)
	if err != nil {
		return nil, err
	}
	if err := keyfile.Write(file, key, password); err != nil {
		return nil, err
	}
	return heldKey(file, passwordFile)
}

func heldKey(file, passwordFile string) (signing.Signer, error) {
	password, err := passwordIn(passwordFile)
	if err != nil {
		return nil, fmt.Errorf("read the root key's password: %w", err)
	}
	return keyfile.Load(file, password)
}

// publicKeys reads the public keys of services.
func publicKeys(files []string) (keys []tuf.Key, err error) {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--online: %w", err)
		}
		key, err := tuf.KeyOf(text)
		if err != nil {
			return nil, fmt.Errorf("--online %s: %w", file, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
