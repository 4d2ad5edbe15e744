package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/tuf"
)

// TUF is what full mirrors need for their metadata.
type TUF struct {
	// Roots are the installation's, read anew for each mirror; nil: it has none, and makes
	// no mirrors.
	Roots Roots
	// Lifetimes of the metadata; zero is tuf.Offline.
	Lifetimes tuf.Lifetimes
	// None makes mirrors without metadata: somebody builds one again and signs nothing.
	None bool
}

// Roots gives a chain of root documents: tuf.Folder, outside tests.
type Roots interface {
	Chain() (tuf.Chain, error)
}

func (t TUF) lifetimes() tuf.Lifetimes {
	if t.Lifetimes == (tuf.Lifetimes{}) {
		return tuf.Offline
	}
	return t.Lifetimes
}

// rootsOf gives the roots of a full mirror, nil for any other run. It refuses roots
// under which nobody would take the mirror: Plan asks, so that nothing is packed.
func (e *Export) rootsOf(run export.Run) (tuf.Chain, error) {
	if !export.IsFullMirror(run.Kind, run.Variant) || e.TUF.None {
		return nil, nil
	}
	if e.TUF.Roots == nil {
		return nil, noRoots(tuf.ErrNoRoots)
	}
	chain, err := e.TUF.Roots.Chain()
	if errors.Is(err, tuf.ErrNoRoots) {
		return nil, noRoots(err)
	}
	if err != nil {
		return nil, &export.Error{Code: export.CodeSigning, Class: export.ClassPermanent, Err: err,
			Message: "the TUF roots of this installation cannot be used; its operator sees why with exportcenter tuf-root show"}
	}
	return chain, e.mayMirror(chain.Last())
}

func noRoots(err error) error {
	return &export.Error{Code: export.CodeSigning, Class: export.ClassPermanent, Err: err,
		Message: "a mirror needs a TUF root, and this installation has none: its operator makes one with exportcenter tuf-root init, and names the directory of roots in the worker's configuration (tuf.roots)"}
}

// mayMirror refuses a root that has ended, or that lets another key than this
// worker's sign mirrors.
func (e *Export) mayMirror(root tuf.Root) error {
	refused := func(err error, format string, args ...any) error {
		return &export.Error{Code: export.CodeSigning, Class: export.ClassPermanent, Err: err, Message: fmt.Sprintf(format, args...)}
	}
	key, err := tuf.KeyOf(e.Signer.PublicKeyPEM())
	if err != nil {
		return refused(err, "mirrors cannot be signed with the key %s: TUF takes ECDSA P-256 and Ed25519", e.Signer.KeyID())
	}
	if err := root.MaySign(key); err != nil {
		return refused(err, "the TUF root of this installation (version %d) does not let the signing key %s sign mirrors: its operator names that key in a new root with exportcenter tuf-root renew --online", root.Version, e.Signer.KeyID())
	}
	if err := root.Expired(e.Clock()); err != nil {
		return refused(err, "the TUF root of this installation (version %d) has expired, at %s: its operator makes the next one with exportcenter tuf-root renew", root.Version, root.Expires)
	}
	return nil
}

// rootDocuments are the entries of a mirror that hold its roots: each by its number,
// and the last once more. Sign and every retry of it go on with these.
func rootDocuments(chain tuf.Chain) (documents []document) {
	for _, root := range chain {
		documents = append(documents, document{bundle.TUFRootPathOf(root.Signed.Version), root.Raw})
	}
	if len(chain) > 0 {
		documents = append(documents, document{bundle.TUFRootPath, chain[len(chain)-1].Raw})
	}
	return documents
}

// signTUF adds the metadata of a full mirror: targets, the snapshot that names them,
// and the timestamp that names the snapshot.
func (s *sealing) signTUF(ctx context.Context) error {
	if !export.IsFullMirror(s.run.Kind, s.run.Variant) {
		return nil
	}
	set, err := s.storedRoots(ctx)
	if err != nil {
		return err
	}
	at, err := time.Parse(time.RFC3339, s.parsed.GeneratedAt) // no clock, and of a rebuild the run's that is built again
	if err != nil {
		return fmt.Errorf("stored manifest: %w", err)
	}
	last, err := s.lifetimes(ctx, at)
	if err != nil {
		return err
	}
	files := s.targets()
	targets, err := signPart(ctx, s, bundle.TUFTargetsPath, tuf.NewTargets(s.parsed.Mirror.Generation, at, last, files))
	if err != nil {
		return err
	}
	snapshot, err := signPart(ctx, s, bundle.TUFSnapshotPath, tuf.NewSnapshot(at, last, targets))
	if err != nil {
		return err
	}
	timestamp, err := signPart(ctx, s, bundle.TUFTimestampPath, tuf.NewTimestamp(at, last, snapshot))
	if err != nil {
		return err
	}
	set.Targets, set.Snapshot, set.Timestamp = targets.Raw, snapshot.Raw, timestamp.Raw
	// What no client would take is not published.
	verified, err := tuf.Verify(set, s.parsed.Mirror.Generation, files)
	if err != nil {
		return s.refused(fmt.Errorf("TUF metadata: %w", err))
	}
	return s.stillGood(verified)
}

// stillGood refuses metadata that is over before the mirror is published: it lasts from
// when the run was asked for, and the run may have waited. What is built again is as old
// as it is.
func (s *sealing) stillGood(v tuf.Verified) error {
	if s.again {
		return nil
	}
	if err := v.Expired(s.Clock()); err != nil {
		return &export.Error{Code: export.CodeSigning, Class: export.ClassPermanent, Err: err,
			Message: fmt.Sprintf("no client would take the mirror any more: %v. Its TUF metadata lasts from %s, when the run was asked for: ask for a new mirror, and approve one that waits before its metadata ends", err, s.parsed.GeneratedAt)}
	}
	return nil
}

// storedRoots reads the roots that the manifest phase wrote.
func (s *sealing) storedRoots(ctx context.Context) (set tuf.Set, err error) {
	stored := map[string]storage.File{}
	for _, f := range s.files {
		if bundle.IsTUF(f.Path) {
			stored[f.Path] = f
		}
	}
	read := func(path string) (text []byte) {
		if err == nil {
			text, err = s.get(ctx, s.claim.Ref.Tenant, stored[path])
		}
		return text
	}
	for version := int64(1); stored[bundle.TUFRootPathOf(version)].Path != ""; version++ {
		set.Roots = append(set.Roots, read(bundle.TUFRootPathOf(version)))
	}
	if len(set.Roots) == 0 || stored[bundle.TUFRootPath].Path == "" {
		return set, fmt.Errorf("the mirror has no TUF roots: %w", storage.ErrCorrupt)
	}
	set.Root = read(bundle.TUFRootPath)
	return set, err
}

// targets are the files that the metadata lists.
func (s *sealing) targets() []tuf.File {
	files := tuf.FilesOf(s.parsed.Contents)
	for _, of := range []document{{bundle.ManifestPath, s.manifest}, {bundle.ProvenancePath, s.provenance}} {
		files = append(files, tuf.File{Path: of.path, Digest: bundle.DigestOf(of.content), Bytes: int64(len(of.content))})
	}
	return files
}

// signPart signs a document once and adds it.
func signPart[T tuf.MirrorPart](ctx context.Context, s *sealing, path string, part T) (tuf.Document[T], error) {
	var none tuf.Document[T]
	message, err := tuf.Message(part)
	if err != nil {
		return none, err
	}
	sig, err := s.signOnce(ctx, path, message, nil)
	if err != nil {
		return none, err
	}
	signature, err := tuf.SignatureBy(s.Signer.PublicKeyPEM(), sig)
	if err != nil {
		return none, s.refused(err)
	}
	document, err := tuf.Encode(part, signature)
	if err != nil {
		return none, s.refused(err)
	}
	return document, s.addSignature(ctx, path, path, document.Raw, sig, verifyBundle)
}
