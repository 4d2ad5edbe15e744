package box

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/durable"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/signing/keyfile"
	"github.com/stella-ops/exportcenter/tuf"
)

// rootLife is how long the first root is good.
const rootLife = 365 * 24 * time.Hour

// makeRoot makes the first TUF root of mirrors by signer, unless there is one, and
// puts it beside the trusted keys. On one machine its key lies beside the other one;
// where that is not enough, exportcenter tuf-root makes roots elsewhere.
func makeRoot(l layout, random io.Reader, signer signing.Signer, now clock.Clock) error {
	chain, err := tuf.Folder(l.roots()).Chain()
	if errors.Is(err, tuf.ErrNoRoots) {
		chain, err = firstRoot(l, random, signer, now)
	}
	if err != nil {
		return err
	}
	trusted := filepath.Join(l.trust(), filepath.FromSlash(bundle.TUFRootPath))
	if _, err := os.Stat(trusted); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(trusted), 0o700); err != nil {
		return fmt.Errorf("trusted root: %w", err)
	}
	return durable.WriteFile(trusted, chain[0].Raw, 0o644)
}

func firstRoot(l layout, random io.Reader, online signing.Signer, now clock.Clock) (tuf.Chain, error) {
	password, err := keyPassword(l.rootPassword(), l.rootKey(), random)
	if err != nil {
		return nil, err
	}
	if err := makeKey(l.rootKey(), signing.Ed25519, password); err != nil {
		return nil, err
	}
	root, err := keyfile.Load(l.rootKey(), password)
	if err != nil {
		return nil, err
	}
	own, err := tuf.KeyOf(root.PublicKeyPEM())
	if err != nil {
		return nil, err
	}
	mirrors, err := tuf.KeyOf(online.PublicKeyPEM())
	if err != nil {
		return nil, err
	}
	made, err := tuf.NewRoot(1, bundle.Stamp(now().Add(rootLife)), []tuf.Key{own}, []tuf.Key{mirrors})
	if err != nil {
		return nil, err
	}
	document, err := tuf.Sign(context.Background(), made, root)
	if err != nil {
		return nil, err
	}
	if err := tuf.Folder(l.roots()).Write(document); err != nil {
		return nil, err
	}
	return tuf.Chain{document}, nil
}
