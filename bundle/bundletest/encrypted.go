package bundletest

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"slices"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/sealed"
	"github.com/stella-ops/exportcenter/signing"
)

// identities are published keys: they protect nothing.
var identities = []string{
	"AGE-SECRET-KEY-1QYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZ9K4CN",
	"AGE-SECRET-KEY-1QGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQ0N3JDM",
}

// Identity is the key number n of a recipient: always the same one.
func Identity(t testing.TB, n byte) *age.X25519Identity {
	t.Helper()
	require.Less(t, int(n), len(identities))
	id, err := age.ParseX25519Identity(identities[n])
	require.NoError(t, err)
	return id
}

// Encrypting says how a bundle is encrypted; the zero value of what may be changed
// makes a good one.
type Encrypting struct {
	Mode       string
	Recipients []string // nil = Identity 0
	// Text may change manifests/encryption.json before it is encoded and signed,
	// Encoded its bytes before, and Files the ciphertext of an entry.
	Text    func(*bundle.Encryption)
	Encoded func([]byte) []byte
	Files   func(path string, ciphertext []byte) []byte
	// Entries may change all entries but the seal before the seal is made.
	Entries func([]Entry) []Entry
	// Seal may change the outer seal.
	Seal func(*bundle.Seal)
}

// EncryptedOptions are options of a bundle that says that it is to be encrypted.
func EncryptedOptions(t testing.TB, o Options, how Encrypting) Options {
	t.Helper()
	change := o.Manifest
	o.Manifest = func(m *bundle.Manifest) {
		m.Encryption = &bundle.EncryptionTerms{Mode: how.Mode, Recipients: recipients(t, how)}
		if change != nil {
			change(m)
		}
	}
	return o
}

func recipients(t testing.TB, how Encrypting) []string {
	if how.Recipients != nil {
		return sealed.Normal(how.Recipients)
	}
	return []string{Identity(t, 0).Recipient().String()}
}

// BuildEncrypted makes an encrypted bundle, and gives the plain one within too.
func BuildEncrypted(t testing.TB, o Options, how Encrypting) (plain, encrypted *Bundle) {
	t.Helper()
	plain = New(t, EncryptedOptions(t, o, how))
	return plain, plain.Encrypt(t, how)
}

// Encrypt puts the layer of encryption around b, by the same public functions as the
// service.
func (b *Bundle) Encrypt(t testing.TB, how Encrypting) *Bundle {
	t.Helper()
	ctx := context.Background()
	of := sealed.Context{RunID: b.Manifest.RunID, Tenant: b.Manifest.Tenant}
	sealer, err := sealed.NewSealer(ctx, sealed.Terms{Mode: sealed.Mode(how.Mode), Recipients: recipients(t, how)}, of, nil, rand.Reader)
	require.NoError(t, err)
	defer sealer.Close()
	archive := b.Bytes(t)
	text := bundle.Encryption{Schema: bundle.EncryptionSchema, RunID: of.RunID, Tenant: of.Tenant, Mode: how.Mode,
		Recipients: sealer.Recipients, Files: []bundle.EncryptedFile{},
		Plain: bundle.PlainArchive{ArchiveDigest: bundle.DigestOf(archive), ArchiveBytes: int64(len(archive)),
			ManifestDigest: bundle.DigestOf(b.Data(t, bundle.ManifestPath)), PayloadDigest: b.Manifest.PayloadDigest}}
	for _, o := range sealer.Omitted {
		text.Omitted = append(text.Omitted, bundle.OmittedRecipient{Recipient: o.Recipient, Reason: "cannot be used"})
	}
	if sealer.Mode() == sealed.ModeGCM {
		text.AADFormat, text.NonceFormat, text.KeyCheck = bundle.AADFormat, bundle.NonceFormat, hex.EncodeToString(sealer.KeyCheck[:])
		for _, k := range sealer.Keys {
			text.Keys = append(text.Keys, bundle.WrappedSecret{Recipient: k.Recipient, WrappedKey: base64.StdEncoding.EncodeToString(k.Wrapped)})
		}
	}
	out := &Bundle{Manifest: b.Manifest, Signer: b.Signer}
	sum, originals := bundle.NewCipherSum(), bundle.EncryptedSum{}
	for _, e := range b.Entries {
		if !bundle.IsSecret(e.Path) {
			out.Entries = append(out.Entries, e)
			continue
		}
		file := cipher(t, sealer, e)
		if how.Files != nil {
			file = how.Files(e.Path, file)
		}
		path := bundle.CipherPath(how.Mode, e.Path)
		out.Entries = append(out.Entries, Entry{path, file})
		sum.Add(path, bundle.DigestOf(file))
		if bundle.IsOriginal(e.Path) {
			originals.Count, originals.Bytes, originals.CipherBytes = originals.Count+1, originals.Bytes+int64(len(e.Data)), originals.CipherBytes+int64(len(file))
			continue
		}
		listed := bundle.EncryptedFile{Path: e.Path, Bytes: int64(len(e.Data)), CipherBytes: int64(len(file)), CipherDigest: bundle.DigestOf(file)}
		if sealer.Mode() == sealed.ModeGCM {
			listed.Nonce = hex.EncodeToString(file[:sealed.NonceSize])
		}
		text.Files = append(text.Files, listed)
	}
	if text.CipherDigest = sum.Digest(); originals.Count > 0 {
		text.Originals = &originals
	}
	if how.Text != nil {
		how.Text(&text)
	}
	encoded, err := bundle.MarshalCanonical(text) // and not Encode: it may be spoiled
	require.NoError(t, err)
	if how.Encoded != nil {
		encoded = how.Encoded(encoded)
	}
	envelope, err := signing.SignEnvelope(ctx, b.Signer, bundle.EncryptionPayloadType, encoded)
	require.NoError(t, err)
	out.Entries = append(out.Entries, Entry{bundle.EncryptionPath, encoded}, Entry{bundle.EncryptionEnvelopePath, envelope})
	slices.SortFunc(out.Entries, func(x, y Entry) int {
		if bundle.PathBefore(x.Path, y.Path) {
			return -1
		}
		return 1
	})
	if how.Entries != nil {
		out.Entries = how.Entries(out.Entries)
	}
	out.SealOuter(t, b.Signer, bundle.OuterSealPayloadType, how.Seal)
	return out
}

func cipher(t testing.TB, sealer *sealed.Sealer, e Entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := sealer.Seal(e.Path, &out)
	require.NoError(t, err)
	_, err = io.Copy(w, bytes.NewReader(e.Data))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

// SealOuter makes the seal around an encrypted bundle anew, over the entries as they
// stand, whatever their order is.
func (b *Bundle) SealOuter(t testing.TB, signer signing.Signer, payloadType string, change func(*bundle.Seal)) {
	t.Helper()
	b.Remove(bundle.OuterSealPath)
	raw := b.Raw(t)
	raw = raw[:len(raw)-bundle.TrailerSize]
	seal := bundle.NewOuterSeal(bundle.Encryption{RunID: b.Manifest.RunID, Tenant: b.Manifest.Tenant}, sha256.Sum256(raw), int64(len(raw)))
	if change != nil {
		change(&seal)
	}
	payload, err := bundle.MarshalCanonical(seal)
	require.NoError(t, err)
	envelope, err := signing.SignEnvelope(context.Background(), signer, payloadType, payload)
	require.NoError(t, err)
	b.Entries = append(b.Entries, Entry{bundle.OuterSealPath, envelope})
}
