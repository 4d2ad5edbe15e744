package verify

import (
	"fmt"
)

// Status of a report. Only the first says that what is inside was verified.
const (
	StatusVerified = "verified"
	StatusFailed   = "failed"
	// StatusUnopened: signatures, layout and ciphertexts of an encrypted bundle are good,
	// and nobody looked inside, for no key was given (WithKeys). What the report says of
	// contents is what the signed manifest claims.
	StatusUnopened = "unopened"
	// StatusSameContent: what was signed, in files that another encoder packed (WithRepacked).
	StatusSameContent = "same-content"
)

// Report says what was checked. RunID, Tenant and the digests are empty until
// the signature over what they come from has been checked.
type Report struct {
	Status string `json:"status"`
	RunID  string `json:"runId,omitempty"`
	Tenant string `json:"tenant,omitempty"`
	// ManifestDigest is of manifests/export.json; for programs that read on.
	ManifestDigest string     `json:"-"`
	PayloadDigest  string     `json:"payloadDigest,omitempty"`
	RerunHash      string     `json:"rerunHash,omitempty"`
	ArchiveDigest  string     `json:"archiveDigest,omitempty"`
	Records        int64      `json:"records"`
	Originals      int64      `json:"originals,omitempty"` // of a mirror, each what its name says
	Evidence       *Evidence  `json:"evidence,omitempty"`  // when it was asked for
	Approvals      []Approval `json:"approvals,omitempty"`
	TUF            *TUF       `json:"tuf,omitempty"` // of full mirrors
	Files          int64      `json:"files"`
	// Encryption is nil of a plain bundle.
	Encryption *Encryption `json:"encryption,omitempty"`
	// Repacked counts the files that are not the signed bytes, but have the signed lines.
	Repacked   int64       `json:"repacked,omitempty"`
	Checks     []Check     `json:"checks"`
	Signatures []Signature `json:"signatures"`
	Failure    *Failure    `json:"failure,omitempty"`
}

// Check is one thing that was compared.
type Check struct {
	Name     string `json:"name"`
	Path     string `json:"path,omitempty"`
	Expected string `json:"expected,omitempty"`
	Actual   string `json:"actual,omitempty"`
	OK       bool   `json:"ok"`
}

// Signature is one signature that was checked.
type Signature struct {
	Artifact  string `json:"artifact"` // what is signed
	Path      string `json:"path"`     // where the signature is
	KeyID     string `json:"keyId,omitempty"`
	Algorithm string `json:"algorithm,omitempty"`
	OK        bool   `json:"ok"`
}

// Class groups failures by what to do about them; it decides the exit code.
type Class string

// The classes of CONTRACT ruling 9.
const (
	ClassContent   Class = "content"   // bytes are not what they should be
	ClassSignature Class = "signature" // a signature or its key
	ClassAbsent    Class = "absent"    // something required is not there
	ClassOther     Class = "other"     // usage, I/O, the verifier itself
)

// ExitCode is the exit code of a command that ends with this class.
func (c Class) ExitCode() int {
	switch c {
	case ClassContent:
		return 2
	case ClassSignature:
		return 3
	case ClassAbsent:
		return 4
	}
	return 5
}

// Reason names one kind of failure; it never changes its meaning.
type Reason string

// Reasons.
const (
	// The archive's form.
	ReasonHeader      Reason = "header"          // a tar header not in its one form
	ReasonTruncated   Reason = "truncated"       // the archive ends early
	ReasonTrailing    Reason = "trailing_bytes"  // bytes after the two zero blocks
	ReasonPadding     Reason = "padding"         // nonzero bytes after an entry
	ReasonOrder       Reason = "entry_order"     // entries not in order
	ReasonDuplicate   Reason = "duplicate_entry" // two entries of one path
	ReasonUnknown     Reason = "unknown_entry"   // a path bundles do not have
	ReasonTooMany     Reason = "too_many_entries"
	ReasonTooLarge    Reason = "entry_too_large"
	ReasonMissing     Reason = "entry_missing" // an entry every bundle has, or a listed file
	ReasonUnlisted    Reason = "unlisted_entry"
	ReasonPayloadSize Reason = "payload_size"

	// Signatures.
	ReasonUntrustedKey      Reason = "key_untrusted"
	ReasonKeyNotListed      Reason = "key_not_listed" // by the manifest
	ReasonSignatureEncoding Reason = "signature_encoding"
	ReasonSignatureInvalid  Reason = "signature_invalid"
	ReasonPayloadType       Reason = "payload_type"
	ReasonSignedOther       Reason = "signed_other" // a good signature of other bytes

	// Documents.
	ReasonManifest           Reason = "manifest_invalid"
	ReasonProvenance         Reason = "provenance_invalid"
	ReasonProvenanceMismatch Reason = "provenance_mismatch"
	ReasonChecksums          Reason = "checksums_invalid"
	ReasonChecksumsMismatch  Reason = "checksums_mismatch"
	ReasonApproval           Reason = "approval_invalid"
	ReasonSeal               Reason = "seal_invalid"
	ReasonSealMismatch       Reason = "seal_mismatch" // of another run or tenant
	ReasonSealLength         Reason = "seal_length"
	ReasonSealDigest         Reason = "seal_digest"

	// Contents.
	ReasonDigest        Reason = "entry_digest"
	ReasonPayloadDigest Reason = "payload_digest"
	ReasonFrame         Reason = "payload_frame"
	ReasonContent       Reason = "content_digest"
	ReasonContentSize   Reason = "content_size"
	ReasonRecords       Reason = "record_count"
	ReasonEvidence      Reason = "evidence"           // a line, or what it says of itself
	ReasonEncryption    Reason = "encryption_invalid" // manifests/encryption.json is not about this bundle
	ReasonCiphertext    Reason = "ciphertext"         // an encrypted file not in its form, or not authentic
	ReasonPolicy        Reason = "policy"             // the policy snapshot is not what the manifest says

	// TUF metadata of a mirror.
	ReasonTUF          Reason = "tuf_invalid"
	ReasonTUFSignature Reason = "tuf_signature" // not signed as the root demands
	ReasonTUFRoot      Reason = "tuf_root"      // the root is not the trusted one
	ReasonExpired      Reason = "tuf_expired"
	ReasonRollback     Reason = "rollback" // an older generation than was asked for
	ReasonNoMirror     Reason = "no_mirror"

	// Everything else.
	ReasonNoKey       Reason = "no_trusted_key"
	ReasonNoIdentity  Reason = "no_identity" // none of the keys opens the bundle
	ReasonUnreadable  Reason = "unreadable"
	ReasonInterrupted Reason = "interrupted"
	ReasonInternal    Reason = "internal"
)

// Failure is why a bundle is not verified: the first thing that was wrong.
type Failure struct {
	Class   Class  `json:"class"`
	Reason  Reason `json:"reason"`
	Path    string `json:"path,omitempty"` // entry at fault
	Message string `json:"message"`
}

// Error is the error of a bundle that is not verified.
type Error struct{ Failure }

func (e *Error) Error() string {
	text := "not verified"
	if e.Path != "" {
		text += ": " + e.Path
	}
	return text + ": " + e.Message
}

// ExitCode is the exit code of a command that ends with e.
func (e *Error) ExitCode() int { return e.Class.ExitCode() }

func fail(class Class, reason Reason, path, format string, args ...any) *Failure {
	return &Failure{Class: class, Reason: reason, Path: path, Message: fmt.Sprintf(format, args...)}
}

// compare records a comparison and gives the failure if it fails.
func (v *verifier) compare(name, path string, expected, actual fmt.Stringer, class Class, reason Reason) *Failure {
	want, have := expected.String(), actual.String()
	v.report.Checks = append(v.report.Checks, Check{Name: name, Path: path, Expected: want, Actual: have, OK: want == have})
	if want != have {
		return fail(class, reason, path, "%s is %s, expected %s", name, have, want)
	}
	return nil
}

// passed records a check that has nothing to compare.
func (v *verifier) passed(name, path string) {
	v.report.Checks = append(v.report.Checks, Check{Name: name, Path: path, OK: true})
}

type number int64

func (n number) String() string { return fmt.Sprint(int64(n)) }
