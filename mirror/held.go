package mirror

import (
	"errors"
	"path/filepath"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

// Held is the full mirror in a directory as the archive that it is, for programs that
// read archives. Nothing of it was verified but the signature of its manifest.
type Held struct {
	*bundle.View
	// Repacked counts the files whose lines are packed by another encoder than the
	// mirror's: with any, the archive is another one than the mirror's seal covers.
	Repacked int64
	place    *place
}

// Hold opens the mirror in a directory. No command changes it until it is closed.
func Hold(dir string, trust verify.Trust) (*Held, error) {
	h, err := hold(dir, trust)
	return h, told(err)
}

func hold(dir string, trust verify.Trust) (_ *Held, err error) {
	p, err := enter(dir, false, Options{})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.leave())
		}
	}()
	generation, state, err := p.current()
	if err != nil {
		return nil, err
	}
	t, err := openTree(filepath.Join(dir, generation, treeName), trust)
	if err != nil {
		return nil, err
	}
	view, err := t.view()
	if err != nil {
		return nil, refuse(ReasonContent, "%s: %w", dir, err)
	}
	return &Held{View: view, Repacked: state.Repacked, place: p}, nil
}

// Close gives the directory free.
func (h *Held) Close() error { return errors.Join(h.View.Close(), h.place.leave()) }
