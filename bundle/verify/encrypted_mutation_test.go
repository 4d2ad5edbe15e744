package verify_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

// encryptedMutation is one defect of an encrypted bundle, signed by the right key where
// it is signed: what is left to refuse it is what the verifier checks.
type encryptedMutation struct {
	name   string
	mode   string // "" = both
	reason verify.Reason
	how    func(t *testing.T, how *bundletest.Encrypting, o *bundletest.Options)
	pieces func(t *testing.T, b *bundletest.Bundle) // then sealed again by the right key
	raw    func(t *testing.T, b *bundletest.Bundle) // not sealed again
	keys   bool                                     // only who opens it can tell
}

func text(change func(*bundle.Encryption)) func(*testing.T, *bundletest.Encrypting, *bundletest.Options) {
	return func(_ *testing.T, how *bundletest.Encrypting, _ *bundletest.Options) { how.Text = change }
}

// entriesOf gives the ciphertext entries of a bundle.
func entriesOf(b *bundletest.Bundle) (at []int) {
	for i, e := range b.Entries {
		if bundle.IsSecret(e.Path) {
			at = append(at, i)
		}
	}
	return at
}

func encryptedMutations() []encryptedMutation {
	other := bundle.DigestOf([]byte("another"))
	return []encryptedMutation{
		{name: "two ciphertexts exchanged", reason: verify.ReasonPayloadSize, pieces: func(_ *testing.T, b *bundletest.Bundle) {
			at := entriesOf(b)
			b.Entries[at[0]].Data, b.Entries[at[1]].Data = b.Entries[at[1]].Data, b.Entries[at[0]].Data
		}},
		{name: "a ciphertext left out", reason: verify.ReasonMissing, pieces: func(_ *testing.T, b *bundletest.Bundle) {
			b.Remove(b.Entries[entriesOf(b)[0]].Path)
		}},
		{name: "a ciphertext more", reason: verify.ReasonUnlisted, pieces: func(_ *testing.T, b *bundletest.Bundle) {
			i := slices.IndexFunc(b.Entries, func(e bundletest.Entry) bool {
				return bundle.IsSecret(e.Path) && strings.Contains(e.Path, "-0000000000000000")
			})
			e := b.Entries[i]
			e.Path = strings.Replace(e.Path, "-0000000000000000", "-00000000000000ff", 1)
			b.Entries = slices.Insert(b.Entries, i+1, e)
		}},
		{name: "the plaintext beside its ciphertext", reason: verify.ReasonUnlisted, pieces: func(_ *testing.T, b *bundletest.Bundle) {
			i := entriesOf(b)[0]
			e := b.Entries[i]
			e.Path = strings.TrimSuffix(strings.TrimSuffix(e.Path, ".age"), ".enc")
			b.Entries = slices.Insert(b.Entries, i, e)
		}},
		{name: "the suffix of the other mode", reason: verify.ReasonMissing, pieces: func(_ *testing.T, b *bundletest.Bundle) {
			e := &b.Entries[entriesOf(b)[0]]
			if p, ok := strings.CutSuffix(e.Path, ".age"); ok {
				e.Path = p + ".enc"
			} else {
				e.Path = strings.TrimSuffix(e.Path, ".enc") + ".age"
			}
		}},
		{name: "a byte of a ciphertext", reason: verify.ReasonDigest, pieces: func(_ *testing.T, b *bundletest.Bundle) {
			e := &b.Entries[entriesOf(b)[0]]
			e.Data = bytes.Clone(e.Data)
			e.Data[len(e.Data)-1] ^= 1
		}},
		{name: "encryption.json left out", reason: verify.ReasonUnknown, pieces: func(_ *testing.T, b *bundletest.Bundle) { b.Remove(bundle.EncryptionPath) }},
		{name: "its envelope left out", reason: verify.ReasonMissing, pieces: func(_ *testing.T, b *bundletest.Bundle) { b.Remove(bundle.EncryptionEnvelopePath) }},
		{name: "the inner seal left out", reason: verify.ReasonMissing, pieces: func(_ *testing.T, b *bundletest.Bundle) { b.Remove(bundle.SealPath) }},
		{name: "the outer seal left out", reason: verify.ReasonMissing, raw: func(_ *testing.T, b *bundletest.Bundle) { b.Remove(bundle.OuterSealPath) }},
		{name: "the inner seal in the outer one's place", reason: verify.ReasonPayloadType, raw: func(t *testing.T, b *bundletest.Bundle) {
			b.Replace(t, bundle.OuterSealPath, b.Data(t, bundle.SealPath))
		}},
		{name: "the outer seal signed as an inner one", reason: verify.ReasonPayloadType, raw: func(t *testing.T, b *bundletest.Bundle) {
			b.SealOuter(t, b.Signer, bundle.SealPayloadType, nil)
		}},
		{name: "an outer seal with the inner one's schema", reason: verify.ReasonSeal, raw: func(t *testing.T, b *bundletest.Bundle) {
			b.SealOuter(t, b.Signer, bundle.OuterSealPayloadType, func(s *bundle.Seal) { s.Schema = bundle.SealSchema })
		}},
		{name: "an outer seal of another run", reason: verify.ReasonSealMismatch, raw: func(t *testing.T, b *bundletest.Bundle) {
			b.SealOuter(t, b.Signer, bundle.OuterSealPayloadType, func(s *bundle.Seal) { s.RunID = "019a0000-0000-7000-8000-000000000002" })
		}},
		{name: "an outer seal by another key", reason: verify.ReasonUntrustedKey, raw: func(t *testing.T, b *bundletest.Bundle) {
			b.SealOuter(t, bundletest.Key(t, 2), bundle.OuterSealPayloadType, nil)
		}},
		{name: "README changed under the outer seal", reason: verify.ReasonDigest, pieces: func(t *testing.T, b *bundletest.Bundle) {
			b.Replace(t, bundle.ReadmePath, append(bytes.Clone(b.Data(t, bundle.ReadmePath)), '\n'))
		}},
		{name: "encryption.json of another run", reason: verify.ReasonEncryption, how: text(func(e *bundle.Encryption) { e.RunID = "019a0000-0000-7000-8000-000000000002" })},
		{name: "of another bundle's manifest", reason: verify.ReasonEncryption, how: text(func(e *bundle.Encryption) { e.Plain.ManifestDigest = other })},
		{name: "a recipient more", reason: verify.ReasonEncryption, mode: "age", how: func(t *testing.T, how *bundletest.Encrypting, _ *bundletest.Options) {
			how.Text = func(e *bundle.Encryption) {
				e.Recipients = append(e.Recipients, bundletest.Identity(t, 1).Recipient().String())
				slices.Sort(e.Recipients)
			}
		}},
		{name: "a file less", reason: verify.ReasonEncryption, how: text(func(e *bundle.Encryption) { e.Files = e.Files[1:] })},
		{name: "another plain length of a file", reason: verify.ReasonEncryption, how: text(func(e *bundle.Encryption) { e.Files[0].Bytes++ })},
		{name: "another digest of a file", reason: verify.ReasonDigest, how: text(func(e *bundle.Encryption) { e.Files[0].CipherDigest = other })},
		{name: "another nonce of a file", reason: verify.ReasonEncryption, mode: "aes-gcm", how: text(func(e *bundle.Encryption) { e.Files[0].Nonce = strings.Repeat("00", 12) })},
		{name: "another sum of all", reason: verify.ReasonDigest, how: text(func(e *bundle.Encryption) { e.CipherDigest = other })},
		{name: "originals that are not there", reason: verify.ReasonEncryption, how: text(func(e *bundle.Encryption) {
			e.Originals = &bundle.EncryptedSum{Count: 1, Bytes: 1, CipherBytes: 100}
		})},
		{name: "another length of the plain archive", reason: verify.ReasonEncryption, how: text(func(e *bundle.Encryption) { e.Plain.ArchiveBytes += bundle.BlockSize })},
		{name: "an empty key", reason: verify.ReasonEncryption, mode: "aes-gcm", how: text(func(e *bundle.Encryption) { e.Keys[0].WrappedKey = "" })},
		{name: "a key that is no age file", reason: verify.ReasonEncryption, mode: "aes-gcm", how: text(func(e *bundle.Encryption) { e.Keys[0].WrappedKey = "AAAA" })},
		{name: "white space in encryption.json", reason: verify.ReasonEncryption, how: func(_ *testing.T, how *bundletest.Encrypting, _ *bundletest.Options) {
			how.Encoded = func(text []byte) []byte { return append(text, '\n') }
		}},
		{name: "a member that nobody knows", reason: verify.ReasonEncryption, how: func(_ *testing.T, how *bundletest.Encrypting, _ *bundletest.Options) {
			how.Encoded = func(text []byte) []byte { return append([]byte(`{"a":1,`), text[1:]...) }
		}},
		{name: "a manifest that speaks of no encryption", reason: verify.ReasonEncryption, how: func(_ *testing.T, _ *bundletest.Encrypting, o *bundletest.Options) {
			o.Manifest = func(m *bundle.Manifest) { m.Encryption = nil }
		}},
		{name: "a provenance of other recipients", reason: verify.ReasonProvenanceMismatch, how: func(t *testing.T, _ *bundletest.Encrypting, o *bundletest.Options) {
			o.Provenance = func(p *bundle.Provenance) {
				terms := *p.Predicate.BuildDefinition.ExternalParameters.Encryption
				terms.Recipients = []string{bundletest.Identity(t, 1).Recipient().String()}
				p.Predicate.BuildDefinition.ExternalParameters.Encryption = &terms
			}
		}},
		{name: "checksums of other plaintexts", reason: verify.ReasonChecksumsMismatch, how: func(_ *testing.T, _ *bundletest.Encrypting, o *bundletest.Options) {
			o.Checksums = func(text []byte) []byte {
				at := bytes.Index(text, []byte("  data/"))
				text[at-1] = "10"[btoi(text[at-1] == '1')]
				return text
			}
		}},
		{name: "an age file for a passphrase", reason: verify.ReasonCiphertext, mode: "age", how: func(_ *testing.T, how *bundletest.Encrypting, _ *bundletest.Options) {
			how.Files = func(_ string, file []byte) []byte {
				return bytes.Replace(file, []byte("-> X25519 "), []byte("-> scrypt "), 1)
			}
		}},
		{name: "another plain archive", keys: true, reason: verify.ReasonContent, how: text(func(e *bundle.Encryption) { e.Plain.ArchiveDigest = other })},
		{name: "a tag that does not fit", keys: true, reason: verify.ReasonCiphertext, how: func(_ *testing.T, how *bundletest.Encrypting, _ *bundletest.Options) {
			how.Files = func(_ string, file []byte) []byte { file[len(file)-1] ^= 1; return file }
		}},
		{name: "another key check", keys: true, mode: "aes-gcm", reason: verify.ReasonEncryption, how: text(func(e *bundle.Encryption) { e.KeyCheck = strings.Repeat("00", 32) })},
	}
}

// TestMutationsOfEncrypted: each is refused for its own reason, without keys unless only
// the contents can tell, and with them always; of a bundle of evidence, and of a delta.
func TestMutationsOfEncrypted(t *testing.T) {
	tried := 0
	for of, options := range encryptedOptions(t) {
		for _, mode := range encryptionModes {
			for _, m := range encryptedMutations() {
				if m.mode != "" && m.mode != mode {
					continue
				}
				t.Run(of+"/"+mode+"/"+m.name, func(t *testing.T) {
					m.refused(t, mode, options)
					tried++
				})
			}
		}
	}
	require.Greater(t, tried, 120)
}

// refused mutates an encrypted bundle, and wants it to be refused.
func (m encryptedMutation) refused(t *testing.T, mode string, o bundletest.Options) {
	t.Helper()
	how := bundletest.Encrypting{Mode: mode}
	if m.how != nil {
		m.how(t, &how, &o)
	}
	_, b := bundletest.BuildEncrypted(t, o, how)
	switch {
	case m.pieces != nil:
		m.pieces(t, b)
		b.SealOuter(t, b.Signer, bundle.OuterSealPayloadType, nil)
	case m.raw != nil:
		m.raw(t, b)
	}
	archive := b.Raw(t)
	if report, err := verifyWith(t, archive); m.keys {
		require.NoError(t, err, "nobody without a key can tell")
		require.False(t, report.Encryption.Opened)
	} else {
		requireReason(t, err, m.reason)
	}
	_, err := verifyWith(t, archive, withIdentity(bundletest.Identity(t, 0)))
	requireReason(t, err, m.reason)
}

func requireReason(t *testing.T, err error, reason verify.Reason) {
	t.Helper()
	var failure *verify.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, reason, failure.Reason, failure.Message)
	require.NotZero(t, failure.ExitCode())
}

// TestEncryptedTwice: the layer is around a plain bundle, and not around another layer.
func TestEncryptedTwice(t *testing.T) {
	_, encrypted := bundletest.BuildEncrypted(t, bundletest.Options{}, bundletest.Encrypting{Mode: "age"})
	for _, e := range encrypted.Entries {
		if e.Path == bundle.EncryptionPath {
			plain := bundletest.New(t, bundletest.Options{Entries: func(all map[string][]byte) { all[e.Path] = e.Data }})
			_, err := verifyWith(t, plain.Bytes(t))
			var failure *verify.Error
			require.ErrorAs(t, err, &failure, "a plain bundle with an entry of the layer")
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
