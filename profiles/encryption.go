package profiles

import (
	"fmt"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/sealed"
)

// checkEncryption holds recipients against what the schema cannot say: the checksum of
// an age recipient, and that a key of a key service is of no use in mode age.
func checkEncryption(e *export.Encryption) error {
	if e == nil {
		return nil
	}
	for i, recipient := range e.RecipientKeys {
		if err := sealed.CheckRecipient(sealed.Mode(e.Mode), recipient); err != nil {
			return refused(fmt.Sprintf("config.encryption.recipientKeys[%d]", i), "%v", err)
		}
	}
	return nil
}

// CheckKeyService refuses a strict configuration that names keys of a key service where
// the installation has none: every run of it would fail.
func CheckKeyService(c export.ProfileConfig, configured bool) error {
	e := c.Encryption.Terms()
	if e == nil || !e.Strict || configured {
		return nil
	}
	for i, recipient := range e.RecipientKeys {
		if sealed.IsKMS(recipient) {
			return refused(fmt.Sprintf("config.encryption.recipientKeys[%d]", i),
				"%s cannot be used: this installation has no key service; configure one, use age1... recipients, or set strict to false", recipient)
		}
	}
	return nil
}
