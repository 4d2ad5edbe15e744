package activities

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/sealed"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

// layering is one attempt at putting the layer of encryption around a run's bundle.
// Of the embedded sealing, files are the encrypted archive's entries so far and added
// those that the plain one does not have.
type layering struct {
	*sealing
	sealer *sealed.Sealer
	beat   *heartbeat

	plain     []storage.File // of the plain archive, in its order
	secret    []string       // paths of those that are encrypted
	listed    []bundle.EncryptedFile
	originals bundle.EncryptedSum
	sum       *bundle.CipherSum
	last      string // cipher path that was added to the sum
	done      int64

	attestation storage.StoredSignature
}

// collect loads the signed bundle.
func (l *layering) collect(ctx context.Context) (err error) {
	if l.plain, err = l.Execution.BundleFiles(ctx, l.claim.Ref); err != nil {
		return fmt.Errorf("list bundle files: %w", err)
	}
	for _, f := range l.plain {
		switch f.Path {
		case bundle.ManifestPath:
			l.manifest, err = l.get(ctx, l.claim.Ref.Tenant, f)
		case bundle.ProvenancePath:
			l.provenance, err = l.get(ctx, l.claim.Ref.Tenant, f)
		}
		if err != nil {
			return err
		}
	}
	if l.parsed, err = bundle.ParseManifest(l.manifest); err != nil {
		return fmt.Errorf("stored manifest: %w", err)
	}
	want, have := termsOf(l.run), l.parsed.Encryption
	if have == nil || have.Mode != want.Mode || have.Strict != want.Strict || !slices.Equal(have.Recipients, want.Recipients) {
		return &export.Error{Code: export.CodeInternal, Class: export.ClassPermanent,
			Message: "the manifest does not say how the run is encrypted: a worker of an earlier version wrote it; run the export again once all workers are of this one"}
	}
	l.result = l.run.Result
	return l.named()
}

// encryptAll stores the ciphertext of every payload file and original; the other
// entries stay what they are.
func (l *layering) encryptAll(ctx context.Context) error {
	for _, f := range l.plain {
		if !bundle.IsSecret(f.Path) {
			l.files = append(l.files, f)
			continue
		}
		if err := l.encryptFile(ctx, f); err != nil {
			return fmt.Errorf("encrypt %s: %w", f.Path, err)
		}
	}
	return nil
}

// encryptFile encrypts one blob, and proves on the way that it is what it should be.
func (l *layering) encryptFile(ctx context.Context, f storage.File) error {
	blob, err := storage.OpenExact(ctx, l.Objects, l.claim.Ref.Tenant, f.Digest, f.Size)
	if err != nil {
		return err
	}
	defer blob.Close()
	staged, err := l.Objects.Stage(ctx, l.claim.Ref.Tenant)
	if err != nil {
		return err
	}
	defer staged.Discard() //nolint:errcheck // a no-op after Publish
	read := sha256.New()
	content := io.TeeReader(stopping{ctx, io.NewSectionReader(blob, 0, f.Size), l.beat}, read)
	if f.Entries {
		err = bundle.EachEntry(content, func(path string, size int64, of io.Reader) error { return l.encryptEntry(staged, path, size, of) })
	} else {
		err = l.encryptWhole(staged, f, content)
	}
	if err == nil && bundle.Digest(read.Sum(nil)) != f.Digest {
		err = bundle.ErrRotten
	}
	if errors.Is(err, bundle.ErrRotten) {
		return l.rotten(ctx, l.claim, err)
	}
	if err != nil {
		return err
	}
	return l.keep(ctx, f, staged)
}

// keep stores a ciphertext in the plaintext's place.
func (l *layering) keep(ctx context.Context, f storage.File, staged storage.Staged) error {
	digest, err := l.publish(ctx, l.claim, staged)
	if err != nil {
		return err
	}
	_, size := staged.Digest()
	stored := storage.File{Path: bundle.CipherPath(l.parsed.Encryption.Mode, f.Path), Digest: digest, Size: size, Entries: f.Entries}
	l.files, l.added, l.secret = append(l.files, stored), append(l.added, stored), append(l.secret, f.Path)
	return nil
}

// encryptWhole encrypts a payload file and lists it.
func (l *layering) encryptWhole(w io.Writer, f storage.File, content io.Reader) error {
	first := &beginning{w: w}
	digest, size, err := l.seal(first, f.Path, f.Size, content)
	if err != nil {
		return err
	}
	listed := bundle.EncryptedFile{Path: f.Path, Bytes: f.Size, CipherBytes: size, CipherDigest: digest}
	if l.sealer.Mode() == sealed.ModeGCM {
		listed.Nonce = hex.EncodeToString(first.kept[:])
	}
	l.listed = append(l.listed, listed)
	return nil
}

// encryptEntry encrypts an entry of a segment, as the archive has it.
func (l *layering) encryptEntry(w io.Writer, path string, size int64, content io.Reader) error {
	cipher := l.sealer.Mode().CipherSize(len(l.sealer.Recipients), size)
	header, err := bundle.Header(bundle.CipherPath(l.parsed.Encryption.Mode, path), cipher)
	if err != nil {
		return err
	}
	if _, err := w.Write(header[:]); err != nil {
		return err
	}
	if _, _, err := l.seal(w, path, size, content); err != nil {
		return err
	}
	l.originals.Count++
	l.originals.Bytes += size
	l.originals.CipherBytes += cipher
	_, err = w.Write(make([]byte, bundle.EntrySize(cipher)-bundle.BlockSize-cipher))
	return err
}

// seal encrypts size bytes of content, whose path is the plaintext's, and adds the
// ciphertext to the sum of all.
func (l *layering) seal(w io.Writer, path string, size int64, content io.Reader) (bundle.Digest, int64, error) {
	sum := sha256.New()
	counted := &written{w: io.MultiWriter(w, sum)}
	cipher, err := l.sealer.Seal(path, counted)
	if err != nil {
		return bundle.Digest{}, 0, err
	}
	n, err := io.Copy(struct{ io.Writer }{cipher}, content)
	if err = errors.Join(err, cipher.Close()); err != nil {
		return bundle.Digest{}, 0, err
	}
	want := l.sealer.Mode().CipherSize(len(l.sealer.Recipients), size)
	if n != size || counted.n != want {
		return bundle.Digest{}, 0, fmt.Errorf("%d of %d bytes became %d of %d: %w", n, size, counted.n, want, bundle.ErrRotten)
	}
	at, digest := bundle.CipherPath(l.parsed.Encryption.Mode, path), bundle.Digest(sum.Sum(nil))
	if l.last != "" && !bundle.PathBefore(l.last, at) {
		return digest, n, fmt.Errorf("%s does not come after %s in the encrypted archive", at, l.last)
	}
	l.last, l.done = at, l.done+1
	l.sum.Add(at, digest)
	l.beat.tick(l.done)
	return digest, counted.n, nil
}

// written counts what is written.
type written struct {
	w io.Writer
	n int64
}

func (w *written) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.n += int64(n)
	return n, err
}

// beginning keeps the first bytes that are written.
type beginning struct {
	w    io.Writer
	kept [sealed.NonceSize]byte
	n    int
}

func (b *beginning) Write(p []byte) (int, error) {
	b.n += copy(b.kept[b.n:], p)
	return b.w.Write(p)
}

// describe writes and signs manifests/encryption.json.
func (l *layering) describe(ctx context.Context) error {
	plain, err := bundle.ParseDigest(l.run.Result.ArchiveDigest)
	if err != nil {
		return fmt.Errorf("archive digest of the run: %w", err)
	}
	described := bundle.Encryption{Schema: bundle.EncryptionSchema, RunID: l.run.ID, Tenant: l.run.Tenant,
		Mode: string(l.sealer.Mode()), Recipients: l.sealer.Recipients, Omitted: omitted(l.sealer.Omitted),
		Files: l.listed, CipherDigest: l.sum.Digest(),
		Plain: bundle.PlainArchive{ArchiveDigest: plain, ArchiveBytes: l.run.Result.ArchiveBytes,
			ManifestDigest: bundle.DigestOf(l.manifest), PayloadDigest: l.parsed.PayloadDigest}}
	if described.Files == nil {
		described.Files = []bundle.EncryptedFile{}
	}
	if l.originals.Count > 0 {
		described.Originals = &l.originals
	}
	if l.sealer.Mode() == sealed.ModeGCM {
		described.AADFormat, described.NonceFormat = bundle.AADFormat, bundle.NonceFormat
		described.KeyCheck = hex.EncodeToString(l.sealer.KeyCheck[:])
		for _, k := range l.sealer.Keys {
			described.Keys = append(described.Keys, bundle.WrappedSecret{Recipient: k.Recipient, WrappedKey: base64.StdEncoding.EncodeToString(k.Wrapped)})
		}
	}
	if err := described.Describes(l.parsed, bundle.DigestOf(l.manifest)); err != nil {
		return err
	}
	text, err := described.Encode()
	if err != nil {
		return err
	}
	if err := l.add(ctx, bundle.EncryptionPath, text); err != nil {
		return err
	}
	return l.signEnvelope(ctx, bundle.EncryptionPath, bundle.EncryptionEnvelopePath, bundle.EncryptionPayloadType, text)
}

// maxReason bounds what is said of a recipient that was left out.
const maxReason = 200

// omitted says who was left out, in text that every reader can print.
func omitted(left []sealed.Omitted) (all []bundle.OmittedRecipient) {
	for _, o := range left {
		reason := strings.Map(func(r rune) rune {
			if r < 0x7f && unicode.IsPrint(r) {
				return r
			}
			return '?'
		}, o.Reason)
		all = append(all, bundle.OmittedRecipient{Recipient: o.Recipient, Reason: reason[:min(len(reason), maxReason)]})
	}
	return all
}

// close seals the encrypted archive.
func (l *layering) close(ctx context.Context) error {
	return l.closeAt(ctx, bundle.OuterSealPath, "encryption-seal", func(digest bundle.Digest, size int64) (string, []byte, error) {
		text, err := bundle.NewOuterSeal(bundle.Encryption{RunID: l.run.ID, Tenant: l.run.Tenant}, digest, size).Encode()
		return bundle.OuterSealPayloadType, text, err
	})
}

// attest signs the statement about the encrypted archive. It is stored with the archive
// and not before: one of an archive that another attempt's took the place of would be
// about nothing.
func (l *layering) attest(ctx context.Context) error {
	statement, err := l.statement()
	if err != nil {
		return err
	}
	message := signing.PAE(bundle.StatementPayloadType, statement)
	sig, err := l.Signer.Sign(ctx, message)
	if err != nil {
		return l.refused(err)
	}
	l.attestation = storage.StoredSignature{Artifact: archiveArtifact, KeyID: l.Signer.KeyID(), Algorithm: string(l.Signer.Algorithm()),
		Message: bundle.DigestOf(message), Signature: sig, Statement: statement}
	return nil
}

// save puts the encrypted archive in the place of the plain one.
func (l *layering) save(ctx context.Context) error {
	l.result.Encrypted = &export.Encrypted{Mode: string(l.sealer.Mode()), Recipients: l.sealer.Recipients,
		PlainDigest: l.run.Result.ArchiveDigest, PlainBytes: l.run.Result.ArchiveBytes}
	for _, o := range omitted(l.sealer.Omitted) {
		l.result.Encrypted.Omitted = append(l.result.Encrypted.Omitted, export.OmittedRecipient(o))
	}
	if err := l.Execution.SaveEncrypted(ctx, l.claim, l.secret, l.added, l.result, l.attestation, l.Clock()); err != nil {
		return fmt.Errorf("save the encrypted bundle: %w", err)
	}
	return nil
}
