package bundle

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Mirror is what the manifest of a mirror says beyond its contents, of a full one and
// of a delta.
type Mirror struct {
	// Generation numbers a tenant's mirrors as they are published, from 1; it only
	// rises, and may leave numbers out. A delta has that of its target.
	Generation int64 `json:"generation"`
	// Originals are what data/original holds; the payload files indexes/originals-*
	// list them.
	Originals Originals `json:"originals"`
}

// Originals counts the originals of a mirror; Bytes are their content's.
type Originals struct {
	Bytes int64 `json:"bytes"`
	Count int64 `json:"count"`
}

// Delta says between which mirrors a delta lies, and what it holds. It is the content
// of DeltaPath, and the manifest's member delta.
type Delta struct {
	Base   DeltaEnd `json:"base"`
	Target DeltaEnd `json:"target"`

	// Documents by their key: Added and Changed have a line, Removed a tombstone.
	Added   int64 `json:"added"`
	Changed int64 `json:"changed"`
	Removed int64 `json:"removed"`

	Reused Reused `json:"reused"`
}

// DeltaEnd names a full mirror.
type DeltaEnd struct {
	ExportID       string `json:"exportId"`
	Generation     int64  `json:"generation"`
	ManifestDigest Digest `json:"manifestDigest"`
	PayloadDigest  Digest `json:"payloadDigest"`
	// ContentRoot is ContentRoot of its contents: the same for another encoder.
	ContentRoot   Digest `json:"contentRoot"`
	ArchiveDigest Digest `json:"archiveDigest"`
	ArchiveBytes  int64  `json:"archiveBytes"`
}

// Reused counts the payload files of the target that are those of the base.
type Reused struct {
	Bytes int64 `json:"bytes"`
	Files int64 `json:"files"`
}

// ContentRoot is SHA-256 over a line per payload file in order of path: the path, a
// line feed, the digest of its content as 64 hex digits, a line feed. Other than
// PayloadDigest it does not depend on what compressed the files.
func ContentRoot(contents []Content) Digest {
	h := sha256.New()
	for _, c := range contents {
		fmt.Fprintf(h, "%s\n%s\n", c.Path, c.ContentDigest.Hex())
	}
	return Digest(h.Sum(nil))
}

// Encode gives the bytes of DeltaPath.
func (d Delta) Encode() ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", DeltaPath, err)
	}
	return MarshalCanonical(d)
}

// DeltaOf reads what Encode writes, and nothing else.
func DeltaOf(text []byte) (d Delta, err error) {
	err = parseExact(DeltaPath, text, &d, Delta.Encode)
	return d, err
}

func (d Delta) check() error {
	for _, end := range []struct {
		name string
		DeltaEnd
	}{{"base", d.Base}, {"target", d.Target}} {
		switch {
		case !runIDForm.MatchString(end.ExportID):
			return fmt.Errorf("delta.%s.exportId: %.100q is not a run id", end.name, end.ExportID)
		case end.Generation < 1 || end.Generation > maxContent:
			return fmt.Errorf("delta.%s.generation: %d is no generation", end.name, end.Generation)
		case end.ManifestDigest.IsZero() || end.PayloadDigest.IsZero() || end.ContentRoot.IsZero() || end.ArchiveDigest.IsZero():
			return fmt.Errorf("delta.%s: a digest was never set", end.name)
		case end.ArchiveBytes < 1 || end.ArchiveBytes > maxContent:
			return fmt.Errorf("delta.%s.archiveBytes: %d", end.name, end.ArchiveBytes)
		}
	}
	same := d.Base == d.Target
	switch {
	case min(d.Added, d.Changed, d.Removed, d.Reused.Files, d.Reused.Bytes) < 0,
		max(d.Added, d.Changed, d.Removed, d.Reused.Files, d.Reused.Bytes) > maxContent:
		return errors.New("delta: a number is no count")
	case !same && d.Base.Generation >= d.Target.Generation:
		return fmt.Errorf("delta: leads from generation %d to %d, which is not later", d.Base.Generation, d.Target.Generation)
	case same && d.Added+d.Changed+d.Removed > 0:
		return errors.New("delta: has changes, but its base is its target")
	}
	return nil
}

// Kinds of mirrors, as the manifest's profile names them.
const (
	mirrorKind   = "mirror"
	deltaVariant = "delta"
)

// checkMirror wants the members mirror and delta exactly where they belong, and in
// agreement with the contents.
func checkMirror(m Manifest) error {
	listed, removed, lines, result := int64(0), int64(0), int64(0), false
	for _, c := range m.Contents {
		switch kind, _ := payloadKindOf(c.Path); {
		case kind.counted == originalsCounted:
			listed += c.Records
		case kind.tombstones:
			removed += c.Records
		case IsEvidence(c.Path):
			lines += c.Records
		case kind.counted == resultCounted, strings.HasPrefix(c.Path, removedDir):
			result = true
		case kind.mirrored && m.Mirror == nil:
			return fmt.Errorf("mirror: absent, but the contents have %s", c.Path)
		}
	}
	isDelta := m.Profile.Kind == mirrorKind && m.Profile.Variant == deltaVariant
	deltaFile := slices.IndexFunc(m.Contents, func(c Content) bool { return c.Path == DeltaPath }) >= 0
	switch {
	case (m.Mirror != nil) != (m.Profile.Kind == mirrorKind):
		return fmt.Errorf("mirror: there for profiles of kind %s, and for no others", mirrorKind)
	case (m.Delta != nil) != isDelta || deltaFile != isDelta:
		return fmt.Errorf("delta: there, with %s, for profile %s:%s, and for no others", DeltaPath, mirrorKind, deltaVariant)
	case !isDelta && (removed > 0 || result):
		return errors.New("contents: tombstones and results are in deltas only")
	case m.Mirror == nil && listed > 0:
		return errors.New("mirror: absent, but the contents list originals")
	case m.Mirror == nil:
		return nil
	}
	o := m.Mirror.Originals
	switch {
	case m.Mirror.Generation < 1 || m.Mirror.Generation > maxContent:
		return fmt.Errorf("mirror.generation: %d is no generation", m.Mirror.Generation)
	case o.Count != listed:
		return fmt.Errorf("mirror.originals.count: %d, the contents list %d", o.Count, listed)
	case o.Bytes < 0 || o.Bytes > maxContent:
		return fmt.Errorf("mirror.originals.bytes: %d is no count", o.Bytes)
	case m.Delta == nil:
		return nil
	}
	if err := m.Delta.check(); err != nil {
		return err
	}
	switch {
	case m.Delta.Target.Generation != m.Mirror.Generation:
		return fmt.Errorf("mirror.generation: %d, the delta's target has %d", m.Mirror.Generation, m.Delta.Target.Generation)
	case m.Delta.Removed != removed:
		return fmt.Errorf("delta.removed: %d, the contents have %d tombstones", m.Delta.Removed, removed)
	case m.Delta.Added+m.Delta.Changed != lines:
		return fmt.Errorf("delta.added and delta.changed: %d and %d, the contents have %d documents", m.Delta.Added, m.Delta.Changed, lines)
	}
	return nil
}

// MirrorInput is how the provenance of a bundle that belongs to a mirror begins the names
// of the mirror's manifest and payload among its inputs.
func MirrorInput(exportID string, generation int64) string {
	return fmt.Sprintf("mirror %s generation %d: ", exportID, generation)
}

// NamesMirror reports whether p names the mirror with manifest m, whose encoded bytes have
// digest manifest, as what its evidence is from.
func (p Provenance) NamesMirror(m Manifest, manifest Digest) bool {
	if m.Mirror == nil {
		return false
	}
	name := MirrorInput(m.ExportID, m.Mirror.Generation)
	found := 0
	for _, d := range p.Predicate.BuildDefinition.ResolvedDependencies {
		if d == (Resource{name + ManifestPath, ResourceDigest{manifest.Hex()}}) || d == (Resource{name + PayloadSubject, ResourceDigest{m.PayloadDigest.Hex()}}) {
			found++
		}
	}
	return found == 2
}
