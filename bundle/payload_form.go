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
}

// fixedPayload are the payload files with a path of their own. Media types of
// layers are those that Trivy insists on (trivy pkg/db and pkg/javadb).
var fixedPayload = map[string]payloadKind{
	PolicySnapshotPath: {counted: "policy-snapshots", form: FormStored, contentType: "application/json"},
	PolicyPackPath:     {counted: "policy-packs", form: FormStored, contentType: "application/gzip"},
	TrivyDBPath:        {counted: "trivy-db", form: FormLayer, contentType: "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip"},
	TrivyJavaPath:      {counted: "trivy-java-db", form: FormLayer, contentType: "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip"},
	TrivySummaryPath:   {counted: "trivy-summaries", form: FormStored, contentType: "application/json"},
}

var (
	rawForm    = regexp.MustCompile(`^data/(?:raw|tenants/([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)/(_|[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?))/([a-z][a-z0-9]*(?:-[a-z0-9]+)*)-[0-9a-f]{16}\.jsonl\.zst$`)
	policyForm = regexp.MustCompile(`^data/policy/(findings|decision-traces)-[0-9a-f]{16}\.jsonl\.zst$`)
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
	return payloadKind{}, fmt.Errorf("%.300q is no path of a payload file: data/raw/<type>-<16 hex digits>.jsonl.zst, that in data/tenants/<tenant>/<project>, one of data/policy or one of trivy", path)
}

// IsPayload reports whether path is in a directory of payload.
func IsPayload(path string) bool {
	return strings.HasPrefix(path, PayloadDir) || strings.HasPrefix(path, TrivyDir)
}

// IsEvidence reports whether path is of a file of evidence, which a plan names;
// the other payload files are built of those.
func IsEvidence(path string) bool {
	return strings.HasPrefix(path, rawDir) || strings.HasPrefix(path, tenantsDir)
}

// PolicyShardPath names a file of findings or of decision traces, as ShardPath
// names one of evidence.
func PolicyShardPath(payloadType, boundaryKey string, first bool) string {
	return policyDir + shardName(payloadType, boundaryKey, first)
}
