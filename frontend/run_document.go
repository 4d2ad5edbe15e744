package frontend

import (
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// runDocument is a run as clients see it.
func runDocument(run export.Run) Run {
	path := runPath(run.ID)
	doc := Run{
		RunID: run.ID, Project: projectClaim(run.Project), Status: RunStatus(run.State),
		Profile: ProfileRef{ID: run.ProfileID, Revision: run.ProfileRevision, Name: run.ProfileName,
			Kind: run.Kind, Variant: run.Variant},
		Selectors: selectorsDocument(run.Selectors),
		Options: RunOptions{AllowEmpty: run.Options.AllowEmpty, Redaction: redactionDocument(run.Options.Redaction),
			SchemaVersion: run.Options.SchemaVersion, PolicySnapshotID: run.Options.PolicySnapshotID,
			PolicyEngine: RunOptionsPolicyEngine(run.Options.PolicyEngine), AsOf: asOfDocument(run),
			BaseRunID: run.Options.BaseRunID, TargetRunID: run.Options.TargetRunID,
			MirrorRunID: run.Options.MirrorRunID},
		Labels: Labels{}, RequestedBy: run.RequestedBy,
		AsOf: run.AsOf, RequestedAt: run.RequestedAt.UTC(), StartedAt: run.StartedAt, CompletedAt: run.CompletedAt,
		Progress:       progressDocument(run.Progress),
		ManifestDigest: run.Result.ManifestDigest, PayloadDigest: run.Result.PayloadDigest,
		RerunHash: run.Result.RerunHash, ArchiveDigest: run.Result.ArchiveDigest,
		ArchiveBytes: run.Result.ArchiveBytes, Signatures: []Signature{},
		Links: Links{Self: path, Plan: path + "/plan", Events: path + "/events", Cancel: path + "/cancel", Download: path + "/download",
			Manifest: path + "/manifest", Provenance: path + "/provenance"},
	}
	for key, value := range run.Labels {
		doc.Labels[key] = value
	}
	for _, signature := range run.Result.Signatures {
		doc.Signatures = append(doc.Signatures, signatureDocument(signature))
	}
	doc.RebuildOf, doc.Rebuilt = run.RebuildOf, rebuildDocument(run.Rebuilt)
	doc.Encryption = encryptionDocument(run)
	addEnd(&doc, run)
	return doc
}

// addEnd adds what only an ended or ending run has.
func addEnd(doc *Run, run export.Run) {
	if !run.StartedAt.IsZero() {
		doc.StartedAt = run.StartedAt.UTC()
	}
	if !run.CompletedAt.IsZero() {
		doc.CompletedAt = run.CompletedAt.UTC()
	}
	if f := run.Failure; f != nil {
		doc.Error = &RunError{Code: string(f.Code), Message: f.Message, Phase: string(f.Phase)}
	}
	doc.Wait = waitDocument(run.Wait)
	if c := run.Cancel; c != nil {
		doc.Cancellation = &Cancellation{By: c.By, Reason: c.Reason, At: c.At.UTC()}
	}
}

func progressDocument(p export.Progress) Progress {
	return Progress{Shards: p.Shards, ShardsDone: p.ShardsDone, Records: p.Records, RecordsDone: p.RecordsDone,
		Bytes: p.Bytes, BytesDone: p.BytesDone}
}

func signatureDocument(s export.SignatureRef) Signature {
	return Signature{ID: s.ID, Artifact: s.Artifact, Path: s.Path, KeyID: s.KeyID, Algorithm: s.Algorithm, Verify: s.Verify}
}

func runPath(id string) string { return "/api/export/runs/" + id }

// projectClaim writes a project as tokens do: "" where stores write "_".
func projectClaim(project string) string {
	if project == ledger.NoProject {
		return ""
	}
	return project
}

// encryptionDocument is how a run's bundle leaves encrypted, nil when it does not.
func encryptionDocument(run export.Run) *RunEncryption {
	if run.Encryption == nil {
		return nil
	}
	doc := &RunEncryption{Mode: RunEncryptionMode(run.Encryption.Mode), Recipients: run.Encryption.RecipientKeys, Strict: run.Encryption.Strict}
	if e := run.Result.Encrypted; e != nil {
		doc.Encrypted, doc.Recipients, doc.PlainDigest, doc.PlainBytes = true, e.Recipients, e.PlainDigest, e.PlainBytes
		for _, o := range e.Omitted {
			doc.Omitted = append(doc.Omitted, OmittedRecipient{Recipient: o.Recipient, Reason: o.Reason})
		}
	}
	return doc
}
