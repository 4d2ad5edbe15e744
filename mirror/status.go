package mirror

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/stella-ops/exportcenter/bundle"
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
	// Verified is whether all of it was verified just now.
	Verified bool `json:"verified"`
}

// statusOf says what a directory of that state and manifest holds.
func statusOf(s State, m bundle.Manifest) Status {
	status := Status{Tenant: m.Tenant, Project: m.Project, Profile: m.Profile, GeneratedAt: m.GeneratedAt, State: s}
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
		report, err := check(ctx, filepath.Join(dir, generation, treeName), state.Repacked > 0, o)
		if err != nil {
			return Status{}, err
		}
		if report.Repacked != state.Repacked || report.ManifestDigest != state.Mirror.ManifestDigest.String() ||
			report.Repacked == 0 && report.ArchiveDigest != state.ArchiveDigest {
			return Status{}, refuse(ReasonContent, "%s: what is there is verified, and is not what %s says; make the mirror anew of a full one", dir, stateName)
		}
	}
	m, err := openManifest(filepath.Join(dir, generation, treeName))
	if err != nil {
		return Status{}, err
	}
	if m.ExportID != state.Mirror.ExportID {
		return Status{}, refuse(ReasonContent, "%s: its manifest is of run %s, its state of %s; make the mirror anew of a full one", dir, m.ExportID, state.Mirror.ExportID)
	}
	status = statusOf(state, m)
	status.Verified = verified
	return status, nil
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
