package export

import "time"

// Ref names a run. It is all a workflow carries about one.
type Ref struct {
	Tenant string `json:"tenant"`
	RunID  string `json:"runId"`
}

// Run is one export: what was asked (immutable once created) and what came of it.
type Run struct {
	Tenant  string
	Project string // "" when the tenant has no projects
	ID      string // lower-case UUID

	ProfileID       string
	ProfileRevision int
	ProfileName     string
	Kind            string
	Variant         string

	Selectors Selectors
	Options   Options
	// Quotas are those of the profile's revision, 0 where it has none.
	Quotas ProfileQuotas
	// Reach is nil for a run that reads its own tenant's evidence only.
	Reach       *Reach
	Labels      map[string]string
	RequestedBy string
	RequestedAt time.Time // UTC, whole seconds: the only stamp that enters a bundle

	State State
	// AsOf is the ledger sequence the run reads at; 0 until Plan has fixed it.
	AsOf int64
	// Generation numbers the mirrors of a tenant, from 1, in the order of AsOf: a run of
	// mirror:full has it once it has started; 0 of others.
	Generation int64
	// DispatchedAt is when the run got a slot and was given to Temporal; zero
	// while it waits its turn.
	DispatchedAt time.Time
	StartedAt    time.Time // zero until running
	CompletedAt  time.Time // zero until terminal
	Failure      *Failure
	Cancel       *Cancellation
	// Guard is what the profile's revision says of the guard, nil where it says nothing.
	Guard *GuardConfig
	// Encryption is what the profile's revision says of it, nil for a run whose bundle
	// leaves as it is.
	Encryption *Encryption
	// Wait is nil for a run that the guard never parked.
	Wait *Wait
	// RebuildOf is the run that this one builds again, to compare: such a run has no
	// bundle of its own, and tells nobody of its end. "" for all others.
	RebuildOf string
	// Rebuilt is what came of that, nil until it is known.
	Rebuilt *Rebuilt

	Progress Progress
	Result   Result
}

// Ref is the run's name.
func (r Run) Ref() Ref { return Ref{Tenant: r.Tenant, RunID: r.ID} }

// Selectors narrow what a run takes from the ledger. The zero value takes all.
// Values of a member are alternatives, members narrow each other;
// docs/selectors.md has the rules. What a document's fate depends on is the
// document alone: runs of one selection differ in nothing but their moment.
type Selectors struct {
	// Tenants are whose evidence is read: the run's own, and those that an approval covers.
	Tenants  []string `json:"tenants,omitempty"`
	Projects []string `json:"projects,omitempty"` // of the run's tenant; "_" is none

	Kinds      []string `json:"kinds,omitempty"`      // advisory, vex, sbom ...
	Sources    []string `json:"sources,omitempty"`    // as given at import
	Ecosystems []string `json:"ecosystems,omitempty"` // OSV ecosystem names, exact
	// Products are package URLs without a version or globs of them, where *
	// stands for any characters: "pkg:npm/lodash", "pkg:maven/org.apache*".
	Products   []string    `json:"products,omitempty"`
	TimeWindow *TimeWindow `json:"timeWindow,omitempty"`
	// Severities are words of the CVSS scale. A document that states none has none
	// of them.
	Severities []string `json:"severities,omitempty"`
	// SBOMSubjects are patterns of what SBOMs are about: names and digests.
	SBOMSubjects []string `json:"sbomSubjects,omitempty"`
	// Include and Exclude are patterns of ids, where * stands for any characters;
	// a document has its own id and its aliases.
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	Sample  *Sample  `json:"sample,omitempty"`
}

// TimeWindow takes documents of a time: from is in it, to is not, and one of
// the two may be absent.
type TimeWindow struct {
	From  *time.Time `json:"from,omitempty"`
	To    *time.Time `json:"to,omitempty"`
	Field TimeField  `json:"field,omitempty"` // "" = TimeModified
}

// TimeField is the moment of a document that a window is about.
type TimeField string

// Moments of a document.
const (
	TimeModified TimeField = "modifiedAt" // when its publisher last changed it
	TimeObserved TimeField = "observedAt" // when the ledger recorded it
)

// Options change how a run works, not what it selects.
type Options struct {
	// AllowEmpty lets a run succeed with nothing selected (ruling 16).
	AllowEmpty bool `json:"allowEmpty,omitempty"`
	// Redaction leaves fields of the evidence out; nil leaves out nothing.
	Redaction *Redaction `json:"redaction,omitempty"`
	// PolicySnapshotID names a snapshot of the policy engine. It is in the
	// provenance; json:raw evaluates no policy.
	PolicySnapshotID string `json:"policySnapshotId,omitempty"`
	// PolicyEngine says who decides in a run of json:policy: PolicyEngineOPA, which
	// "" means too, or PolicyEngineImported.
	PolicyEngine string `json:"policyEngine,omitempty"`
	// SchemaVersion is the schema of the database that the run makes; 0 is the
	// one that its kind makes (DatabaseSchema).
	SchemaVersion int `json:"schemaVersion,omitempty"`
	// AsOf is the ledger sequence the run is to read at; 0 is the last one when it starts.
	AsOf int64 `json:"asOf,omitempty"`
	// MirrorRunID names the mirror whose evidence the run is made of; "" = none.
	MirrorRunID string `json:"mirrorRunId,omitempty"`
	// BaseRunID and TargetRunID name the full mirrors between which a delta lies.
	BaseRunID   string `json:"baseRunId,omitempty"`
	TargetRunID string `json:"targetRunId,omitempty"`
}

// CheckSchema says why runs of a kind cannot make a database of the schema that
// is asked for.
func (o Options) CheckSchema(kind, variant string) error {
	made := DatabaseSchema(kind, variant)
	if o.SchemaVersion == 0 || o.SchemaVersion == made {
		return nil
	}
	var err *Error
	if made == 0 {
		err = Errorf(CodeValidation, "options.schemaVersion: %s:%s makes no database; leave it out", kind, variant)
	} else {
		err = Errorf(CodeSchemaVersion, "options.schemaVersion: %s:%s makes databases of schema %d, not %d; leave it out, and read the database with a release of Trivy that knows schema %[3]d",
			kind, variant, made, o.SchemaVersion)
	}
	err.Field = "options.schemaVersion"
	return err
}

// Policy engines.
const (
	// PolicyEngineOPA evaluates the pack of the run's policy snapshot.
	PolicyEngineOPA = "opa"
	// PolicyEngineImported takes the findings of another engine, evidence of kind
	// finding, as they are.
	PolicyEngineImported = "imported"
)

// Failure is why a run failed, in words for the person who asked.
type Failure struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Phase   Phase  `json:"phase"`
}

// Cancellation is who asked for the end of a run, and why.
type Cancellation struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// Progress counts what a run has done so far.
type Progress struct {
	Shards      int   `json:"shards"`
	ShardsDone  int   `json:"shardsDone"`
	Records     int64 `json:"records"`
	RecordsDone int64 `json:"recordsDone"`
	Bytes       int64 `json:"bytes"` // uncompressed payload bytes to write
	BytesDone   int64 `json:"bytesDone"`
}

// Result is what a run produced. Digests read "sha256:<lower-case hex>" and
// are empty until the phase that makes them has committed.
type Result struct {
	ManifestDigest string
	PayloadDigest  string
	RerunHash      string
	ArchiveDigest  string
	ArchiveBytes   int64
	Signatures     []SignatureRef
	// Encrypted is nil until the bundle is encrypted: ArchiveDigest is the plain
	// archive's before, and that of the encrypted one from then on.
	Encrypted *Encrypted
}

// SignatureRef names one signature of a run and how a stranger checks it.
type SignatureRef struct {
	ID        string `json:"id"`       // sha256 of the signature bytes, "sha256:<hex>"
	Artifact  string `json:"artifact"` // path of the signed file in the bundle, or "seal"
	Path      string `json:"path"`     // path of the signature in the bundle
	KeyID     string `json:"keyId"`
	Algorithm string `json:"algorithm"`
	// Verify is the exact command to run beside the unpacked bundle.
	Verify string `json:"verify"`
}
