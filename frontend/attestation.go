package frontend

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

// GetAttestation gives the signed statements about a run's archive.
func (h handlers) GetAttestation(ctx context.Context, req GetAttestationRequestObject) (GetAttestationResponseObject, error) {
	list, err := h.attestations(ctx, req.ID)
	return GetAttestation200JSONResponse(list), err
}

// GetExportAttestation is GetAttestation under its other path.
func (h handlers) GetExportAttestation(ctx context.Context, req GetExportAttestationRequestObject) (GetExportAttestationResponseObject, error) {
	list, err := h.attestations(ctx, req.ID)
	return GetExportAttestation200JSONResponse(list), err
}

func (s *Server) attestations(ctx context.Context, id string) (AttestationList, error) {
	run, err := s.finishedRun(ctx, id)
	if err != nil {
		return AttestationList{}, err
	}
	stored, err := s.cfg.Runs.Attestations(ctx, run.Ref())
	if err != nil {
		return AttestationList{}, fmt.Errorf("attestations of run %s: %w", run.ID, err)
	}
	list := AttestationList{RunID: run.ID, ArchiveDigest: run.Result.ArchiveDigest, Attestations: []Attestation{}}
	for _, signature := range stored {
		attestation, about, err := attestationDocument(signature)
		if err != nil {
			return list, fmt.Errorf("attestation of run %s: %w", run.ID, err)
		}
		if about == run.Result.ArchiveDigest {
			list.Attestations = append(list.Attestations, attestation)
		}
	}
	if len(list.Attestations) == 0 {
		return list, export.Errorf(export.CodeStateConflict,
			"the archive of this run was made by a version that attested none; its manifest, provenance and seal are signed, and a new run is attested")
	}
	return list, nil
}

// attestationDocument gives an attestation as clients see it, and the digest of the
// archive it is about. What is stored was signed by us; whether it is believed is
// the client's question, and the envelope is all it needs.
func attestationDocument(stored storage.StoredSignature) (Attestation, string, error) {
	statement, err := bundle.ParseAttestation(stored.Statement)
	if err != nil {
		return Attestation{}, "", err
	}
	text, err := signing.EncodeEnvelope(bundle.StatementPayloadType, stored.Statement, stored.KeyID, stored.Signature)
	if err != nil {
		return Attestation{}, "", err
	}
	doc := Attestation{PredicateType: statement.PredicateType, KeyID: stored.KeyID, Algorithm: stored.Algorithm}
	for _, subject := range statement.Subject {
		doc.Subject = append(doc.Subject, AttestationSubject{Name: subject.Name, Digest: map[string]string{"sha256": subject.Digest.SHA256}})
	}
	if err := json.Unmarshal(text, &doc.Envelope); err != nil {
		return Attestation{}, "", fmt.Errorf("decode envelope: %w", err)
	}
	return doc, "sha256:" + statement.Subject[0].Digest.SHA256, nil
}
