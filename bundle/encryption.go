package bundle

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"strings"
)

// An encrypted bundle is a layer around a finished one: the same entries, but every
// payload file and every original is replaced by its ciphertext, and three entries
// are added. Opened - its files decrypted, the layer's own entries left out - it is
// the plain archive again, byte for byte, whose own seal then covers it.
// docs/formats/encryption.md describes it.
const (
	EncryptionPath         = "manifests/encryption.json"
	EncryptionEnvelopePath = "signatures/encryption.dsse.json"
	// OuterSealPath is the last entry of an encrypted bundle. The plain archive's own
	// seal comes right before it.
	OuterSealPath = "signatures/encryption-seal.dsse.json"

	EncryptionSchema      = "https://stellaops.io/export-center/encryption/v1"
	OuterSealSchema       = "https://stellaops.io/export-center/encryption-seal/v1"
	EncryptionPayloadType = "application/vnd.stellaops.export.encryption+json"
	OuterSealPayloadType  = "application/vnd.stellaops.export.encryption-seal+json"
)

// Modes of encryption; package sealed carries them out.
const (
	EncryptionAge = "age"
	EncryptionGCM = "aes-gcm"
)

// MaxWrappedKey bounds a wrapped key, in bytes before base64; that of an age recipient
// has 232.
const MaxWrappedKey = 4 << 10

// What mode aes-gcm says of itself.
const (
	AADFormat   = "{runId}:{relativePath}"
	NonceFormat = "the first 12 bytes of the file"
)

// EncryptionPaths are the entries that the layer adds.
func EncryptionPaths() []string {
	return []string{EncryptionPath, EncryptionEnvelopePath, OuterSealPath}
}

// EncryptionTerms say how a bundle is to leave the service: for whom, and how. They
// are in the manifest and the provenance, and are the same for every attempt.
type EncryptionTerms struct {
	Mode       string   `json:"mode"`
	Recipients []string `json:"recipients"` // sorted, each once
	Strict     bool     `json:"strict"`     // none may be left out
}

// Encryption is manifests/encryption.json: what is encrypted, and how it is opened.
// It has random parts, so two builds of the same plain bundle differ in it.
type Encryption struct {
	Schema string `json:"schema"`
	RunID  string `json:"runId"`
	Tenant string `json:"tenant"`
	Mode   string `json:"mode"`
	// Recipients can open the files, sorted; Omitted could not be used. Together they
	// are those of the manifest.
	Recipients []string           `json:"recipients"`
	Omitted    []OmittedRecipient `json:"omitted,omitempty"`

	// Of mode aes-gcm: how chunks are bound, the data key for each recipient, and
	// what the key is known by.
	AADFormat   string          `json:"aadFormat,omitempty"`
	NonceFormat string          `json:"nonceFormat,omitempty"`
	KeyCheck    string          `json:"keyCheck,omitempty"` // 64 hex digits
	Keys        []WrappedSecret `json:"keys,omitempty"`     // by recipient

	Files     []EncryptedFile `json:"files"` // the payload files, by path
	Originals *EncryptedSum   `json:"originals,omitempty"`
	// CipherDigest is over all ciphertexts, originals too (CipherSum).
	CipherDigest Digest       `json:"cipherDigest"`
	Plain        PlainArchive `json:"plain"`
}

// OmittedRecipient is a recipient that could not be used.
type OmittedRecipient struct {
	Recipient string `json:"recipient"`
	Reason    string `json:"reason"`
}

// WrappedSecret is the data key for a recipient, in base64: an age file of the key,
// or what a key service made of it.
type WrappedSecret struct {
	Recipient  string `json:"recipient"`
	WrappedKey string `json:"wrappedKey"`
}

// EncryptedFile is a payload file by the path of its plaintext.
type EncryptedFile struct {
	Path         string `json:"path"`
	Bytes        int64  `json:"bytes"` // of the plaintext
	CipherBytes  int64  `json:"cipherBytes"`
	CipherDigest Digest `json:"cipherDigest"`
	Nonce        string `json:"nonce,omitempty"` // of mode aes-gcm, 24 hex digits
}

// EncryptedSum adds up the originals, which are too many to list.
type EncryptedSum struct {
	Count       int64 `json:"count"`
	Bytes       int64 `json:"bytes"`
	CipherBytes int64 `json:"cipherBytes"`
}

// PlainArchive is what the bundle is when it is opened.
type PlainArchive struct {
	ArchiveDigest  Digest `json:"archiveDigest"`
	ArchiveBytes   int64  `json:"archiveBytes"`
	ManifestDigest Digest `json:"manifestDigest"`
	PayloadDigest  Digest `json:"payloadDigest"`
}

// Encode gives the bytes of manifests/encryption.json.
func (e Encryption) Encode() ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", EncryptionPath, err)
	}
	out, err := MarshalCanonical(e)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", EncryptionPath, err)
	}
	return out, nil
}

// ParseEncryption reads what Encode writes, and nothing else.
func ParseEncryption(raw []byte) (Encryption, error) {
	var e Encryption
	if err := parseExact(EncryptionPath, raw, &e, Encryption.Encode); err != nil {
		return Encryption{}, err
	}
	return e, nil
}

// Describes reports whether e is about the bundle of manifest m, whose encoded bytes
// have digest manifest. The error names the field that is about something else.
func (e Encryption) Describes(m Manifest, manifest Digest) error {
	switch {
	case e.RunID != m.RunID || e.Tenant != m.Tenant:
		return fmt.Errorf("runId: is of run %s of tenant %s", e.RunID, e.Tenant)
	case e.Plain.ManifestDigest != manifest || e.Plain.PayloadDigest != m.PayloadDigest:
		return fmt.Errorf("plain: is another bundle than the manifest's")
	case m.Encryption == nil:
		return fmt.Errorf("mode: the manifest speaks of no encryption")
	case m.Encryption.Mode != e.Mode:
		return fmt.Errorf("mode: is %s, the manifest wants %s", e.Mode, m.Encryption.Mode)
	case m.Encryption.Strict && len(e.Omitted) > 0:
		return fmt.Errorf("omitted: the manifest is strict: no recipient may be left out")
	case !sameRecipients(e, m.Encryption.Recipients):
		return fmt.Errorf("recipients: with those that are omitted they are not the manifest's")
	case len(e.Files) != len(m.Contents):
		return fmt.Errorf("files: %d, the manifest lists %d", len(e.Files), len(m.Contents))
	}
	for i, c := range m.Contents {
		if f := e.Files[i]; f.Path != c.Path || f.Bytes != c.Bytes {
			return fmt.Errorf("files[%d]: %s of %d bytes, the manifest has %s of %d", i, f.Path, f.Bytes, c.Path, c.Bytes)
		}
	}
	return nil
}

// IsSecret reports whether an encrypted bundle has the ciphertext of the entry at
// path; every other entry is there as it is.
func IsSecret(path string) bool { return IsPayload(path) || IsOriginal(path) }

// CipherPath is where an encrypted bundle has the entry at path.
func CipherPath(mode, path string) string {
	switch {
	case !IsSecret(path):
		return path
	case mode == EncryptionAge:
		return path + ".age"
	}
	return path + ".enc"
}

// PlainPath is what the entry at path of an encrypted bundle is when it is opened:
// whether it is encrypted, and under which path it comes then. ok is false for the
// layer's own entries, and for one that has no place in an encrypted bundle.
func PlainPath(mode, path string) (plain string, secret, ok bool) {
	switch path {
	case EncryptionPath, EncryptionEnvelopePath, OuterSealPath:
		return "", false, false
	}
	if !IsSecret(path) {
		return path, false, true
	}
	suffix := ".enc"
	if mode == EncryptionAge {
		suffix = ".age"
	}
	plain, ok = strings.CutSuffix(path, suffix)
	return plain, true, ok && IsSecret(plain)
}

// CipherSum makes CipherDigest: SHA-256 over, for each ciphertext in archive order,
//
//	<path in the encrypted bundle> LF <64 hex digits of its SHA-256> LF
//
// which are the lines of sha256sum, written as PayloadDigest has them.
type CipherSum struct{ hash hash.Hash }

// NewCipherSum begins a sum.
func NewCipherSum() *CipherSum { return &CipherSum{sha256.New()} }

// Add takes the next ciphertext.
func (s *CipherSum) Add(path string, digest Digest) {
	io.WriteString(s.hash, path+"\n"+digest.Hex()+"\n")
}

// Digest is the sum of what was added.
func (s *CipherSum) Digest() Digest { return Digest(s.hash.Sum(nil)) }
