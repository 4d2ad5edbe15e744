package activities

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

// close seals the plain archive.
func (s *sealing) close(ctx context.Context) error {
	return s.closeAt(ctx, bundle.SealPath, "seal", func(digest bundle.Digest, size int64) (string, []byte, error) {
		text, err := bundle.NewSeal(s.parsed, digest, size).Encode()
		return bundle.SealPayloadType, text, err
	})
}

// closeAt hashes the archive once, adds the seal that of makes as its last entry, and
// notes the digest of the whole.
func (s *sealing) closeAt(ctx context.Context, path, artifact string, of func(digest bundle.Digest, size int64) (payloadType string, seal []byte, err error)) error {
	beat := newHeartbeat(ctx)
	opened := int64(0)
	archive, err := bundle.HashArchive(ctx, membersOf(s.files), func(m bundle.Member) (bundle.Source, error) {
		opened++
		beat.tick(opened)
		return storage.OpenExact(ctx, s.Objects, s.claim.Ref.Tenant, m.Digest, m.Size)
	})
	if errors.Is(err, bundle.ErrRotten) {
		return s.rotten(ctx, s.claim, err)
	}
	if err != nil {
		return fmt.Errorf("hash archive: %w", err)
	}
	digest, size := archive.Prefix()
	payloadType, seal, err := of(digest, size)
	if err != nil {
		return err
	}
	sig, err := s.signOnce(ctx, artifact, signing.PAE(payloadType, seal), nil)
	if err != nil {
		return err
	}
	envelope, err := signing.EncodeEnvelope(payloadType, seal, s.Signer.KeyID(), sig)
	if err != nil {
		return s.refused(err)
	}
	if err := s.addSignature(ctx, artifact, path, envelope, sig, verifyBundle); err != nil {
		return err
	}
	whole, bytes, err := archive.CompleteAt(path, envelope)
	if err != nil {
		return err
	}
	s.result.ArchiveDigest, s.result.ArchiveBytes = whole.String(), bytes
	return nil
}

// rotten ends a run whose blobs have changed since they were written. The next run
// packs anew, and what it stores takes the place of the rot.
func (e *Export) rotten(ctx context.Context, claim storage.Claim, err error) error {
	err = errors.Join(err, e.Execution.ForgetPacked(ctx, claim))
	return &export.Error{Code: export.CodeInternal, Class: export.ClassPermanent, Err: err,
		Message: "bytes in the blob store have changed since they were written; run the export again, and have the operator look with exportcenter fsck --deep"}
}

// attest signs the statement about the whole archive. It is kept beside the bundle,
// which cannot hold its own digest.
func (s *sealing) attest(ctx context.Context) error {
	statement, err := s.statement()
	if err != nil {
		return err
	}
	_, err = s.signOnce(ctx, archiveArtifact, signing.PAE(bundle.StatementPayloadType, statement), statement)
	return err
}

// archiveArtifact is what attestations are stored under.
const archiveArtifact = "archive"

// statement is the attestation of the archive that was closed.
func (s *sealing) statement() ([]byte, error) {
	archive, err := bundle.ParseDigest(s.result.ArchiveDigest)
	if err != nil {
		return nil, fmt.Errorf("archive digest: %w", err)
	}
	return bundle.NewAttestation(s.parsed, bundle.DigestOf(s.manifest), bundle.DigestOf(s.provenance), archive, s.result.ArchiveBytes).Encode()
}

// membersOf puts files into archive order.
func membersOf(files []storage.File) []bundle.Member {
	members := make([]bundle.Member, len(files))
	for i, f := range files {
		members[i] = f.Member()
	}
	sort.Slice(members, func(i, j int) bool { return bundle.PathBefore(members[i].Path, members[j].Path) })
	return members
}
