package sealed

import "errors"

// What is wrapped by errors of this package.
var (
	// ErrForm: bytes are not in the one form they must have.
	ErrForm = errors.New("not in the form of an encrypted file")
	// ErrTampered: a chunk does not authenticate at its place.
	ErrTampered = errors.New("does not authenticate: it was changed, cut, or is another file's")
	// ErrNoKey: none of the keys that were given is a recipient's.
	ErrNoKey = errors.New("none of the given identities is a recipient")
	// ErrRecipient: a recipient that nothing can be encrypted for.
	ErrRecipient = errors.New("unusable recipient")
	// ErrNoRecipient: no recipient is left that can be used.
	ErrNoRecipient = errors.New("no usable recipient")
)
