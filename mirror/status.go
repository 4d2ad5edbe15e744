package mirror

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

// Status is what a directory holds.
type Status struct {
	Tenant  string         `json:"tenant"`
	Project string         `json:"project,omitempty"`
	Profile bundle.Profile `json:"profile"`
	// GeneratedAt is when the run that made the mirror was asked for.
	GeneratedAt string `json:"generatedAt"`
	Documents   int64  `json:"documents"`
	Originals   int64  `json:"originals"`
	State
	// Status is what was found just now: one of those below.
	Status string `json:"status"`
	// Verified is whether all of it was verified just now, byte for byte.
	Verified bool `json:"verified"`
}

// Status of a directory.
const (
	StatusUnverified = "unverified" // what the directory says of itself
	StatusVerified   = verify.StatusVerified
	// StatusSameContent: all that was signed was verified, in files that another encoder
	// packed, so that the seal could not be; README.md and checksums.txt are nobody's word.
	StatusSameContent = verify.StatusSameContent
)

// looked notes that all was verified just now, as far as that goes.
func (s *Status) looked() {
	s.Verified, s.Status = s.Repacked == 0, StatusVerified
	if !s.Verified {
		s.Status = StatusSameContent
	}
}

// statusOf says what a directory of that state and manifest holds.
func statusOf(s State, m bundle.Manifest) Status {
	status := Status{Tenant: m.Tenant, Project: m.Project, Profile: m.Profile, GeneratedAt: m.GeneratedAt, State: s, Status: StatusUnverified}
	for _, c := range m.Contents {
		if bundle.IsEvidence(c.Path) {
			status.Documents += c.Records
		}
	}
	if m.Mirror != nil {
		status.Originals = m.Mirror.Originals.Count
	}
	return status
}

// Look says what the directory of a mirror holds. With verified, all of it is verified
// as it was when it was applied.
func Look(ctx context.Context, dir string, verified bool, o Options) (Status, error) {
	status, err := look(ctx, dir, verified, o)
	return status, told(err)
}

func look(ctx context.Context, dir string, verified bool, o Options) (status Status, err error) {
	generation, state, err := (&place{dir: dir}).current()
	if err != nil {
		return Status{}, err
	}
	if verified {
		p, err := enter(dir, false, o)
		if err != nil {
			return Status{}, err
		}
		defer func() { err = errors.Join(err, p.leave()) }()
		if generation, state, err = p.current(); err != nil {
			return Status{}, err
		}
		if err := held(ctx, filepath.Join(dir, generation, treeName), state, o); err != nil {
			return Status{}, err
		}
	}
	m, err := openManifest(filepath.Join(dir, generation, treeName))
	if err != nil {
		return Status{}, err
	}
	if err := state.fits(dir, m); err != nil {
		return Status{}, err
	}
	if status = statusOf(state, m); verified {
		status.looked()
	}
	return status, nil
}

// held verifies that a tree is what the state beside it says.
func held(ctx context.Context, tree string, state State, o Options) error {
	report, err := check(ctx, tree, state.Repacked > 0, o)
	if err != nil {
		return err
	}
	if report.Repacked != state.Repacked || report.ManifestDigest != state.Mirror.ManifestDigest.String() ||
		report.Repacked == 0 && report.ArchiveDigest != state.ArchiveDigest {
		return spoilt("%s: what is there is verified, and is not what %s says", tree, stateName)
	}
	return nil
}

// fits holds the state, which nobody signed, against the manifest beside it.
func (s State) fits(dir string, m bundle.Manifest) error {
	switch {
	case m.Mirror == nil || m.Delta != nil:
		return spoilt("%s: its manifest is of no full mirror", dir)
	case m.ExportID != s.Mirror.ExportID:
		return spoilt("%s: its manifest is of run %s, its state of %s", dir, m.ExportID, s.Mirror.ExportID)
	case m.Mirror.Generation != s.Mirror.Generation:
		return spoilt("%s: its manifest is of generation %d, its state of %d", dir, m.Mirror.Generation, s.Mirror.Generation)
	}
	return nil
}

// openManifest reads the manifest of a tree.
func openManifest(dir string) (bundle.Manifest, error) {
	text, err := (&tree{dir: dir}).document(bundle.ManifestPath)
	if err != nil {
		return bundle.Manifest{}, err
	}
	m, err := bundle.ParseManifest(text)
	if err != nil {
		return m, refuse(ReasonContent, "%s: %w", dir, err)
	}
	return m, nil
}
