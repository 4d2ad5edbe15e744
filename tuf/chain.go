package tuf

import (
	"bytes"
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
)

// Chain is the roots of an installation from the first on. Each is signed by the
// keys of the one before and by its own, so who trusts one of them trusts the
// last.
type Chain []Document[Root]

// ReadChain reads the roots 1, 2, 3 ... and checks that each follows. Roots that
// have expired are good links (specification section 5.3.10 asks of the last only).
func ReadChain(documents [][]byte) (Chain, error) {
	if len(documents) == 0 || len(documents) > bundle.MaxTUFRoots {
		return nil, faulty(bundle.TUFRootPath, fmt.Errorf("%w: %d roots, want 1 to %d", ErrForm, len(documents), bundle.MaxTUFRoots))
	}
	chain := make(Chain, 0, len(documents))
	for i, raw := range documents {
		root, err := Parse[Root](raw)
		if err != nil {
			return nil, err
		}
		if want := int64(i + 1); root.Signed.Version != want {
			return nil, faulty(bundle.TUFRootPathOf(want), fmt.Errorf("%w: %d", ErrVersion, root.Signed.Version))
		}
		if err := chain.follows(root); err != nil {
			return nil, err
		}
		chain = append(chain, root)
	}
	return chain, nil
}

// follows holds a root against its own keys and those of the last.
func (c Chain) follows(root Document[Root]) error {
	by := []holders{root.Signed.holders(roleRoot, root.Signed.Roles.Root)}
	if len(c) > 0 {
		last := c.Last()
		by = append(by, last.holders(roleRoot, last.Roles.Root))
	}
	return signedBy(root, by...)
}

// Last is the root that counts.
func (c Chain) Last() Root { return c[len(c)-1].Signed }

// From checks that the chain passes through a root that somebody has from
// elsewhere, and gives that root's version. The bytes must be the same: two roots
// of one version are a fork, and one of them is not honest.
func (c Chain) From(trusted []byte) (int64, error) {
	root, err := Parse[Root](trusted)
	if err != nil {
		return 0, fmt.Errorf("the trusted root: %w", err)
	}
	version := root.Signed.Version
	switch last := c.Last().Version; {
	case version > last:
		return 0, fmt.Errorf("%w: the trusted root is version %d, this chain ends with %d; it was made before, "+
			"or by somebody whose keys were taken away since", ErrRoot, version, last)
	case !bytes.Equal(c[version-1].Raw, trusted):
		return 0, fmt.Errorf("%w: root %d here is another one than the trusted root %d", ErrRoot, version, version)
	}
	return version, nil
}

// Expired is the error of a root that is no good at a moment.
func (r Root) Expired(at time.Time) error { return expired(r.path(), r.Expires, at) }
