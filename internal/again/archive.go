package again

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/export"
)

// archive is a bundle that was verified. What is read of it later is compared with the
// digests that were signed: the file may have changed since.
type archive struct {
	stored
	name    string
	entries []section // all but originals, in archive order
	// originals is where they are, one behind the other, from the first one's header to
	// the end of the last one; first is its path.
	originals section
	first     string

	manifestText []byte
	manifest     bundle.Manifest
	provenance   bundle.Provenance
}

// section is where bytes are in the bundle.
type section struct {
	path       string
	from, size int64
}

// maxDocument bounds the entries that are read whole, as the verifier does.
var maxDocument = verify.DefaultLimits().Document

// openVerified opens the bundle in a file, or the mirror in a directory, and verifies it.
func openVerified(ctx context.Context, name string, trust verify.Trust, mirrored verify.MirrorPolicy) (_ *archive, err error) {
	bytes, size, err := opened(name, trust)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, bytes.Close())
		}
	}()
	if bundle.SaysEncrypted(bytes) {
		return nil, refuse("%s is encrypted: open it first, with a recipient's key, and give what comes out", name)
	}
	report, err := verify.Reader(ctx, bytes, size, trust, verify.WithMirror(mirrored))
	if err != nil {
		return nil, err // it has its exit code
	}
	if report.Status != verify.StatusVerified { // it was another file a moment ago
		return nil, refuse("%s: its contents were not verified (%s)", name, report.Status)
	}
	a := &archive{stored: bytes, name: name}
	return a, a.read(report)
}

func (a *archive) read(report verify.Report) error {
	err := bundle.Walk(a, func(path string, from, size int64) error {
		if !bundle.IsOriginal(path) {
			a.entries = append(a.entries, section{path, from, size})
			return nil
		}
		begins := from - bundle.BlockSize
		if a.first == "" {
			a.first, a.originals = path, section{path, begins, 0}
		}
		a.originals.size = begins + bundle.EntrySize(size) - a.originals.from
		return nil
	})
	if err != nil {
		return a.changed(err)
	}
	if a.manifestText, err = a.document(bundle.ManifestPath); err != nil {
		return err
	}
	if bundle.DigestOf(a.manifestText).String() != report.ManifestDigest {
		return a.changed(errors.New(bundle.ManifestPath))
	}
	if a.manifest, err = bundle.ParseManifest(a.manifestText); err != nil {
		return a.changed(err)
	}
	provenance, err := a.document(bundle.ProvenancePath)
	if err != nil {
		return err
	}
	if a.provenance, err = bundle.ParseProvenance(provenance); err != nil {
		return a.changed(err)
	}
	if err := a.provenance.Describes(a.manifest, bundle.DigestOf(a.manifestText)); err != nil {
		return a.changed(err)
	}
	return nil
}

// contradicts is what a signed bundle says against itself: whoever signed it made it wrong.
func contradicts(path, format string, args ...any) error {
	return &verify.Error{Failure: verify.Failure{Class: verify.ClassContent, Reason: verify.ReasonEvidence, Path: path, Message: fmt.Sprintf(format, args...)}}
}

func (a *archive) changed(err error) error {
	return fmt.Errorf("%s changed after it was verified: %w: %w", a.name, bundle.ErrRotten, err)
}

// find gives the entry at path.
func (a *archive) find(path string) (section, error) {
	for _, s := range a.entries {
		if s.path == path {
			return s, nil
		}
	}
	return section{}, fmt.Errorf("%s has no %s", a.name, path)
}

// document reads a small entry.
func (a *archive) document(path string) ([]byte, error) {
	s, err := a.find(path)
	if err != nil {
		return nil, err
	}
	if s.size > maxDocument {
		return nil, fmt.Errorf("%s: %s has %d bytes, more than the %d that are read whole", a.name, path, s.size, maxDocument)
	}
	raw := make([]byte, s.size)
	if _, err := a.ReadAt(raw, s.from); err != nil {
		return nil, a.changed(err)
	}
	return raw, nil
}

// open reads an entry as it is stored.
func (a *archive) open(s section) io.Reader { return io.NewSectionReader(a, s.from, s.size) }

// belongsTo says why a bundle cannot be built again from a mirror.
func (a *archive) belongsTo(mirror *archive) error {
	p := a.manifest.Profile
	switch {
	case a.manifest.Delta != nil:
		return refuse("%s is a delta: it follows from two mirrors; apply it (stella mirror apply), and build the mirror again that comes out", a.name)
	case a.manifest.Mirror != nil:
		return refuse("%s is a mirror and holds what it is built of: give it with --from alone", a.name)
	case !a.provenance.NamesMirror(mirror.manifest, bundle.DigestOf(mirror.manifestText)):
		return refuse("%s does not name this mirror (%s generation %d) as what it is made of; bundles that do are made with: stella export run %s:%s --mirror RUN",
			a.name, mirror.manifest.ExportID, mirror.manifest.Mirror.Generation, p.Kind, p.Variant)
	case a.manifest.Tenant != mirror.manifest.Tenant || a.manifest.Project != mirror.manifest.Project:
		return refuse("%s is of another tenant or project than the mirror", a.name)
	}
	return nil
}

// run is the run that made the bundle, as far as the bundle tells: all that its bytes
// depend on.
func (a *archive) run() (export.Run, error) {
	m := a.manifest
	run := export.Run{Tenant: m.Tenant, Project: m.Project, ID: m.RunID,
		ProfileID: m.Profile.ID, ProfileRevision: m.Profile.Revision, ProfileName: m.Profile.Name, Kind: m.Profile.Kind, Variant: m.Profile.Variant,
		RequestedBy: "rebuild", State: export.StatePending}
	if m.Mirror != nil {
		run.Generation = m.Mirror.Generation
	}
	if e := m.Encryption; e != nil { // manifest and provenance of what is within say it too
		run.Encryption = &export.Encryption{Enabled: true, Mode: e.Mode, RecipientKeys: e.Recipients, Strict: e.Strict}
	}
	if err := bundle.UnmarshalStrict(m.Selectors, &run.Selectors); err != nil {
		return run, refuse("%s has selectors that this program does not know (%v); use the release that the manifest names: %s", a.name, err, m.Tool.Version)
	}
	if err := bundle.UnmarshalStrict(a.provenance.Predicate.BuildDefinition.ExternalParameters.Options, &run.Options); err != nil {
		return run, refuse("%s has options that this program does not know (%v); use the release that the manifest names: %s", a.name, err, m.Tool.Version)
	}
	var err error
	if run.RequestedAt, err = time.Parse(time.RFC3339, m.GeneratedAt); err != nil {
		return run, fmt.Errorf("%s: generatedAt: %w", a.name, err)
	}
	if w := run.Selectors.TimeWindow; w != nil && w.Field == export.TimeObserved {
		return run, refuse("%s is selected by when the ledger recorded its documents, which a mirror does not tell; rebuild it with: stella export rebuild %s", a.name, m.RunID)
	}
	return run, nil
}
