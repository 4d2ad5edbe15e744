package tuf

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
)

// Targets lists the files of a mirror (specification section 4.5).
type Targets struct {
	Type        string            `json:"_type"`
	Expires     string            `json:"expires"`
	SpecVersion string            `json:"spec_version"`
	Targets     map[string]Target `json:"targets"` // by path from the mirror's top
	Version     int64             `json:"version"` // the mirror's generation
}

// Target is one file.
type Target struct {
	Custom *Custom `json:"custom,omitempty"`
	Hashes Hashes  `json:"hashes"`
	Length int64   `json:"length"`
}

// Custom says what no TUF client needs to know.
type Custom struct {
	// Lists is "originals" for a file whose lines name original documents: they are no
	// targets of their own, but each has its digest for a name.
	Lists string `json:"lists"`
}

// listsOriginals is what Custom says of a list of originals.
const listsOriginals = "originals"

// Hashes is the one digest of a file, in hex.
type Hashes struct {
	SHA256 string `json:"sha256"`
}

// Snapshot says which targets belong to a generation, Timestamp which snapshot.
type Snapshot struct {
	Type        string       `json:"_type"`
	Expires     string       `json:"expires"`
	Meta        SnapshotMeta `json:"meta"`
	SpecVersion string       `json:"spec_version"`
	Version     int64        `json:"version"`
}

// SnapshotMeta has the one document that a snapshot names.
type SnapshotMeta struct {
	Targets Meta `json:"targets.json"`
}

// Timestamp is the document that a client asks for first.
type Timestamp struct {
	Type        string        `json:"_type"`
	Expires     string        `json:"expires"`
	Meta        TimestampMeta `json:"meta"`
	SpecVersion string        `json:"spec_version"`
	Version     int64         `json:"version"`
}

// TimestampMeta has the one document that a timestamp names.
type TimestampMeta struct {
	Snapshot Meta `json:"snapshot.json"`
}

// Meta describes a metadata document.
type Meta struct {
	Hashes  Hashes `json:"hashes"`
	Length  int64  `json:"length"`
	Version int64  `json:"version"`
}

// What is read at most: of targets as much as a manifest may have, of the others
// what TUF clients read.
const (
	maxTargets   = 64 << 20
	maxSnapshot  = 64 << 10
	maxTimestamp = 16 << 10
	maxLength    = bundle.MaxFile
)

func (Targets) path() string   { return bundle.TUFTargetsPath }
func (Snapshot) path() string  { return bundle.TUFSnapshotPath }
func (Timestamp) path() string { return bundle.TUFTimestampPath }
func (Targets) limit() int     { return maxTargets }
func (Snapshot) limit() int    { return maxSnapshot }
func (Timestamp) limit() int   { return maxTimestamp }

func (t Targets) check() error {
	if err := checkHeader(t.Type, roleTargets, t.SpecVersion, t.Expires, t.Version); err != nil {
		return err
	}
	if len(t.Targets) == 0 {
		return fmt.Errorf("targets: none")
	}
	for _, path := range slices.Sorted(maps.Keys(t.Targets)) {
		if err := t.Targets[path].check(path); err != nil {
			return err
		}
	}
	return nil
}

func (t Target) check(path string) error {
	if err := bundle.CheckPath(path); err != nil {
		return fmt.Errorf("targets: %w", err)
	}
	switch {
	case t.Length < 0 || t.Length > maxLength:
		return fmt.Errorf("targets[%q]: length %d", path, t.Length)
	case t.Custom != nil && t.Custom.Lists != listsOriginals:
		return fmt.Errorf("targets[%q]: custom.lists %.40q", path, t.Custom.Lists)
	}
	return t.Hashes.check(path)
}

func (h Hashes) check(of string) error {
	if !hexForm.MatchString(h.SHA256) {
		return fmt.Errorf("%s: hashes.sha256 %.80q is not 64 lower-case hex digits", of, h.SHA256)
	}
	return nil
}

func (s Snapshot) check() error {
	if err := checkHeader(s.Type, roleSnapshot, s.SpecVersion, s.Expires, s.Version); err != nil {
		return err
	}
	return s.Meta.Targets.check("meta.targets.json")
}

func (t Timestamp) check() error {
	if err := checkHeader(t.Type, roleTimestamp, t.SpecVersion, t.Expires, t.Version); err != nil {
		return err
	}
	return t.Meta.Snapshot.check("meta.snapshot.json")
}

func (m Meta) check(of string) error {
	if m.Length < 1 || m.Length > maxLength || m.Version < 1 || m.Version > maxVersion {
		return fmt.Errorf("%s: length %d, version %d", of, m.Length, m.Version)
	}
	return m.Hashes.check(of)
}

// File is a file of a mirror that is a target.
type File struct {
	Path   string
	Digest bundle.Digest
	Bytes  int64
	// Lists is whether its lines name original documents.
	Lists bool
}

// FilesOf are the payload files of a manifest.
func FilesOf(contents []bundle.Content) []File {
	files := make([]File, 0, len(contents)+2)
	for _, c := range contents {
		files = append(files, File{Path: c.Path, Digest: c.Digest, Bytes: c.Bytes, Lists: bundle.IsOriginalsIndex(c.Path)})
	}
	return files
}

// Lifetimes say how long the documents of a mirror are good, from the moment the
// run was asked for.
type Lifetimes struct{ Targets, Snapshot, Timestamp time.Duration }

const day = 24 * time.Hour

// Offline is for sites without a network, which get a mirror rarely; Online is for
// clients that fetch every day, and notice within a week when they are kept from it.
var (
	Offline = Lifetimes{365 * day, 365 * day, 365 * day}
	Online  = Lifetimes{30 * day, 30 * day, 7 * day}
)

// NewTargets makes the targets of a generation that was asked for at a moment.
func NewTargets(generation int64, at time.Time, last Lifetimes, files []File) Targets {
	t := Targets{Type: roleTargets, Expires: bundle.Stamp(at.Add(last.Targets)), SpecVersion: specVersion,
		Targets: make(map[string]Target, len(files)), Version: generation}
	for _, f := range files {
		t.Targets[f.Path] = targetOf(f)
	}
	return t
}

func targetOf(f File) Target {
	target := Target{Hashes: Hashes{f.Digest.Hex()}, Length: f.Bytes}
	if f.Lists {
		target.Custom = &Custom{listsOriginals}
	}
	return target
}

// NewSnapshot makes the snapshot that names a targets document.
func NewSnapshot(at time.Time, last Lifetimes, targets Document[Targets]) Snapshot {
	version := targets.Signed.Version
	return Snapshot{Type: roleSnapshot, Expires: bundle.Stamp(at.Add(last.Snapshot)), SpecVersion: specVersion,
		Meta: SnapshotMeta{metaOf(targets.Raw, version)}, Version: version}
}

// NewTimestamp makes the timestamp that names a snapshot.
func NewTimestamp(at time.Time, last Lifetimes, snapshot Document[Snapshot]) Timestamp {
	version := snapshot.Signed.Version
	return Timestamp{Type: roleTimestamp, Expires: bundle.Stamp(at.Add(last.Timestamp)), SpecVersion: specVersion,
		Meta: TimestampMeta{metaOf(snapshot.Raw, version)}, Version: version}
}

func metaOf(raw []byte, version int64) Meta {
	return Meta{Hashes{bundle.DigestOf(raw).Hex()}, int64(len(raw)), version}
}

// LifetimesOf reads from a set for how long its documents are good, from the moment
// its run was asked for.
func LifetimesOf(set Set, at time.Time) (last Lifetimes, err error) {
	targets, err := Parse[Targets](set.Targets)
	if err != nil {
		return last, err
	}
	snapshot, err := Parse[Snapshot](set.Snapshot)
	if err != nil {
		return last, err
	}
	timestamp, err := Parse[Timestamp](set.Timestamp)
	if err != nil {
		return last, err
	}
	for _, of := range []struct {
		stamp string
		last  *time.Duration
	}{{targets.Signed.Expires, &last.Targets}, {snapshot.Signed.Expires, &last.Snapshot}, {timestamp.Signed.Expires, &last.Timestamp}} {
		end, err := momentOf(of.stamp)
		if err != nil {
			return last, err
		}
		*of.last = end.Sub(at)
	}
	return last, nil
}
