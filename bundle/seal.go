package bundle

import (
	"fmt"
)

// SealSchema is what a seal calls its own form.
const SealSchema = "https://stellaops.io/export-center/seal/v1"

// Seal is the payload of the last entry: it fixes every byte of the archive
// before that entry's header. The entry is its DSSE envelope; what follows the
// entry - zero padding and two zero blocks - is fixed by the format. So no byte
// of an archive is free.
type Seal struct {
	Schema string `json:"schema"`
	RunID  string `json:"runId"`
	Tenant string `json:"tenant"`
	// Digest and Bytes are of the archive before the header of the seal's entry.
	Digest Digest `json:"digest"`
	Bytes  int64  `json:"bytes"`
}

// NewSeal makes the seal of manifest m's archive, whose first bytes have digest.
func NewSeal(m Manifest, digest Digest, bytes int64) Seal {
	return Seal{Schema: SealSchema, RunID: m.RunID, Tenant: m.Tenant, Digest: digest, Bytes: bytes}
}

// Encode gives the DSSE payload, in RFC 8785 form.
func (s Seal) Encode() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", SealPath, err)
	}
	return MarshalCanonical(s)
}

func (s Seal) check() error {
	switch {
	case s.Schema != SealSchema && s.Schema != OuterSealSchema:
		return fmt.Errorf("schema: %.100q is not %s", s.Schema, SealSchema)
	case !runIDForm.MatchString(s.RunID):
		return fmt.Errorf("runId: %.100q is not a run id", s.RunID)
	case !tenantForm.MatchString(s.Tenant):
		return fmt.Errorf("tenant: %.100q is not a tenant", s.Tenant)
	case s.Bytes < BlockSize || s.Bytes%BlockSize != 0:
		return fmt.Errorf("bytes: %d is not a number of whole blocks", s.Bytes)
	case s.Digest.IsZero():
		return fmt.Errorf("digest: was never set")
	}
	return nil
}

// NewOuterSeal makes the seal around an encrypted bundle, whose first bytes have
// digest.
func NewOuterSeal(e Encryption, digest Digest, bytes int64) Seal {
	return Seal{Schema: OuterSealSchema, RunID: e.RunID, Tenant: e.Tenant, Digest: digest, Bytes: bytes}
}

// ParseSeal reads what Encode writes of a plain archive's seal, and nothing else.
func ParseSeal(payload []byte) (Seal, error) { return parseSeal(SealPath, SealSchema, payload) }

// ParseOuterSeal reads the seal around an encrypted bundle.
func ParseOuterSeal(payload []byte) (Seal, error) {
	return parseSeal(OuterSealPath, OuterSealSchema, payload)
}

// parseSeal reads a seal of one of the two schemas.
func parseSeal(path, schema string, payload []byte) (Seal, error) {
	var s Seal
	if err := parseExact(path, payload, &s, Seal.Encode); err != nil {
		return Seal{}, err
	}
	if s.Schema != schema {
		return Seal{}, fmt.Errorf("%s: schema: %.100q is not %s", path, s.Schema, schema)
	}
	return s, nil
}
