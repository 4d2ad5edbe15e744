package bundle

import (
	"fmt"
	"regexp"
	"strings"
)

// Directories of payload: everything PayloadDigest covers is in one of them.
const (
	policyDir = PayloadDir + "policy/"
	// TrivyDir holds databases for Trivy.
	TrivyDir = "trivy/"
)

// Payload files with a path of their own.
const (
	// PolicySnapshotPath says by which policy the decisions were made.
	PolicySnapshotPath = policyDir + "snapshot.json"
	// PolicyPackPath is the policy pack, byte for byte as it was imported.
	PolicyPackPath = policyDir + "pack.tar.gz"
	TrivyDBPath    = TrivyDir + "db.tar.gz"
	TrivyJavaPath  = TrivyDir + "javadb.tar.gz"
	// TrivySummaryPath counts what is in the databases beside it.
	TrivySummaryPath = TrivyDir + "summary.json"
	// PolicyDocumentPath says which policy snapshot the pack of a mirror is.
	PolicyDocumentPath = policyDir + "policy.json"
	// DeltaPath says between which mirrors a delta lies (Delta).
	DeltaPath = PayloadDir + "delta.json"
)

// IndexesDir holds what lists a mirror's evidence.
const IndexesDir = "indexes/"

const (
	removedDir = PayloadDir + "removed/"
	resultDir  = PayloadDir + "result/"
	// originalsCounted and resultCounted are the names under which their records are counted.
	originalsCounted = "originals"
	resultCounted    = "result-documents"
)

// Form is how the content of a payload file lies in its stored bytes.
type Form int

// The forms.
const (
	// FormLines is JSON lines in one zstd frame; content is the lines.
	FormLines Form = iota
	// FormStored is content as it is.
	FormStored
	// FormLayer is a database and its metadata.json in a tar archive, compressed
	// with gzip: what Trivy takes as an OCI layer. Content is the database.
	FormLayer
)

// payloadKind is what a payload file's path says of it.
type payloadKind struct {
	// counted is the name under which its records are counted.
	counted     string
	form        Form
	contentType string
	// tenant and project whose evidence it holds; "" = the bundle's own.
	tenant, project string
	// mirrored: it is in mirrors only; tombstones: its lines are of removed documents.
	mirrored, tombstones bool
}

// fixedPayload are the payload files with a path of their own. Media types of
// layers are those that Trivy insists on (trivy pkg/db and pkg/javadb).
var fixedPayload = map[string]payloadKind{
	PolicySnapshotPath: {counted: "policy-snapshots", form: FormStored, contentType: "application/json"},
	PolicyPackPath:     {counted: "policy-packs", form: FormStored, contentType: "application/gzip"},
	TrivyDBPath:        {counted: "trivy-db", form: FormLayer, contentType: "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip"},
	TrivyJavaPath:      {counted: "trivy-java-db", form: FormLayer, contentType: "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip"},
	TrivySummaryPath:   {counted: "trivy-summaries", form: FormStored, contentType: "application/json"},
	PolicyDocumentPath: {counted: "policies", form: FormStored, contentType: "application/json", mirrored: true},
	DeltaPath:          {counted: "deltas", form: FormStored, contentType: "application/json", mirrored: true},
}

var (
	rawForm    = regexp.MustCompile(`^data/(?:raw|tenants/([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)/(_|[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?))/([a-z][a-z0-9]*(?:-[a-z0-9]+)*)-[0-9a-f]{16}\.jsonl\.zst$`)
	policyForm = regexp.MustCompile(`^data/policy/(findings|decision-traces)-[0-9a-f]{16}\.jsonl\.zst$`)
	// The files of mirrors: two indexes, and what a delta has beside them.
	indexForm   = regexp.MustCompile(`^indexes/([a-z][a-z0-9]*(?:-[a-z0-9]+)*)\.index\.json$`)
	listForm    = regexp.MustCompile(`^indexes/originals-[0-9a-f]{16}\.jsonl\.zst$`)
	removedForm = regexp.MustCompile(`^data/removed/([a-z][a-z0-9]*(?:-[a-z0-9]+)*)-[0-9a-f]{16}\.jsonl\.zst$`)
	resultForm  = regexp.MustCompile(`^data/result/documents-[0-9a-f]{16}\.jsonl\.zst$`)
)

// payloadKindOf says what the payload file at path is.
func payloadKindOf(path string) (payloadKind, error) {
	if kind, fixed := fixedPayload[path]; fixed {
		return kind, nil
	}
	if match := rawForm.FindStringSubmatch(path); match != nil {
		return payloadKind{counted: match[3], form: FormLines, contentType: PayloadContentType, tenant: match[1], project: match[2]}, nil
	}
	if match := policyForm.FindStringSubmatch(path); match != nil {
		return payloadKind{counted: "policy-" + match[1], form: FormLines, contentType: PayloadContentType}, nil
	}
	if kind, mirrored := mirrorKindOf(path); mirrored {
		return kind, nil
	}
	return payloadKind{}, fmt.Errorf("%.300q is no path of a payload file: data/raw/<type>-<16 hex digits>.jsonl.zst, that in data/tenants/<tenant>/<project>, one of data/policy or of trivy, or one of a mirror", path)
}

// mirrorKindOf says what the file of a mirror at path is.
func mirrorKindOf(path string) (payloadKind, bool) {
	lines := payloadKind{form: FormLines, contentType: PayloadContentType, mirrored: true}
	if indexForm.MatchString(path) {
		return payloadKind{counted: "indexes", form: FormStored, contentType: "application/json", mirrored: true}, true
	}
	if listForm.MatchString(path) {
		lines.counted = originalsCounted
		return lines, true
	}
	if match := removedForm.FindStringSubmatch(path); match != nil {
		lines.counted, lines.tombstones = "removed-"+match[1], match[1] != RemovedOriginals
		return lines, true
	}
	lines.counted = resultCounted
	return lines, resultForm.MatchString(path)
}

// IsPayload reports whether path is in a directory of payload. Originals are not: the
// payload lists them (OriginalsDir).
func IsPayload(path string) bool {
	return strings.HasPrefix(path, PayloadDir) && !IsOriginal(path) || strings.HasPrefix(path, TrivyDir) || strings.HasPrefix(path, IndexesDir)
}

// IsOriginalsIndex reports whether path is of a list of originals.
func IsOriginalsIndex(path string) bool { return listForm.MatchString(path) }

// IsEvidence reports whether path is of a file of evidence, which a plan names;
// the other payload files are built of those.
func IsEvidence(path string) bool {
	return strings.HasPrefix(path, rawDir) || strings.HasPrefix(path, tenantsDir)
}

// IndexPath names the index of a payload type's shards.
func IndexPath(payloadType string) string { return IndexesDir + payloadType + ".index.json" }

// OriginalsIndexPath names a list of originals; boundary is the path its first line
// has. Lists are cut and named as shards of evidence are.
func OriginalsIndexPath(boundary string, first bool) string {
	return IndexesDir + shardName(originalsCounted, boundary, first)
}

// RemovedShardPath names a file of tombstones, as ShardPath names one of evidence.
func RemovedShardPath(payloadType, boundaryKey string, first bool) string {
	return removedDir + shardName(payloadType, boundaryKey, first)
}

// IsRemovedShard reports whether path is of a file of what went of a type.
func IsRemovedShard(path, payloadType string) bool {
	match := removedForm.FindStringSubmatch(path)
	return match != nil && match[1] == payloadType
}

// IsResultShard reports whether path is of a file of documents of a delta's target.
func IsResultShard(path string) bool { return resultForm.MatchString(path) }

// RemovedOriginals is the type of files of data/removed that list originals: lines of
// Original, and no tombstones.
const RemovedOriginals = originalsCounted

// ResultShardPath names a file of documents of a delta's target; boundary is the path
// of its first.
func ResultShardPath(boundary string, first bool) string {
	return resultDir + shardName("documents", boundary, first)
}

// PolicyShardPath names a file of findings or of decision traces, as ShardPath
// names one of evidence.
func PolicyShardPath(payloadType, boundaryKey string, first bool) string {
	return policyDir + shardName(payloadType, boundaryKey, first)
}
