package orchestrator

import "reflect"

// Verdict is what becomes of a record that comes under a key.
type Verdict string

// Verdicts.
const (
	Created   Verdict = "created"   // nobody had the key
	Advanced  Verdict = "advanced"  // the export has gone on
	Duplicate Verdict = "duplicate" // it is the stored record
	Mismatch  Verdict = "mismatch"  // it contradicts the stored record
)

// Follow says what next is to stored, which is under the same key; both are in
// their normal form. An export goes on from pending to running to one end. With
// that, things may be said that were not said before, and the signatures are over
// another text; nothing that was said changes.
func Follow(stored, next Record) Verdict {
	if reflect.DeepEqual(stored, next) {
		return Duplicate
	}
	if !stored.Status.follows(next.Status) {
		return Mismatch
	}
	before, after := stored.said(), next.said()
	for name, text := range before {
		if text != "" && after[name] != text {
			return Mismatch
		}
	}
	return Advanced
}

// said are the members that never change once they are said.
func (r Record) said() map[string]string {
	return map[string]string{
		"runId": r.RunID, "jobType": r.JobType, "artifactHash": r.ArtifactHash, "policyHash": r.PolicyHash,
		"startedAt": r.StartedAt, "completedAt": r.CompletedAt, "manifestPath": r.ManifestPath, "logsPath": r.LogsPath,
		"tenantId": r.TenantID, "environment": r.Environment, "idempotencyKey": r.IdempotencyKey,
		"bundleId": r.BundleID, "scanId": r.ScanID,
	}
}
