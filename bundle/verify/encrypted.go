package verify

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/sealed"
	"github.com/stella-ops/exportcenter/signing"
)

// An encrypted bundle is verified in two parts. The first needs no key: everything
// that is not encrypted as in a plain bundle, and of what is encrypted that the signed
// manifests/encryption.json lists exactly those files, by length, form and digest. With
// a key it is then opened, and what it is then - a plain bundle that exists nowhere but
// in this view - is verified as any other.

// WithKeys opens an encrypted bundle by keys of its recipients. Plain bundles need none.
func WithKeys(keys sealed.Keys) Option { return func(v *verifier) { v.keys = keys } }

// WithOpened refuses an encrypted bundle that is not opened: without a key its Status is
// then not StatusUnopened but StatusFailed. It asks nothing of plain bundles.
func WithOpened() Option { return func(v *verifier) { v.mustOpen = true } }

// Encryption is what the report says of an encrypted bundle.
type Encryption struct {
	Mode       string                    `json:"mode"`
	Recipients []string                  `json:"recipients"` // that can open it
	Omitted    []bundle.OmittedRecipient `json:"omitted,omitempty"`
	// Opened says that the contents were verified too; without it nobody knows whether
	// the ciphertexts hold what the manifest says, and the report is StatusUnopened.
	Opened bool `json:"opened"`
	// As is the recipient whose key opened it.
	As          string `json:"as,omitempty"`
	PlainDigest string `json:"plainDigest"` // of the archive that it is when it is opened
	// Plain is the report of that archive, once it is opened.
	Plain *Report `json:"plain,omitempty"`
}

// encryptedSteps are the steps of an encrypted bundle, in the place of a plain one's.
func (v *verifier) encryptedSteps() []step {
	return []step{
		{"walk", v.walk},
		{"require", v.require},
		{"signatures", v.signatures},
		{"manifest", v.checkManifest},
		{"provenance", v.checkProvenance},
		{"encryption", v.checkEncryption},
		{"checksums", v.checkChecksums},
		{"approvals", v.checkApprovals},
		{"contents", v.checkContents},
		{"ciphertexts", v.checkCiphertexts},
		{"seal", v.checkSeal},
		{"tuf", v.checkTUF}, // of the plain files, whose digests the manifest has
		{"open", v.open},
	}
}

// isEncrypted reports whether the walk found the layer of encryption.
func (v *verifier) isEncrypted() bool {
	_, there := v.byPath[bundle.EncryptionPath]
	return there
}

// outerSignatures checks the two signatures of the layer, and keeps what they sign.
func (v *verifier) outerSignatures() *Failure {
	if failure := v.signature(bundle.EncryptionPath, bundle.EncryptionEnvelopePath, v.openEnvelope(bundle.EncryptionPayloadType)); failure != nil {
		return failure
	}
	text, failure := v.document(bundle.OuterSealPath)
	if failure != nil {
		return failure
	}
	payload, keyID, err := signing.OpenEnvelope(text, bundle.OuterSealPayloadType, v.trust)
	if failure := v.signed("encryption-seal", bundle.OuterSealPath, keyID, err); failure != nil {
		return failure
	}
	if v.outerSeal, err = bundle.ParseOuterSeal(payload); err != nil {
		return fail(ClassContent, ReasonSeal, bundle.OuterSealPath, "%v", err)
	}
	return nil
}

// checkEncryption reads manifests/encryption.json, whose signature is good, and holds
// manifest, provenance and archive against it.
func (v *verifier) checkEncryption(context.Context) *Failure {
	text, failure := v.document(bundle.EncryptionPath)
	if failure != nil {
		return failure
	}
	e, err := bundle.ParseEncryption(text)
	if err == nil {
		err = e.Describes(v.manifest, bundle.DigestOf(v.documents[bundle.ManifestPath]))
	}
	if err == nil {
		err = wrappedKeys(e)
	}
	if err != nil {
		return fail(ClassContent, ReasonEncryption, bundle.EncryptionPath, "%v", err)
	}
	v.encryption = e
	v.report.Encryption = &Encryption{Mode: e.Mode, Recipients: e.Recipients, Omitted: e.Omitted, PlainDigest: e.Plain.ArchiveDigest.String()}
	mode := sealed.Mode(e.Mode)
	if v.originals.count > 0 && bundle.CipherPath(e.Mode, bundle.OriginalsDir) != bundle.OriginalsDir+v.suffix {
		return fail(ClassContent, ReasonUnknown, bundle.OriginalsDir, "originals are not encrypted in mode %s", e.Mode)
	}
	for _, f := range e.Files {
		path := bundle.CipherPath(e.Mode, f.Path)
		i, there := v.byPath[path]
		if !there {
			return fail(ClassAbsent, ReasonMissing, path, "%s lists it, the archive does not have it", bundle.EncryptionPath)
		}
		if have := v.entries[i].size; have != f.CipherBytes {
			return fail(ClassContent, ReasonPayloadSize, path, "has %d bytes, %s says %d", have, bundle.EncryptionPath, f.CipherBytes)
		}
		if want := mode.CipherSize(len(e.Recipients), f.Bytes); f.CipherBytes != want {
			return fail(ClassContent, ReasonEncryption, path, "has %d bytes; %d bytes of plaintext in mode %s for %d recipients have %d", f.CipherBytes, f.Bytes, mode, len(e.Recipients), want)
		}
	}
	listed := map[string]bool{}
	for _, f := range e.Files {
		listed[bundle.CipherPath(e.Mode, f.Path)] = true
	}
	for _, entry := range v.entries {
		if bundle.IsSecret(entry.path) && !listed[entry.path] {
			return fail(ClassContent, ReasonUnlisted, entry.path, "is in the archive, but %s does not list it", bundle.EncryptionPath)
		}
	}
	v.passed("encryption", bundle.EncryptionPath)
	return nil
}

// wrappedKeys looks at the wrapped keys as far as that can be done without a key.
func wrappedKeys(e bundle.Encryption) error {
	for _, k := range e.Keys {
		raw, err := base64.StdEncoding.DecodeString(k.WrappedKey)
		if err == nil {
			err = sealed.CheckWrapped(sealed.WrappedKey{Recipient: k.Recipient, Wrapped: raw})
		}
		if err != nil {
			return fmt.Errorf("keys: wrapped key of %s: %w", k.Recipient, err)
		}
	}
	return nil
}

// checkCiphertexts holds every ciphertext against its form and its digest, and all of
// them, originals too, against the sum that was signed.
func (v *verifier) checkCiphertexts(ctx context.Context) *Failure {
	files := map[string]bundle.EncryptedFile{}
	for _, f := range v.encryption.Files {
		files[bundle.CipherPath(v.encryption.Mode, f.Path)] = f
	}
	sum, originals := bundle.NewCipherSum(), bundle.EncryptedSum{}
	failure := v.eachSecret(ctx, func(e entry) *Failure {
		digest, nonce, plain, failure := v.ciphertext(ctx, e)
		if failure != nil {
			return failure
		}
		sum.Add(e.path, digest)
		if bundle.IsOriginal(e.path) {
			originals.Count, originals.Bytes, originals.CipherBytes = originals.Count+1, originals.Bytes+plain, originals.CipherBytes+e.size
			return nil
		}
		f := files[e.path]
		if f.Nonce != nonce {
			return fail(ClassContent, ReasonEncryption, e.path, "its nonce is %s, %s says %s", nonce, bundle.EncryptionPath, f.Nonce)
		}
		return v.compare("ciphertext digest", e.path, f.CipherDigest, digest, ClassContent, ReasonDigest)
	})
	if failure != nil {
		return failure
	}
	want := bundle.EncryptedSum{}
	if v.encryption.Originals != nil {
		want = *v.encryption.Originals
	}
	if originals != want {
		return fail(ClassContent, ReasonEncryption, bundle.EncryptionPath, "originals: %d of %d bytes in %d, the archive has %d of %d in %d",
			want.Count, want.Bytes, want.CipherBytes, originals.Count, originals.Bytes, originals.CipherBytes)
	}
	if failure := v.compare("ciphertexts", bundle.EncryptionPath, v.encryption.CipherDigest, sum.Digest(), ClassContent, ReasonDigest); failure != nil {
		return failure
	}
	_, failure = v.layOut(ctx, nil) // lengths and order of what it is when it is opened need no key
	return failure
}

// eachSecret calls do with every ciphertext in archive order: the originals, of which
// there may be millions, are found where the walk has seen them.
func (v *verifier) eachSecret(ctx context.Context, do func(entry) *Failure) *Failure {
	done := false
	originals := func() *Failure {
		done = true
		for at := v.originals.from; at < v.originals.to; {
			if ctx.Err() != nil {
				return fail(ClassOther, ReasonInterrupted, "", "interrupted: %v", ctx.Err())
			}
			e, _, failure := v.header(at)
			if failure == nil && !bundle.IsOriginal(e.path) {
				failure = fail(ClassContent, ReasonHeader, e.path, "changed while the archive was read")
			}
			if failure == nil {
				failure = do(e)
			}
			if failure != nil {
				return failure
			}
			at = e.end()
		}
		return nil
	}
	for _, e := range v.entries {
		if !done && v.originals.count > 0 && e.at >= v.originals.to {
			if failure := originals(); failure != nil {
				return failure
			}
		}
		if !bundle.IsSecret(e.path) {
			continue
		}
		if failure := do(e); failure != nil {
			return failure
		}
	}
	return nil
}

// ciphertext reads an entry that is encrypted: its digest, in mode aes-gcm its nonce,
// and the length of its plaintext, which follows from its form.
func (v *verifier) ciphertext(ctx context.Context, e entry) (digest bundle.Digest, nonce string, plain int64, failure *Failure) {
	section := io.NewSectionReader(v.archive, e.body(), e.size)
	mode := sealed.Mode(v.encryption.Mode)
	plain, err := sealed.CheckForm(mode, len(v.encryption.Recipients), section, e.size)
	if errors.Is(err, sealed.ErrForm) {
		return digest, "", 0, fail(ClassContent, ReasonCiphertext, e.path, "%v", err)
	}
	if err != nil {
		return digest, "", 0, unreadable(err)
	}
	if mode == sealed.ModeGCM {
		first := make([]byte, sealed.NonceSize)
		if failure := v.read(first, e.body()); failure != nil {
			return digest, "", 0, failure
		}
		nonce = hex.EncodeToString(first)
	}
	h := sha256.New()
	failure = v.stream(ctx, e.body(), e.body()+e.size, h)
	return bundle.Digest(h.Sum(nil)), nonce, plain, failure
}

// sealing is what opens an encrypted bundle, without the keys.
func sealing(e bundle.Encryption) (sealed.Sealing, error) {
	s := sealed.Sealing{Mode: sealed.Mode(e.Mode), Of: sealed.Context{RunID: e.RunID, Tenant: e.Tenant}, Recipients: e.Recipients}
	check, err := hex.DecodeString(e.KeyCheck)
	if err != nil {
		return s, err
	}
	copy(s.KeyCheck[:], check)
	for _, k := range e.Keys {
		raw, err := base64.StdEncoding.DecodeString(k.WrappedKey)
		if err != nil {
			return s, err
		}
		s.Keys = append(s.Keys, sealed.WrappedKey{Recipient: k.Recipient, Wrapped: raw})
	}
	return s, nil
}

// open verifies the plain bundle within, when there are keys. A wrong identity is a
// failure: who gives one wants to know what is inside.
func (v *verifier) open(ctx context.Context) *Failure {
	if v.keys.None() {
		return v.unopened()
	}
	opened, failure := v.openedView(ctx)
	if failure != nil {
		return failure
	}
	defer opened.Close()
	inner := &verifier{archive: opened, size: opened.size, trust: v.trust, limits: v.limits, workers: v.workers,
		approvers: v.approvers, mirror: v.mirror, evidence: v.evidence, before: v.before, within: true, report: newReport()}
	failure = inner.run(ctx)
	if failure == nil {
		failure = inner.settled()
	}
	inner.report.Failure = failure
	v.report.Encryption.Plain = &inner.report
	if failure != nil {
		failure.Message = "opened: " + failure.Message
		return failure
	}
	inner.report.Status = inner.status()
	if failure := v.compare("opened archive", "", v.encryption.Plain.ArchiveDigest, digestText(inner.report.ArchiveDigest), ClassContent, ReasonContent); failure != nil {
		return failure
	}
	if inner.size != v.encryption.Plain.ArchiveBytes || inner.report.RunID != v.report.RunID {
		return fail(ClassContent, ReasonEncryption, bundle.EncryptionPath, "plain: is of %d bytes, opened it has %d", v.encryption.Plain.ArchiveBytes, inner.size)
	}
	v.report.Encryption.Opened, v.report.Encryption.As = true, opened.opener.Recipient
	v.report.Evidence, v.report.Originals = inner.report.Evidence, inner.report.Originals
	return nil
}

// unopened is the end of a verification without keys: no failure, unless what was asked
// for takes one.
func (v *verifier) unopened() *Failure {
	what := ""
	switch {
	case v.evidence:
		what = "its lines cannot be read"
	case v.mustOpen:
		what = "its contents cannot be verified"
	default:
		return nil
	}
	return fail(ClassAbsent, ReasonNoIdentity, "", "the bundle is encrypted: %s without a key of one of its recipients (%s)", what, strings.Join(v.encryption.Recipients, ", "))
}

// digestText is a digest that is text already.
type digestText string

func (d digestText) String() string { return string(d) }

// openedView is the plain archive of an encrypted one whose ciphertexts are known to be
// those that were signed.
func (v *verifier) openedView(ctx context.Context) (*Opened, *Failure) {
	s, err := sealing(v.encryption)
	if err != nil {
		return nil, fail(ClassContent, ReasonEncryption, bundle.EncryptionPath, "%v", err)
	}
	opener, err := sealed.NewOpener(ctx, s, v.keys)
	switch {
	case errors.Is(err, sealed.ErrNoKey):
		return nil, fail(ClassSignature, ReasonNoIdentity, "", "%v", err)
	case errors.Is(err, sealed.ErrTampered), errors.Is(err, sealed.ErrForm):
		return nil, fail(ClassContent, ReasonEncryption, bundle.EncryptionPath, "%v", err)
	case err != nil:
		return nil, fail(ClassOther, ReasonUnreadable, "", "open the bundle: %v", err)
	}
	opened, failure := v.layOut(ctx, opener)
	if failure != nil {
		opener.Close()
	}
	return opened, failure
}

// sumsOfSecrets holds checksums.txt against the manifest where the bytes that both speak
// of are not to be read.
func (v *verifier) sumsOfSecrets() *Failure {
	if !v.isEncrypted() {
		return nil
	}
	for _, c := range v.manifest.Contents {
		if failure := v.compare("checksum", c.Path, c.Digest, v.listed[c.Path], ClassContent, ReasonChecksumsMismatch); failure != nil {
			return failure
		}
	}
	return nil
}
