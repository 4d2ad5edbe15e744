package export

import "slices"

// Modes of Encryption.
const (
	EncryptionAge = "age"
	EncryptionGCM = "aes-gcm"
)

// Terms are what a run takes of e: nil when it is not encrypted.
func (e *Encryption) Terms() *Encryption {
	if e == nil || !e.Enabled {
		return nil
	}
	return e.Normal()
}

// Normal is the one form of e: recipients are a set.
func (e *Encryption) Normal() *Encryption {
	if e == nil {
		return nil
	}
	normal := *e
	normal.RecipientKeys = slices.Compact(slices.Sorted(slices.Values(e.RecipientKeys)))
	return &normal
}

// Encrypted is how a run's bundle was encrypted.
type Encrypted struct {
	Mode       string             `json:"mode"`
	Recipients []string           `json:"recipients"` // that can open it, sorted
	Omitted    []OmittedRecipient `json:"omitted,omitempty"`
	// PlainDigest and PlainBytes are of the archive before it was encrypted, which is
	// what it is when it is opened. It is never offered.
	PlainDigest string `json:"plainDigest"`
	PlainBytes  int64  `json:"plainBytes"`
}

// OmittedRecipient is a recipient that could not be used, and why.
type OmittedRecipient struct {
	Recipient string `json:"recipient"`
	Reason    string `json:"reason"`
}

// Plain is the archive that was signed: of a run that is encrypted the one within, of
// all others the one that is offered.
func (r Result) Plain() (digest string, bytes int64) {
	if r.Encrypted != nil {
		return r.Encrypted.PlainDigest, r.Encrypted.PlainBytes
	}
	return r.ArchiveDigest, r.ArchiveBytes
}
