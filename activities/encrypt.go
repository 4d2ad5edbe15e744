package activities

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/sealed"
	"github.com/stella-ops/exportcenter/storage"
)

// encryptPart is the part of phase sign that encrypts; pins of it are the store's to
// tell apart, as every attempt makes other blobs.
const encryptPart = "encrypt"

// eraseCiphersAtOnce bounds how long one transaction keeps others from the blobs.
const eraseCiphersAtOnce = 100

// Encrypt makes of a bundle that is signed and sealed the encrypted one, which is all
// that ever leaves. An attempt that is repeated encrypts anew: the plaintext is the
// same, the ciphertext is not, and what the attempt before had stored is erased. Once
// one has put its archive in the plain one's place, it stands.
func (e *Export) Encrypt(ctx context.Context, in PhaseInput) (PhaseResult, error) {
	result, err := e.encrypt(ctx, in.Ref)
	return result, e.fail(ctx, in.Ref, export.PhaseSign, err)
}

func (e *Export) encrypt(ctx context.Context, ref export.Ref) (PhaseResult, error) {
	beat := newHeartbeat(ctx)
	defer beat.wait()() // a key service may take its time
	claim, run, err := e.beginPart(ctx, ref, export.PhaseSign, encryptPart)
	if err != nil {
		return PhaseResult{}, err
	}
	if run.Result.Encrypted != nil {
		return PhaseResult{Bytes: run.Result.ArchiveBytes, Digest: run.Result.ArchiveDigest}, nil
	}
	if err := e.eraseCiphers(ctx, claim); err != nil {
		return PhaseResult{}, err
	}
	sealer, err := e.sealerOf(ctx, run)
	if err != nil {
		return PhaseResult{}, err
	}
	defer sealer.Close()
	l := &layering{sealing: &sealing{Export: e, claim: claim, run: run}, sealer: sealer, beat: beat, sum: bundle.NewCipherSum()}
	for _, step := range []func(context.Context) error{l.collect, l.encryptAll, l.describe, l.close, l.attest, l.save} {
		if err := step(ctx); err != nil {
			e.takeBack(ctx, ref.Tenant, digestsOf(l.added)...)
			return PhaseResult{}, err
		}
	}
	return PhaseResult{Records: int64(len(l.secret)), Bytes: l.result.ArchiveBytes, Digest: l.result.ArchiveDigest}, nil
}

// eraseCiphers erases what an earlier attempt has stored and no bundle has.
func (e *Export) eraseCiphers(ctx context.Context, claim storage.Claim) error {
	for {
		erased, err := e.Execution.EraseCiphers(ctx, claim, eraseCiphersAtOnce, func(digest bundle.Digest, still storage.Still) error {
			return e.Objects.DeleteUnmarked(ctx, claim.Ref.Tenant, digest, still)
		})
		if err != nil {
			return fmt.Errorf("erase what an earlier attempt encrypted: %w", err)
		}
		if erased < eraseCiphersAtOnce {
			return nil
		}
	}
}

// sealerOf finds out for whom a run is encrypted. A recipient that cannot be used is
// the profile's to mend, and so is a list of which none can; a key service that does
// not answer is asked again.
func (e *Export) sealerOf(ctx context.Context, run export.Run) (*sealed.Sealer, error) {
	terms := termsOf(run)
	if terms == nil {
		return nil, &export.Error{Code: export.CodeInternal, Class: export.ClassPermanent, Message: "the run is not to be encrypted"}
	}
	random := e.Random
	if random == nil {
		random = rand.Reader
	}
	sealer, err := sealed.NewSealer(ctx, sealed.Terms{Mode: sealed.Mode(terms.Mode), Recipients: terms.Recipients, Strict: terms.Strict},
		sealed.Context{RunID: run.ID, Tenant: run.Tenant}, e.KeyWrapper, random)
	switch {
	case err == nil:
		return sealer, nil
	case errors.Is(err, sealed.ErrRecipient), errors.Is(err, sealed.ErrNoRecipient):
		return nil, &export.Error{Code: export.CodeRecipient, Class: export.ClassPermanent, Err: err,
			Message: "the bundle cannot be encrypted: " + err.Error() + "; change the profile's encryption.recipientKeys"}
	}
	return nil, &export.Error{Code: export.CodeUnavailable, Class: export.ClassUpstream, Err: err, Message: "the bundle cannot be encrypted now: a key was not to be had"}
}

// termsOf are what manifest and provenance say of a run's encryption; nil without it.
func termsOf(run export.Run) *bundle.EncryptionTerms {
	if run.Encryption == nil {
		return nil
	}
	terms := run.Encryption.Normal()
	return &bundle.EncryptionTerms{Mode: terms.Mode, Recipients: slices.Clone(terms.RecipientKeys), Strict: terms.Strict}
}

// offered refuses a run whose bundle is to be encrypted and is not: whatever went
// wrong before, plaintext does not leave.
func offered(run export.Run) error {
	if run.Encryption != nil && run.Result.Encrypted == nil {
		return &export.Error{Code: export.CodeInternal, Class: export.ClassPermanent,
			Message: "the bundle of this run is to be encrypted, and is not; nothing of it is offered"}
	}
	return nil
}
