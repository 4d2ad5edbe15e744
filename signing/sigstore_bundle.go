package signing

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
)

// BundleMediaType is the Sigstore bundle version this package writes and reads.
const BundleMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// maxMessageBundle is far above the one length a message bundle has per key
// type (under 600 bytes).
const maxMessageBundle = 4 << 10

// The parts of both bundle forms, keys sorted (RFC 8785).
const (
	bundleOpenDSSE     = `{"dsseEnvelope":`
	bundleMediaType    = `,"mediaType":"` + BundleMediaType + `"`
	bundleOpenMessage  = `{"mediaType":"` + BundleMediaType + `","messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"`
	bundleSignature    = `"},"signature":"`
	bundleEndSignature = `"}`
	bundleHint         = `,"verificationMaterial":{"publicKey":{"hint":"`
	bundleEnd          = `"}}}`
)

// EncodeMessageBundle writes a Sigstore bundle v0.3 for a signature over a
// message with that SHA-256, as "cosign verify-blob --bundle" reads it. The
// bundle holds no key, only a hint which one: base64 of the SHA-256 inside keyID.
func EncodeMessageBundle(keyID string, digest [sha256.Size]byte, sig []byte) ([]byte, error) {
	sum, err := keyHash(keyID)
	if err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	out := encodeMessageBundle(sum, digest[:], sig)
	if len(out) > maxMessageBundle {
		return nil, fmt.Errorf("encode bundle: %w: signature of %d bytes", ErrEncoding, len(sig))
	}
	return out, nil
}

func encodeMessageBundle(hint, digest, sig []byte) []byte {
	b64 := base64.StdEncoding
	out := append([]byte(nil), bundleOpenMessage...)
	out = b64.AppendEncode(out, digest)
	out = append(out, bundleSignature...)
	out = b64.AppendEncode(out, sig)
	out = append(out, bundleEndSignature...)
	return appendHint(out, hint)
}

func appendHint(out, hint []byte) []byte {
	out = append(out, bundleHint...)
	out = base64.StdEncoding.AppendEncode(out, hint)
	return append(out, bundleEnd...)
}

// OpenMessageBundle verifies that the bundle is a signature of message by one
// of the keys the caller trusts, and gives that key's id. The bundle must be
// byte for byte what EncodeMessageBundle writes.
func OpenMessageBundle(text, message []byte, keys []Verifier) (keyID string, err error) {
	keyID, err = openMessageBundle(text, message, keys)
	if err != nil {
		return "", fmt.Errorf("open bundle: %w", err)
	}
	return keyID, nil
}

func openMessageBundle(text, message []byte, keys []Verifier) (string, error) {
	if len(text) > maxMessageBundle {
		return "", fmt.Errorf("%w: more than %d bytes", ErrEncoding, maxMessageBundle)
	}
	s := &scanner{rest: text}
	s.literal(bundleOpenMessage)
	digest := s.base64("digest")
	s.literal(bundleSignature)
	sig := s.base64("signature")
	s.literal(bundleEndSignature)
	hint := scanHint(s)
	s.end()
	if s.err != nil {
		return "", s.err
	}
	if !bytes.Equal(encodeMessageBundle(hint, digest, sig), text) {
		return "", fmt.Errorf("%w: the bundle written again differs", ErrEncoding)
	}
	if len(digest) != sha256.Size || len(hint) != sha256.Size {
		return "", fmt.Errorf("%w: digest and hint must have %d bytes", ErrEncoding, sha256.Size)
	}
	sum := sha256.Sum256(message)
	if subtle.ConstantTimeCompare(sum[:], digest) != 1 {
		return "", fmt.Errorf("%w: bundle is for sha256:%x, the message has sha256:%x", ErrSignature, digest, sum)
	}
	key, err := trusted(keys, keyIDOf(hint))
	if err != nil {
		return "", err
	}
	if err := key.Verify(message, sig); err != nil {
		return "", fmt.Errorf("key %s: %w", key.KeyID(), err)
	}
	return key.KeyID(), nil
}

func scanHint(s *scanner) []byte {
	s.literal(bundleHint)
	hint := s.base64("hint")
	s.literal(bundleEnd)
	return hint
}

// EncodeDSSEBundle writes a Sigstore bundle v0.3 around a DSSE envelope, as
// "cosign verify-blob-attestation --bundle" reads it. sig is the signature of
// PAE(payloadType, payload), the same one EncodeEnvelope takes.
//
// The key is named by the hint alone and the envelope's keyid is empty: inside
// a bundle cosign takes a keyid for an SSH fingerprint and refuses every other
// text.
func EncodeDSSEBundle(payloadType string, payload []byte, keyID string, sig []byte) ([]byte, error) {
	sum, err := keyHash(keyID)
	if err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	out, err := encodeDSSEBundle(envelope{payload: payload, payloadType: payloadType, sig: sig}, sum)
	if err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	return out, nil
}

func encodeDSSEBundle(env envelope, hint []byte) ([]byte, error) {
	inner, err := env.encode()
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(inner)+256)
	out = append(out, bundleOpenDSSE...)
	out = append(out, inner...)
	out = append(out, bundleMediaType...)
	out = appendHint(out, hint)
	if len(out) > MaxEnvelope {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrEncoding, len(out), MaxEnvelope)
	}
	return out, nil
}

// OpenDSSEBundle verifies a bundle against the keys the caller trusts and only
// then gives the payload, and the id of the key that signed it. The bundle
// must be byte for byte what EncodeDSSEBundle writes.
func OpenDSSEBundle(text []byte, payloadType string, keys []Verifier) (payload []byte, keyID string, err error) {
	payload, keyID, err = openDSSEBundle(text, payloadType, keys)
	if err != nil {
		return nil, "", fmt.Errorf("open bundle: %w", err)
	}
	return payload, keyID, nil
}

func openDSSEBundle(text []byte, payloadType string, keys []Verifier) ([]byte, string, error) {
	if len(text) > MaxEnvelope {
		return nil, "", fmt.Errorf("%w: more than %d bytes", ErrEncoding, MaxEnvelope)
	}
	s := &scanner{rest: text}
	s.literal(bundleOpenDSSE)
	env := scanEnvelope(s)
	s.literal(bundleMediaType)
	hint := scanHint(s)
	s.end()
	if s.err != nil {
		return nil, "", s.err
	}
	again, err := encodeDSSEBundle(env, hint)
	if err != nil {
		return nil, "", err
	}
	if !bytes.Equal(again, text) {
		return nil, "", fmt.Errorf("%w: the bundle written again differs", ErrEncoding)
	}
	if env.keyID != "" || len(hint) != sha256.Size {
		return nil, "", fmt.Errorf("%w: want an empty keyid and a hint of %d bytes", ErrEncoding, sha256.Size)
	}
	return env.verify(payloadType, keyIDOf(hint), keys)
}
