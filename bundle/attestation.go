package bundle

import (
	"fmt"
)

// ArchivePredicate is the predicate type of the statement about a whole archive.
const ArchivePredicate = "https://stellaops.io/export-center/attestation/archive/v1"

// Attestation is an in-toto Statement v1 about an archive: which run made these
// bytes, and what they hold. It cannot be inside the archive, whose digest it has.
type Attestation struct {
	Type          string           `json:"_type"`
	Subject       []Resource       `json:"subject"` // the archive
	PredicateType string           `json:"predicateType"`
	Predicate     ArchiveStatement `json:"predicate"`
}

// ArchiveStatement says what an archive is.
type ArchiveStatement struct {
	RunID       string  `json:"runId"`
	Tenant      string  `json:"tenant"`
	Project     string  `json:"project,omitempty"`
	Profile     Profile `json:"profile"`
	GeneratedAt string  `json:"generatedAt"` // when the run was requested
	MediaType   string  `json:"mediaType"`
	Bytes       int64   `json:"bytes"` // length of the archive
	// Digests of what is in it: the signed manifest, the signed provenance, and the
	// payload as the manifest defines it.
	ManifestDigest   Digest `json:"manifestDigest"`
	ProvenanceDigest Digest `json:"provenanceDigest"`
	PayloadDigest    Digest `json:"payloadDigest"`
}

// NewAttestation makes the statement about manifest m's archive, which has digest
// and length.
func NewAttestation(m Manifest, manifest, provenance, archive Digest, bytes int64) Attestation {
	return Attestation{
		Type:          StatementType,
		Subject:       []Resource{{"export-" + m.RunID + ".tar", ResourceDigest{archive.Hex()}}},
		PredicateType: ArchivePredicate,
		Predicate: ArchiveStatement{RunID: m.RunID, Tenant: m.Tenant, Project: m.Project, Profile: m.Profile,
			GeneratedAt: m.GeneratedAt, MediaType: ArchiveContentType, Bytes: bytes,
			ManifestDigest: manifest, ProvenanceDigest: provenance, PayloadDigest: m.PayloadDigest},
	}
}

// Encode gives the DSSE payload, in RFC 8785 form.
func (a Attestation) Encode() ([]byte, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("attestation: %w", err)
	}
	return MarshalCanonical(a)
}

func (a Attestation) check() error {
	p := a.Predicate
	switch {
	case a.Type != StatementType:
		return fmt.Errorf("_type: %.100q is not %s", a.Type, StatementType)
	case a.PredicateType != ArchivePredicate:
		return fmt.Errorf("predicateType: %.100q is not %s", a.PredicateType, ArchivePredicate)
	case !runIDForm.MatchString(p.RunID):
		return fmt.Errorf("predicate.runId: %.100q is not a run id", p.RunID)
	case !tenantForm.MatchString(p.Tenant):
		return fmt.Errorf("predicate.tenant: %.100q is not a tenant", p.Tenant)
	case p.MediaType != ArchiveContentType || p.Bytes < TrailerSize || p.Bytes%BlockSize != 0:
		return fmt.Errorf("predicate: %d bytes of %.100q are no archive", p.Bytes, p.MediaType)
	case p.ManifestDigest.IsZero() || p.ProvenanceDigest.IsZero() || p.PayloadDigest.IsZero():
		return fmt.Errorf("predicate: a digest was never set")
	case len(a.Subject) != 1 || a.Subject[0].Name != "export-"+p.RunID+".tar":
		return fmt.Errorf("subject: is not the archive of run %s", p.RunID)
	}
	if _, err := ParseDigest("sha256:" + a.Subject[0].Digest.SHA256); err != nil {
		return fmt.Errorf("subject: %w", err)
	}
	return nil
}

// ParseAttestation reads what Encode writes, and nothing else.
func ParseAttestation(payload []byte) (Attestation, error) {
	var a Attestation
	if err := parseExact("attestation", payload, &a, Attestation.Encode); err != nil {
		return Attestation{}, err
	}
	return a, nil
}
