package signing

import "errors"

// Why a signature, an envelope or a key was refused. Every error of this
// package that a caller may want to tell apart wraps exactly one of these.
var (
	// ErrSignature: the bytes are well formed, the key is known, and the
	// signature is not one of these bytes by that key.
	ErrSignature = errors.New("signature does not match")
	// ErrUnknownKey: the envelope names a key that the caller does not trust.
	// Nothing was verified; give the right public key or trust directory.
	ErrUnknownKey = errors.New("signed by a key that is not trusted here")
	// ErrEncoding: the envelope, signature or key is not in its one accepted
	// encoding. Bytes that differ from it in any bit are refused, even when
	// another program would read the same meaning out of them.
	ErrEncoding = errors.New("not in the accepted encoding")
	// ErrPayloadType: the envelope is well formed but carries another kind of
	// payload than the caller asked for.
	ErrPayloadType = errors.New("unexpected payload type")
)
