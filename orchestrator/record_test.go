package orchestrator_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/orchestrator"
	"github.com/stella-ops/exportcenter/signing"
)

const (
	runID = "0192f3c4-5d6e-7f80-9a1b-2c3d4e5f6071"
	hash  = "sha256:486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7"
)

// Vectors of docs/orchestrator-exports.md, computed elsewhere.
const (
	keyVector  = "sha256:a0963bcf3f7215cf30530f448071fc9abdb54cefd3d36a25f3aeee207457b24e"
	dsseVector = "sha256:e1fea8bac67e6a2b3426709e14d1140105634fabf4939dedfaddea6459203cf7"
)

// good is a record with every field.
func good() orchestrator.Record {
	return orchestrator.Record{RunID: runID, JobType: "export.json.raw", ArtifactHash: hash, PolicyHash: hash,
		StartedAt: "2026-11-21T08:00:00Z", CompletedAt: "2026-11-21T08:00:04.5Z", Status: orchestrator.StatusSucceeded,
		ManifestPath: "cas://sha256/" + strings.TrimPrefix(hash, "sha256:"), LogsPath: "cas://logs/run-1/log.ndjson", TenantID: "acme",
		Environment: "prod", IdempotencyKey: orchestrator.Key(runID, hash, "acme"), BundleID: "b", ScanID: "s"}
}

// The vector of docs/orchestrator-exports.md.
func TestKey(t *testing.T) {
	require.Equal(t, keyVector, orchestrator.Key(runID, hash, "acme"))
	require.NotEqual(t, orchestrator.Key(runID, hash, "acme"), orchestrator.Key(runID, hash, "globex"))
}

func TestCheckNamesTheField(t *testing.T) {
	require.NoError(t, good().Check("acme"))
	least := orchestrator.Record{RunID: runID, ArtifactHash: "sha256:" + strings.ToUpper(hash[7:]), StartedAt: "2026-11-21T08:00:00Z", Status: "running"}
	require.NoError(t, least.Check("acme"), "what is required, and upper case")
	least.IdempotencyKey = orchestrator.Key(runID, least.ArtifactHash, "acme")
	require.NoError(t, least.Check("acme"), "the rule applied to the hash as it is written")
	least.IdempotencyKey = orchestrator.Key(runID, hash, "acme")
	require.NoError(t, least.Check("acme"), "and in lower case")
	type record = orchestrator.Record
	for name, spoil := range map[string]func(*record){
		"runId": func(r *record) { r.RunID = strings.ToUpper(runID) }, "runId 2": func(r *record) { r.RunID = "" },
		"artifactHash": func(r *record) { r.ArtifactHash = hash[7:] }, "artifactHash 2": func(r *record) { r.ArtifactHash = "" },
		"artifactHash 3": func(r *record) { r.ArtifactHash = hash + "0" }, "artifactHash 4": func(r *record) { r.ArtifactHash = "SHA256:" + hash[7:] },
		"policyHash": func(r *record) { r.PolicyHash = "sha256:x" },
		"startedAt":  func(r *record) { r.StartedAt = "" }, "startedAt 2": func(r *record) { r.StartedAt = "2026-11-21T09:00:00+01:00" },
		"startedAt 3": func(r *record) { r.StartedAt = "2026-11-21 08:00:00Z" }, "startedAt 4": func(r *record) { r.StartedAt = "2026-11-21T08:00:00." + strings.Repeat("1", 30) + "Z" },
		"startedAt 5": func(r *record) { r.StartedAt = "0001-01-01T00:00:00Z" }, "startedAt 6": func(r *record) { r.StartedAt = "2026-02-30T00:00:00Z" },
		"completedAt": func(r *record) { r.CompletedAt = "2026-11-21T07:59:59Z" }, "completedAt 2": func(r *record) { r.CompletedAt = "" },
		"completedAt 3": func(r *record) { r.Status = orchestrator.StatusRunning },
		"status":        func(r *record) { r.Status = "aborted" }, "status 2": func(r *record) { r.Status = "" },
		"manifestPath": func(r *record) { r.ManifestPath = "https://example.org/x" }, "manifestPath 2": func(r *record) { r.ManifestPath = "cas://../x" },
		"manifestPath 3": func(r *record) { r.ManifestPath = "cas://a//b" }, "manifestPath 4": func(r *record) { r.ManifestPath = "cas://a/b?c=d" },
		"manifestPath 5": func(r *record) { r.ManifestPath = "cas://user@host/a" }, "manifestPath 6": func(r *record) { r.ManifestPath = "cas://sha256/" + hash },
		"manifestPath 7": func(r *record) { r.ManifestPath = "cas:///etc/passwd" }, "manifestPath 8": func(r *record) { r.ManifestPath = "cas://a%2f..%2fb" },
		"manifestPath 9": func(r *record) { r.ManifestPath = "CAS://a" }, "logsPath": func(r *record) { r.LogsPath = "cas://" + strings.Repeat("a", 600) },
		"logsPath 2": func(r *record) { r.LogsPath = "file:///var/log" }, "logsPath 3": func(r *record) { r.LogsPath = "cas://a/./b" },
		"logsPath 4": func(r *record) { r.LogsPath = "cas://a\\b" }, "logsPath 5": func(r *record) { r.LogsPath = "cas://" },
		"tenantId": func(r *record) { r.TenantID = "globex" }, "environment": func(r *record) { r.Environment = "test" },
		"idempotencyKey": func(r *record) { r.IdempotencyKey = orchestrator.Key(runID, hash, "globex") },
		"bundleId":       func(r *record) { r.BundleID = strings.Repeat("b", 129) }, "scanId": func(r *record) { r.ScanID = "a\x00" },
		"jobType":            func(r *record) { r.JobType = "a\nb" },
		"signatures":         func(r *record) { r.Signatures = make([]orchestrator.Signature, 9) },
		"signatures[0].type": func(r *record) { r.Signatures = []orchestrator.Signature{{Type: "jws"}} },
	} {
		r := good()
		spoil(&r)
		var field *orchestrator.FieldError
		require.ErrorAs(t, r.Check("acme"), &field, name)
		want, _, _ := strings.Cut(name, " ")
		require.Equal(t, want, field.Field, name)
	}
}

// signed signs a record with keys.
func signed(t *testing.T, r orchestrator.Record, keys ...signing.Signer) orchestrator.Record {
	t.Helper()
	payload, err := r.Payload()
	require.NoError(t, err)
	for _, key := range keys {
		sig, err := key.Sign(t.Context(), signing.PAE(orchestrator.PayloadType, payload))
		require.NoError(t, err)
		r.Signatures = append(r.Signatures, orchestrator.Signature{Type: "dsse", KeyID: key.KeyID(), Signature: base64.StdEncoding.EncodeToString(sig)})
	}
	return r
}

func TestVerify(t *testing.T) {
	one, two := bundletest.Key(t, 1, signing.Ed25519), bundletest.Key(t, 2, signing.Ed25519)
	ecdsa := bundletest.Key(t, 3)
	trust := []signing.Verifier{bundletest.Verifier(t, one), bundletest.Verifier(t, two), bundletest.Verifier(t, ecdsa)}
	require.NoError(t, good().Verify("acme", nil), "unsigned")
	require.NoError(t, signed(t, good(), one).Verify("acme", trust))
	require.NoError(t, signed(t, good(), one, two).Verify("acme", trust))
	digest, err := signed(t, good(), one).DSSEDigest()
	require.NoError(t, err)
	require.Equal(t, dsseVector, digest)

	upper := good()
	upper.ArtifactHash, upper.IdempotencyKey = "sha256:"+strings.ToUpper(hash[7:]), ""
	bare := good()
	bare.TenantID, bare.IdempotencyKey = "", ""
	for name, r := range map[string]orchestrator.Record{
		"stranger":        signed(t, good(), bundletest.Key(t, 9, signing.Ed25519)),
		"not Ed25519":     signed(t, good(), ecdsa),
		"one of two":      tampered(signed(t, good(), one, two), 1),
		"same key twice":  signed(t, good(), one, one),
		"not normal":      signed(t, upper, one),
		"says no tenant":  signed(t, bare, one),
		"empty signature": {RunID: runID, Signatures: []orchestrator.Signature{{Type: "dsse", KeyID: one.KeyID()}}},
	} {
		var field *orchestrator.FieldError
		require.ErrorAs(t, r.Verify("acme", trust), &field, name)
		require.True(t, strings.HasPrefix(field.Field, "signatures"), name)
	}
	require.Error(t, signed(t, good(), one).Verify("acme", nil), "no key is trusted: nothing signed is believed")

	// Every member is covered, and every bit of the signature.
	r := signed(t, good(), one)
	for name, change := range map[string]func(*orchestrator.Record){
		"status": func(r *orchestrator.Record) { r.Status = orchestrator.StatusFailed }, "job": func(r *orchestrator.Record) { r.JobType += "x" },
		"logs": func(r *orchestrator.Record) { r.LogsPath = "" }, "scan": func(r *orchestrator.Record) { r.ScanID = "t" },
		"completed": func(r *orchestrator.Record) { r.CompletedAt = "2026-11-21T08:00:05Z" },
	} {
		other := r
		change(&other)
		require.Error(t, other.Verify("acme", trust), name)
	}
	raw, err := base64.StdEncoding.DecodeString(r.Signatures[0].Signature)
	require.NoError(t, err)
	for bit := range len(raw) * 8 {
		flipped := append([]byte(nil), raw...)
		flipped[bit/8] ^= 1 << (bit % 8)
		r.Signatures[0].Signature = base64.StdEncoding.EncodeToString(flipped)
		require.Error(t, r.Verify("acme", trust), "bit %d", bit)
	}
	for _, spelling := range []string{strings.TrimRight(base64.StdEncoding.EncodeToString(raw), "="), base64.StdEncoding.EncodeToString(raw) + "\n", base64.URLEncoding.EncodeToString(raw) + " "} {
		r.Signatures[0].Signature = spelling
		require.Error(t, r.Verify("acme", trust), "%q", spelling)
	}
}

func tampered(r orchestrator.Record, n int) orchestrator.Record {
	r.Signatures[n].Signature = r.Signatures[0].Signature
	return r
}

func TestFollow(t *testing.T) {
	at := func(s orchestrator.Status) orchestrator.Record {
		r := good()
		if r.Status = s; !s.Ended() {
			r.CompletedAt = ""
		}
		return r
	}
	statuses := []orchestrator.Status{"pending", "running", "succeeded", "failed", "canceled"}
	allowed := map[string]bool{"pending running": true, "running succeeded": true, "running failed": true, "running canceled": true}
	for _, from := range statuses {
		for _, to := range statuses {
			want := orchestrator.Mismatch
			switch {
			case from == to:
				want = orchestrator.Duplicate
			case allowed[fmt.Sprint(from, " ", to)]:
				want = orchestrator.Advanced
			}
			require.Equal(t, want, orchestrator.Follow(at(from), at(to)), "%s to %s", from, to)
		}
	}
	// What was not said may be said with the next status; what was said stays.
	less := at("running")
	less.LogsPath, less.ManifestPath, less.BundleID = "", "", ""
	require.Equal(t, orchestrator.Advanced, orchestrator.Follow(less, at("succeeded")))
	other := at("succeeded")
	other.StartedAt = "2026-11-21T08:00:01Z"
	require.Equal(t, orchestrator.Mismatch, orchestrator.Follow(at("running"), other))
	silent := at("succeeded")
	silent.JobType = ""
	require.Equal(t, orchestrator.Mismatch, orchestrator.Follow(at("running"), silent))
	require.Equal(t, orchestrator.Mismatch, orchestrator.Follow(less, at("running")), "and not without one")
}

func TestEvents(t *testing.T) {
	at := time.Date(2026, 11, 21, 8, 0, 5, 0, time.UTC)
	created, err := orchestrator.Events(good(), orchestrator.Created, "_", at)
	require.NoError(t, err)
	require.Len(t, created, 2)
	require.Equal(t, "orchestrator.export.created", created[0].EventType)
	require.Equal(t, good(), created[0].Payload)
	require.Equal(t, "ledger_export", created[1].EventType)
	again, err := orchestrator.Events(good(), orchestrator.Created, "_", at.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, created[1].EventID, again[1].EventID, "the id follows from the record")
	advanced, err := orchestrator.Events(good(), orchestrator.Advanced, "_", at)
	require.NoError(t, err)
	require.Len(t, advanced, 1)
	ids := map[string]bool{}
	for _, project := range []string{"_", "core"} {
		for _, status := range []orchestrator.Status{"running", "succeeded"} {
			r := good()
			r.Status = status
			events, err := orchestrator.Events(r, orchestrator.Created, project, at)
			require.NoError(t, err)
			for _, e := range events {
				ids[e.EventID] = true
			}
		}
	}
	require.Len(t, ids, 8)
	text, err := advanced[0].Encode()
	require.NoError(t, err)
	require.Contains(t, string(text), `"idempotencyKey":"`+keyVector+`"`)
}
