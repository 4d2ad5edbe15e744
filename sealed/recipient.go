package sealed

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"filippo.io/age"
)

// Beginnings of recipients.
const (
	agePrefix = "age1"
	kmsPrefix = "kms://"
)

// MaxRecipients bounds the recipients of a bundle: every file of mode age has a
// stanza for each.
const MaxRecipients = 64

// kmsForm is a key service's name of a key. It is never resolved here.
var kmsForm = regexp.MustCompile(`^kms://[A-Za-z0-9](?:[A-Za-z0-9._:/@-]{0,240}[A-Za-z0-9])?$`)

// IsKMS reports whether a recipient is a key of a key service.
func IsKMS(recipient string) bool { return strings.HasPrefix(recipient, kmsPrefix) }

// CheckRecipient says why a recipient cannot be one in this mode, whoever runs the
// export. That a key service is at hand is for the run to find out.
func CheckRecipient(mode Mode, recipient string) error {
	switch {
	case IsKMS(recipient) && mode == ModeAge:
		return fmt.Errorf("%w: %.100q is a key of a key service, and mode age is for age1... recipients; use mode aes-gcm", ErrRecipient, recipient)
	case IsKMS(recipient):
		if !kmsForm.MatchString(recipient) {
			return fmt.Errorf("%w: %.100q is not kms:// and the name of a key", ErrRecipient, recipient)
		}
		return nil
	}
	_, err := parseAge(recipient)
	return err
}

// parseAge takes a native X25519 recipient in its one spelling. What is wrong is not
// quoted when it may be a secret key in the wrong place.
func parseAge(text string) (*age.X25519Recipient, error) {
	if !strings.HasPrefix(text, agePrefix) {
		if strings.HasPrefix(strings.ToUpper(text), "AGE-SECRET-KEY-") {
			return nil, fmt.Errorf("%w: this is a secret key (AGE-SECRET-KEY-...); give its recipient, which age-keygen -y prints, and make a new key", ErrRecipient)
		}
		return nil, fmt.Errorf("%w: %.40q begins with neither age1 nor kms://", ErrRecipient, text)
	}
	recipient, err := age.ParseX25519Recipient(text)
	if err != nil || recipient.String() != text {
		return nil, fmt.Errorf("%w: %.100q is not a native age recipient (age1 and 58 characters, lower case, with its checksum)", ErrRecipient, text)
	}
	if _, err := recipient.Wrap(make([]byte, 16)); err != nil { // a point whose secrets everybody knows
		return nil, fmt.Errorf("%w: %.100q is of low order: anybody could open what is encrypted for it", ErrRecipient, text)
	}
	return recipient, nil
}

// CheckRecipients takes lists that Normal gives: 1 to MaxRecipients recipients of the
// mode, sorted, each once.
func CheckRecipients(mode Mode, recipients []string) error {
	if len(recipients) == 0 || len(recipients) > MaxRecipients {
		return fmt.Errorf("%d recipients; want 1 to %d", len(recipients), MaxRecipients)
	}
	for i, r := range recipients {
		if i > 0 && recipients[i-1] >= r {
			return fmt.Errorf("recipient %.100q does not come after %.100q", r, recipients[i-1])
		}
		if err := CheckRecipient(mode, r); err != nil {
			return err
		}
	}
	return nil
}

// Normal is the one form of a list of recipients: sorted, each once.
func Normal(recipients []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(recipients)))
}
