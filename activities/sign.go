package activities

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

// Sign signs manifest and provenance, lists everything in checksums.txt, and
// closes the archive with the seal. A failed signature fails the run: nothing
// unsigned is ever distributed.
func (e *Export) Sign(ctx context.Context, in PhaseInput) (PhaseResult, error) {
	result, err := e.sign(ctx, in.Ref)
	return result, e.fail(ctx, in.Ref, export.PhaseSign, err)
}

func (e *Export) sign(ctx context.Context, ref export.Ref) (PhaseResult, error) {
	defer newHeartbeat(ctx).wait()() // a key service may take its time
	claim, run, err := e.begin(ctx, ref, export.PhaseSign)
	if err != nil {
		return PhaseResult{}, err
	}
	s := &sealing{Export: e, claim: claim, run: run}
	if err := s.collect(ctx); err != nil {
		return PhaseResult{}, err
	}
	steps := s.steps()
	if run.Encryption == nil { // else Encrypt does it, of the archive that leaves
		steps = append(steps, s.attest)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			e.takeBack(ctx, ref.Tenant, digestsOf(s.added)...)
			return PhaseResult{}, err
		}
	}
	if err := e.Execution.SaveFiles(ctx, claim, s.added); err != nil {
		e.takeBack(ctx, ref.Tenant, digestsOf(s.added)...)
		return PhaseResult{}, fmt.Errorf("save signature files: %w", err)
	}
	built := timelineEvent(run, export.TransitionBuilt, e.Clock())
	if err := e.Execution.SaveSigned(ctx, claim, s.result, built, e.Clock()); err != nil {
		return PhaseResult{}, fmt.Errorf("save signatures: %w", err)
	}
	return PhaseResult{Bytes: s.result.ArchiveBytes, Digest: s.result.ArchiveDigest}, nil
}

// steps make the entries of this phase, one after the other.
func (s *sealing) steps() []func(context.Context) error {
	return []func(context.Context) error{s.signManifest, s.signProvenance, s.signTUF, s.listChecksums, s.close}
}

// sealing is one attempt at signing a run's bundle.
type sealing struct {
	*Export
	claim storage.Claim
	run   export.Run
	again bool // for a rebuild: to compare, and not to keep

	manifest   []byte
	parsed     bundle.Manifest
	provenance []byte
	files      []storage.File // all entries so far, in no order
	added      []storage.File // those this phase made
	result     export.Result
}

// collect loads what an earlier phase wrote, and records that signing begins.
func (s *sealing) collect(ctx context.Context) error {
	if err := s.load(ctx); err != nil {
		return err
	}
	if err := s.named(); err != nil {
		return err
	}
	s.result = s.run.Result
	s.result.Signatures = nil
	event := export.Event{Type: export.EventSigningStarted, Message: "signing with " + s.Signer.KeyID(), At: s.Clock()}
	return s.Execution.AddEvent(ctx, s.claim, "", event)
}

// load reads what an earlier phase wrote. Entries of an earlier attempt at this phase
// are left out: they are made again, the same.
func (s *sealing) load(ctx context.Context) error {
	all, err := s.Execution.BundleFiles(ctx, s.claim.Ref)
	if err != nil {
		return fmt.Errorf("list bundle files: %w", err)
	}
	for _, f := range all {
		if !madeBySign(f.Path) {
			s.files = append(s.files, f)
		}
		switch f.Path {
		case bundle.ManifestPath:
			s.manifest, err = s.get(ctx, s.claim.Ref.Tenant, f)
		case bundle.ProvenancePath:
			s.provenance, err = s.get(ctx, s.claim.Ref.Tenant, f)
		}
		if err != nil {
			return err
		}
	}
	if s.parsed, err = bundle.ParseManifest(s.manifest); err != nil {
		return fmt.Errorf("stored manifest: %w", err)
	}
	return nil
}

// named refuses a key that the manifest does not name: no verifier would take
// its signatures. While keys are rotated, a worker with the other key may have
// written the manifest; a retry can find it.
func (s *sealing) named() error {
	for _, key := range s.parsed.Keys {
		if key.KeyID == s.Signer.KeyID() {
			return nil
		}
	}
	return s.refused(errors.New("the manifest was written by a worker with another key and does not name this one"))
}

func madeBySign(path string) bool {
	switch path {
	case bundle.ManifestBundlePath, bundle.ManifestEnvelopePath, bundle.ProvenanceBundlePath,
		bundle.ProvenanceEnvelopePath, bundle.TUFTargetsPath, bundle.TUFSnapshotPath, bundle.TUFTimestampPath,
		bundle.ChecksumsPath, bundle.SealPath:
		return true
	}
	return false
}

func (s *sealing) signManifest(ctx context.Context) error {
	sig, err := s.signOnce(ctx, bundle.ManifestPath, s.manifest, nil)
	if err != nil {
		return err
	}
	text, err := signing.EncodeMessageBundle(s.Signer.KeyID(), sha256.Sum256(s.manifest), sig)
	if err != nil {
		return s.refused(err)
	}
	if err := s.addSignature(ctx, bundle.ManifestPath, bundle.ManifestBundlePath, text, sig, verifyBlob); err != nil {
		return err
	}
	return s.signEnvelope(ctx, bundle.ManifestPath, bundle.ManifestEnvelopePath, bundle.ManifestPayloadType, s.manifest)
}

func (s *sealing) signProvenance(ctx context.Context) error {
	const path = bundle.ProvenancePath
	sig, err := s.signOnce(ctx, path, signing.PAE(bundle.StatementPayloadType, s.provenance), nil)
	if err != nil {
		return err
	}
	text, err := signing.EncodeDSSEBundle(bundle.StatementPayloadType, s.provenance, s.Signer.KeyID(), sig)
	if err != nil {
		return s.refused(err)
	}
	if err := s.addSignature(ctx, path, bundle.ProvenanceBundlePath, text, sig, verifyAttestation); err != nil {
		return err
	}
	return s.signEnvelope(ctx, path, bundle.ProvenanceEnvelopePath, bundle.StatementPayloadType, s.provenance)
}

// signEnvelope adds a raw DSSE envelope of the entry at path.
func (s *sealing) signEnvelope(ctx context.Context, path, at, payloadType string, payload []byte) error {
	sig, err := s.signOnce(ctx, path, signing.PAE(payloadType, payload), nil)
	if err != nil {
		return err
	}
	text, err := signing.EncodeEnvelope(payloadType, payload, s.Signer.KeyID(), sig)
	if err != nil {
		return s.refused(err)
	}
	return s.addSignature(ctx, path, at, text, sig, verifyBundle)
}

// signOnce gives the signature that was stored when message was signed before,
// and signs only when there is none: a key service may sign the same message
// differently, and counts what it signs. Of two attempts that sign at once the
// first stored is the one both use. A statement is kept with its signature when no
// bundle has it.
func (s *sealing) signOnce(ctx context.Context, artifact string, message, statement []byte) ([]byte, error) {
	want := storage.StoredSignature{Artifact: artifact, KeyID: s.Signer.KeyID(), Algorithm: string(s.Signer.Algorithm()),
		Message: bundle.DigestOf(message), Statement: statement}
	if s.again {
		sig, err := s.Signer.Sign(ctx, message)
		if err != nil {
			return nil, s.refused(err)
		}
		return sig, nil
	}
	before, err := s.Execution.FindSignature(ctx, s.claim, artifact, want.KeyID, want.Message)
	if err != nil {
		return nil, fmt.Errorf("look for the signature of %s: %w", artifact, err)
	}
	if before != nil {
		return before.Signature, nil
	}
	if want.Signature, err = s.Signer.Sign(ctx, message); err != nil {
		return nil, s.refused(err)
	}
	stored, err := s.Execution.KeepSignature(ctx, s.claim, want)
	if err != nil {
		return nil, fmt.Errorf("keep signature of %s: %w", artifact, err)
	}
	return stored.Signature, nil
}

// refused is a signing failure: worth a retry, the key service may come back.
func (s *sealing) refused(err error) error {
	return &export.Error{Code: export.CodeSigning, Class: export.ClassUpstream,
		Message: "signing with key " + s.Signer.KeyID() + " failed", Err: err}
}

// How a stranger checks a signature, beside the unpacked bundle.
const (
	verifyBlob = "cosign verify-blob --key KEY.pub --bundle " + bundle.ManifestBundlePath +
		" --insecure-ignore-tlog " + bundle.ManifestPath
	verifyAttestation = "cosign verify-blob-attestation --key KEY.pub --bundle " + bundle.ProvenanceBundlePath +
		" --insecure-ignore-tlog --type slsaprovenance1 " + bundle.ManifestPath
	verifyBundle = "stella verify BUNDLE.tar --key KEY.pub"
)

func (s *sealing) addSignature(ctx context.Context, artifact, at string, text, sig []byte, verify string) error {
	if err := s.add(ctx, at, text); err != nil {
		return err
	}
	s.result.Signatures = append(s.result.Signatures, export.SignatureRef{
		ID: bundle.DigestOf(sig).String(), Artifact: artifact, Path: at,
		KeyID: s.Signer.KeyID(), Algorithm: string(s.Signer.Algorithm()), Verify: verify,
	})
	return nil
}

func (s *sealing) add(ctx context.Context, path string, content []byte) error {
	f, err := s.put(ctx, s.claim, path, content)
	if err != nil {
		return err
	}
	s.files, s.added = append(s.files, f), append(s.added, f)
	return nil
}

// listChecksums lists every entry but itself, the seal, and originals, whose names are
// their digests.
func (s *sealing) listChecksums(ctx context.Context) error {
	listed := make([]bundle.Listed, 0, len(s.files))
	for _, f := range s.files {
		if !f.Entries {
			listed = append(listed, bundle.Listed{Path: f.Path, Digest: f.Digest})
		}
	}
	return s.add(ctx, bundle.ChecksumsPath, bundle.Checksums(listed))
}
