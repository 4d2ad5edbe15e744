package orchestrator

import (
	"encoding/base64"
	"fmt"
	"reflect"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/signing"
)

// Verify checks the signatures of a record that Check has passed, against the keys
// that this installation trusts; a record without signatures has none that is wrong.
// Each of them must be a good Ed25519 signature by another trusted key: one that is
// not refuses the record. What is signed is kept byte for byte, so it must be in
// the form in which records are kept. Its error is a *FieldError.
func (r Record) Verify(tenant string, keys []signing.Verifier) error {
	if len(r.Signatures) == 0 {
		return nil
	}
	if !reflect.DeepEqual(r, r.Normal(tenant)) {
		return wrong("signatures", "a signed record must say tenantId and idempotencyKey and have its digests in lower case: it is kept as it was signed")
	}
	payload, err := r.Payload()
	if err != nil {
		return wrong("signatures", "the record cannot be encoded")
	}
	message := signing.PAE(PayloadType, payload)
	used := map[string]bool{}
	for i, s := range r.Signatures {
		field := fmt.Sprintf("signatures[%d]", i)
		if used[s.KeyID] {
			return wrong(field, "the key has signed already")
		}
		used[s.KeyID] = true
		key := trusted(keys, s.KeyID)
		if key == nil {
			return wrong(field+".keyId", "is no key that this installation trusts for orchestrators")
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(s.Signature)
		if err != nil || base64.StdEncoding.EncodeToString(raw) != s.Signature {
			return wrong(field+".signature", "must be base64 (RFC 4648 section 4)")
		}
		if err := key.Verify(message, raw); err != nil {
			return wrong(field+".signature", "is not a signature by this key over the canonical record without signatures, as %s", PayloadType)
		}
	}
	return nil
}

// trusted finds an Ed25519 key among those that are trusted.
func trusted(keys []signing.Verifier, id string) signing.Verifier {
	for _, key := range keys {
		if key.KeyID() == id && key.Algorithm() == signing.Ed25519 {
			return key
		}
	}
	return nil
}

// DSSEDigest is SHA-256 of the DSSE envelope of a signed record in canonical JSON,
// as sha256:<hex>; "" without signatures.
func (r Record) DSSEDigest() (string, error) {
	if len(r.Signatures) == 0 {
		return "", nil
	}
	payload, err := r.Payload()
	if err != nil {
		return "", err
	}
	type signature struct {
		KeyID string `json:"keyid"`
		Sig   string `json:"sig"`
	}
	envelope := struct {
		Payload     string      `json:"payload"`
		PayloadType string      `json:"payloadType"`
		Signatures  []signature `json:"signatures"`
	}{base64.StdEncoding.EncodeToString(payload), PayloadType, nil}
	for _, s := range r.Signatures {
		envelope.Signatures = append(envelope.Signatures, signature{s.KeyID, s.Signature})
	}
	raw, err := bundle.MarshalCanonical(envelope)
	if err != nil {
		return "", fmt.Errorf("encode envelope: %w", err)
	}
	return bundle.DigestOf(raw).String(), nil
}
