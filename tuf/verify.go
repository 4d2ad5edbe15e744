package tuf

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
)

// Set is the metadata of a mirror as it was read.
type Set struct {
	Roots                              [][]byte // 1.root.json, 2.root.json ...
	Root, Targets, Snapshot, Timestamp []byte
}

// Verified is the metadata of a mirror whose signatures, digests, lengths and
// versions fit together. Nothing is said of moments, nor of who made the roots.
type Verified struct {
	Chain     Chain
	Targets   Document[Targets]
	Snapshot  Document[Snapshot]
	Timestamp Document[Timestamp]
}

// Verify follows a set from its first root to its targets (specification section
// 5, without moments), and holds these against the files that they must list:
// those, and no other. All versions but the roots' are the generation.
func Verify(set Set, generation int64, files []File) (Verified, error) {
	var v Verified
	var err error
	if v.Chain, err = ReadChain(set.Roots); err != nil {
		return v, err
	}
	if !bytes.Equal(set.Root, set.Roots[len(set.Roots)-1]) {
		return v, faulty(bundle.TUFRootPath, fmt.Errorf("%w: it is not root %d, the last", ErrMismatch, len(set.Roots)))
	}
	root := v.Chain.Last()
	if v.Timestamp, err = online[Timestamp](set.Timestamp, root.holders(roleTimestamp, root.Roles.Timestamp)); err != nil {
		return v, err
	}
	if err := v.Timestamp.Signed.Meta.Snapshot.matches(bundle.TUFSnapshotPath, set.Snapshot); err != nil {
		return v, err
	}
	if v.Snapshot, err = online[Snapshot](set.Snapshot, root.holders(roleSnapshot, root.Roles.Snapshot)); err != nil {
		return v, err
	}
	if err := v.Snapshot.Signed.Meta.Targets.matches(bundle.TUFTargetsPath, set.Targets); err != nil {
		return v, err
	}
	if v.Targets, err = online[Targets](set.Targets, root.holders(roleTargets, root.Roles.Targets)); err != nil {
		return v, err
	}
	if err := v.checkVersions(generation); err != nil {
		return v, err
	}
	return v, v.Targets.Signed.lists(files)
}

// online reads a document and holds it against the keys of its role.
func online[T part](raw []byte, by holders) (Document[T], error) {
	d, err := Parse[T](raw)
	if err != nil {
		return d, err
	}
	return d, signedBy(d, by)
}

// matches holds the bytes of a document against what another says of them.
func (m Meta) matches(path string, raw []byte) error {
	if int64(len(raw)) != m.Length {
		return faulty(path, fmt.Errorf("%w: it has %d bytes, not %d", ErrMismatch, len(raw), m.Length))
	}
	if have := bundle.DigestOf(raw).Hex(); have != m.Hashes.SHA256 {
		return faulty(path, fmt.Errorf("%w: its SHA-256 is %s, not %s", ErrMismatch, have, m.Hashes.SHA256))
	}
	return nil
}

func (v Verified) checkVersions(generation int64) error {
	for _, of := range []struct {
		path          string
		version, said int64 // said by the document that names it
	}{
		{bundle.TUFTimestampPath, v.Timestamp.Signed.Version, generation},
		{bundle.TUFSnapshotPath, v.Snapshot.Signed.Version, v.Timestamp.Signed.Meta.Snapshot.Version},
		{bundle.TUFTargetsPath, v.Targets.Signed.Version, v.Snapshot.Signed.Meta.Targets.Version},
	} {
		if of.version != of.said || of.version != generation {
			return faulty(of.path, fmt.Errorf("%w: %d, of a mirror of generation %d that is said to be %d", ErrVersion, of.version, generation, of.said))
		}
	}
	return nil
}

// lists requires that the targets are exactly these files.
func (t Targets) lists(files []File) error {
	want := make(map[string]Target, len(files))
	for _, f := range files {
		want[f.Path] = targetOf(f)
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		have, there := t.Targets[path]
		if !there {
			return faulty(t.path(), fmt.Errorf("%w: %s is no target", ErrMismatch, path))
		}
		if !have.equal(want[path]) {
			return faulty(t.path(), fmt.Errorf("%w: of %s it says %d bytes of %s, the manifest %d of %s", ErrMismatch, path,
				have.Length, have.Hashes.SHA256, want[path].Length, want[path].Hashes.SHA256))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(t.Targets)) {
		if _, there := want[path]; !there {
			return faulty(t.path(), fmt.Errorf("%w: the target %s is not in the manifest", ErrMismatch, path))
		}
	}
	return nil
}

func (t Target) equal(other Target) bool {
	return t.Hashes == other.Hashes && t.Length == other.Length && (t.Custom == nil) == (other.Custom == nil)
}

// Ends is when the first of the documents that count ends, and which it is.
func (v Verified) Ends() (path string, at time.Time) {
	for _, of := range v.ends() {
		end, err := momentOf(of.stamp)
		if err != nil { // it was checked
			continue
		}
		if path == "" || end.Before(at) {
			path, at = of.path, end
		}
	}
	return path, at
}

type end struct{ path, stamp string }

func (v Verified) ends() []end {
	root := v.Chain.Last()
	return []end{{root.path(), root.Expires}, {bundle.TUFTimestampPath, v.Timestamp.Signed.Expires},
		{bundle.TUFSnapshotPath, v.Snapshot.Signed.Expires}, {bundle.TUFTargetsPath, v.Targets.Signed.Expires}}
}

// Expired is the error of metadata that is no good at a moment: the first of root,
// timestamp, snapshot and targets that has ended.
func (v Verified) Expired(at time.Time) error {
	for _, of := range v.ends() {
		if err := expired(of.path, of.stamp, at); err != nil {
			return err
		}
	}
	return nil
}

// Signer is a key that signed a document that counts.
type Signer struct {
	Path  string // of the document
	KeyID string // as package signing names the key
}

// Signers are the keys that signed targets, snapshot and timestamp.
func (v Verified) Signers() (signers []Signer) {
	root := v.Chain.Last()
	for _, of := range []struct {
		path string
		by   []Signature
	}{{bundle.TUFTargetsPath, v.Targets.Signatures}, {bundle.TUFSnapshotPath, v.Snapshot.Signatures}, {bundle.TUFTimestampPath, v.Timestamp.Signatures}} {
		for _, s := range of.by {
			id := ""
			if key, err := root.Keys[s.KeyID].Verifier(); err == nil { // it has verified
				id = key.KeyID()
			}
			signers = append(signers, Signer{of.path, id})
		}
	}
	return signers
}
