package signing

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
)

// PayloadTypeInToto is the payload type of every in-toto statement.
const PayloadTypeInToto = "application/vnd.in-toto+json"

// MaxEnvelope is the most bytes an envelope or a bundle around one may have.
const MaxEnvelope = 16 << 20

// maxPayloadType bounds the name of a payload type (RFC 6838 §4.2 allows 127
// characters for each half).
const maxPayloadType = 255

// envelope is a DSSE envelope with its one signature.
type envelope struct {
	payload     []byte
	payloadType string
	keyID       string // may be empty inside a Sigstore bundle
	sig         []byte
}

// PAE is the DSSE pre-authentication encoding: the bytes that are signed.
//
//	"DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload
func PAE(payloadType string, payload []byte) []byte {
	out := make([]byte, 0, len(payload)+len(payloadType)+48)
	out = append(out, "DSSEv1 "...)
	out = strconv.AppendInt(out, int64(len(payloadType)), 10)
	out = append(append(append(out, ' '), payloadType...), ' ')
	out = strconv.AppendInt(out, int64(len(payload)), 10)
	out = append(out, ' ')
	return append(out, payload...)
}

// SignEnvelope signs payload and gives the envelope in its one encoding.
func SignEnvelope(ctx context.Context, s Signer, payloadType string, payload []byte) ([]byte, error) {
	sig, err := s.Sign(ctx, PAE(payloadType, payload))
	if err != nil {
		return nil, fmt.Errorf("sign envelope: %w", err)
	}
	return EncodeEnvelope(payloadType, payload, s.KeyID(), sig)
}

// EncodeEnvelope writes the envelope of a signature made earlier over
// PAE(payloadType, payload). It is RFC 8785 JSON:
//
//	{"payload":B64,"payloadType":T,"signatures":[{"keyid":ID,"sig":B64}]}
func EncodeEnvelope(payloadType string, payload []byte, keyID string, sig []byte) ([]byte, error) {
	if _, err := keyHash(keyID); err != nil {
		return nil, fmt.Errorf("encode envelope: %w", err)
	}
	env := envelope{payload: payload, payloadType: payloadType, keyID: keyID, sig: sig}
	out, err := env.encode()
	if err != nil {
		return nil, fmt.Errorf("encode envelope: %w", err)
	}
	return out, nil
}

// OpenEnvelope verifies an envelope against the keys the caller trusts and
// only then gives its payload, and the id of the key that signed it. The
// envelope must carry exactly one signature, name its key, and be byte for
// byte what EncodeEnvelope writes.
func OpenEnvelope(text []byte, payloadType string, keys []Verifier) (payload []byte, keyID string, err error) {
	payload, keyID, err = openEnvelope(text, payloadType, keys)
	if err != nil {
		return nil, "", fmt.Errorf("open envelope: %w", err)
	}
	return payload, keyID, nil
}

func openEnvelope(text []byte, payloadType string, keys []Verifier) ([]byte, string, error) {
	env, err := readEnvelope(text)
	if err != nil {
		return nil, "", err
	}
	return env.verify(payloadType, env.keyID, keys)
}

// readEnvelope reads an envelope in its one encoding, which names its key.
func readEnvelope(text []byte) (envelope, error) {
	if len(text) > MaxEnvelope {
		return envelope{}, fmt.Errorf("%w: more than %d bytes", ErrEncoding, MaxEnvelope)
	}
	s := &scanner{rest: text}
	env := scanEnvelope(s)
	s.end()
	if s.err != nil {
		return envelope{}, s.err
	}
	again, err := env.encode()
	if err != nil {
		return envelope{}, err
	}
	if !bytes.Equal(again, text) {
		return envelope{}, fmt.Errorf("%w: the envelope written again differs", ErrEncoding)
	}
	if _, err := keyHash(env.keyID); err != nil {
		return envelope{}, err
	}
	return env, nil
}

// verify checks type, key and signature, in that order, and gives the payload.
func (e envelope) verify(payloadType, keyID string, keys []Verifier) ([]byte, string, error) {
	if e.payloadType != payloadType {
		return nil, "", fmt.Errorf("%w: %q, want %q", ErrPayloadType, e.payloadType, payloadType)
	}
	key, err := trusted(keys, keyID)
	if err != nil {
		return nil, "", err
	}
	if err := key.Verify(PAE(e.payloadType, e.payload), e.sig); err != nil {
		return nil, "", fmt.Errorf("key %s: %w", keyID, err)
	}
	return e.payload, keyID, nil
}

func (e envelope) encode() ([]byte, error) {
	if err := checkPayloadType(e.payloadType); err != nil {
		return nil, err
	}
	b64 := base64.StdEncoding
	size := b64.EncodedLen(len(e.payload)) + b64.EncodedLen(len(e.sig)) + len(e.payloadType) + len(e.keyID) + 80
	out := make([]byte, 0, size)
	out = append(out, `{"payload":"`...)
	out = b64.AppendEncode(out, e.payload)
	out = append(out, `","payloadType":"`...)
	out = append(out, e.payloadType...)
	out = append(out, `","signatures":[{"keyid":"`...)
	out = append(out, e.keyID...)
	out = append(out, `","sig":"`...)
	out = b64.AppendEncode(out, e.sig)
	out = append(out, `"}]}`...)
	if len(out) > MaxEnvelope {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrEncoding, len(out), MaxEnvelope)
	}
	return out, nil
}

// scanEnvelope reads what encode writes.
func scanEnvelope(s *scanner) envelope {
	var e envelope
	s.literal(`{"payload":"`)
	e.payload = s.base64("payload")
	s.literal(`","payloadType":"`)
	e.payloadType = s.value("payloadType")
	s.literal(`","signatures":[{"keyid":"`)
	e.keyID = s.value("keyid")
	s.literal(`","sig":"`)
	e.sig = s.base64("sig")
	s.literal(`"}]}`)
	return e
}

// checkPayloadType allows the characters of a media type or URI that JSON
// never escapes, so that a type has one spelling.
func checkPayloadType(t string) error {
	if t == "" || len(t) > maxPayloadType {
		return fmt.Errorf("%w: payload type of %d characters", ErrEncoding, len(t))
	}
	for i := 0; i < len(t); i++ {
		c := t[i]
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' {
			return fmt.Errorf("%w: payload type has the byte 0x%02x", ErrEncoding, c)
		}
	}
	return nil
}

// ReadEnvelope gives the payload of an envelope, and the key that it names, without
// looking at the signature. It is for bytes that somebody who is trusted has vouched
// for by their digest; the envelope must be byte for byte what EncodeEnvelope writes.
func ReadEnvelope(text []byte, payloadType string) (payload []byte, keyID string, err error) {
	env, err := readEnvelope(text)
	if err == nil && env.payloadType != payloadType {
		err = fmt.Errorf("%w: %q, want %q", ErrPayloadType, env.payloadType, payloadType)
	}
	if err != nil {
		return nil, "", fmt.Errorf("read envelope: %w", err)
	}
	return env.payload, env.keyID, nil
}
