package bundle

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// The words of the statement in manifests/provenance.json: an in-toto
// Statement v1 with a SLSA v1 provenance predicate.
const (
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://slsa.dev/provenance/v1"
	BuildType     = "https://stellaops.io/export-center/build/export-run/v1"
	BuilderID     = "https://stellaops.io/export-center/builder/export-center/v1"
	// PayloadSubject is the name of the subject whose digest is the payload digest.
	PayloadSubject = "payload"
)

// Provenance says how a bundle came to be, and claims only what is true of its
// builder: SLSA build level 2 in form - signed by the service, from stated
// inputs - and nothing about isolation. It has no finish time: that would be a
// worker's clock.
type Provenance struct {
	Type          string     `json:"_type"`
	Subject       []Resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     Predicate  `json:"predicate"`
}

// Resource is an in-toto ResourceDescriptor: something with a digest.
type Resource struct {
	Name   string         `json:"name"`
	Digest ResourceDigest `json:"digest"`
}

// ResourceDigest is an in-toto DigestSet of one: lower-case hex, no prefix.
type ResourceDigest struct {
	SHA256 string `json:"sha256"`
}

// Predicate is the SLSA provenance.
type Predicate struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// BuildDefinition says what was asked and what went in.
type BuildDefinition struct {
	BuildType            string             `json:"buildType"`
	ExternalParameters   ExternalParameters `json:"externalParameters"`
	ResolvedDependencies []Resource         `json:"resolvedDependencies"`
}

// ExternalParameters are what the person who asked for the run chose.
type ExternalParameters struct {
	Tenant    string          `json:"tenant"`
	Project   string          `json:"project,omitempty"`
	Tenancy   *Tenancy        `json:"tenancy,omitempty"` // the manifest's
	Profile   Profile         `json:"profile"`
	Selectors json.RawMessage `json:"selectors"`
	Options   json.RawMessage `json:"options"`
	// Encryption is the manifest's: the mode and the recipients that were asked for.
	Encryption *EncryptionTerms `json:"encryption,omitempty"`
}

// RunDetails says who built it.
type RunDetails struct {
	Builder  Builder  `json:"builder"`
	Metadata Metadata `json:"metadata"`
	// LogProof is an extension (SLSA names extensions <vendor>_<field>): where
	// the statement is logged. Bundles are made offline: nowhere.
	LogProof LogProof `json:"stellaops_logProof"`
}

// Builder is the service that built the bundle.
type Builder struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version"`
}

// Metadata names the run.
type Metadata struct {
	InvocationID string `json:"invocationId"` // run id
	StartedOn    string `json:"startedOn"`    // when the run was requested
}

// LogProof says where a transparency log has the statement.
type LogProof struct {
	Kind   string `json:"kind"`
	Reason string `json:"reason"`
}

// Input is evidence that went into the payload: a name and the digest of what
// was read. For a shard that is the digest of its list of documents.
type Input struct {
	Name   string
	Digest Digest
}

// NewProvenance makes the statement about manifest m, whose encoded bytes have
// digest manifest. Options are the run's options, a JSON object.
func NewProvenance(m Manifest, manifest Digest, options json.RawMessage, inputs []Input) Provenance {
	dependencies := make([]Resource, len(inputs))
	for i, in := range inputs {
		dependencies[i] = Resource{in.Name, ResourceDigest{in.Digest.Hex()}}
	}
	slices.SortFunc(dependencies, func(a, b Resource) int { return strings.Compare(a.Name, b.Name) })
	version := map[string]string{m.Tool.Name: m.Tool.Version}
	for name, v := range m.Tool.Adapters {
		version["adapter/"+name] = v
	}
	return Provenance{
		Type:          StatementType,
		Subject:       subjects(manifest, m.PayloadDigest),
		PredicateType: PredicateType,
		Predicate: Predicate{
			BuildDefinition: BuildDefinition{
				BuildType: BuildType,
				ExternalParameters: ExternalParameters{
					Tenant: m.Tenant, Project: m.Project, Tenancy: m.Tenancy, Profile: m.Profile,
					Selectors: m.Selectors, Options: options, Encryption: m.Encryption,
				},
				ResolvedDependencies: dependencies,
			},
			RunDetails: RunDetails{
				Builder:  Builder{ID: BuilderID, Version: version},
				Metadata: Metadata{InvocationID: m.RunID, StartedOn: m.GeneratedAt},
				LogProof: offlineProof(),
			},
		},
	}
}

func subjects(manifest, payload Digest) []Resource {
	return []Resource{
		{ManifestPath, ResourceDigest{manifest.Hex()}},
		{PayloadSubject, ResourceDigest{payload.Hex()}},
	}
}

func offlineProof() LogProof { return LogProof{Kind: "none", Reason: "offline"} }

// Encode gives the bytes of manifests/provenance.json.
func (p Provenance) Encode() ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", ProvenancePath, err)
	}
	out, err := MarshalCanonical(p)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ProvenancePath, err)
	}
	return out, nil
}

// ParseProvenance reads what Encode writes, and nothing else. Whether the
// statement is about a given manifest is Describes' question.
func ParseProvenance(raw []byte) (Provenance, error) {
	var p Provenance
	if err := parseExact(ProvenancePath, raw, &p, Provenance.Encode); err != nil {
		return Provenance{}, err
	}
	return p, nil
}
