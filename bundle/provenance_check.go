package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

func (p Provenance) check() error {
	build, run := p.Predicate.BuildDefinition, p.Predicate.RunDetails
	for _, fixed := range []struct{ field, have, want string }{
		{"_type", p.Type, StatementType},
		{"predicateType", p.PredicateType, PredicateType},
		{"buildType", build.BuildType, BuildType},
		{"builder.id", run.Builder.ID, BuilderID},
		{"stellaops_logProof.kind", run.LogProof.Kind, offlineProof().Kind},
		{"stellaops_logProof.reason", run.LogProof.Reason, offlineProof().Reason},
	} {
		if fixed.have != fixed.want {
			return fmt.Errorf("%s: %.200q is not %s", fixed.field, fixed.have, fixed.want)
		}
	}
	if err := checkSubjects(p.Subject); err != nil {
		return err
	}
	if err := checkDependencies(build.ResolvedDependencies); err != nil {
		return err
	}
	if err := checkObject("externalParameters.selectors", build.ExternalParameters.Selectors); err != nil {
		return err
	}
	if err := checkObject("externalParameters.options", build.ExternalParameters.Options); err != nil {
		return err
	}
	if terms := build.ExternalParameters.Encryption; terms != nil {
		if err := terms.check("externalParameters.encryption"); err != nil {
			return err
		}
	}
	if !runIDForm.MatchString(run.Metadata.InvocationID) {
		return fmt.Errorf("metadata.invocationId: %.100q is not a run id", run.Metadata.InvocationID)
	}
	if err := checkVersions(run.Builder.Version); err != nil {
		return err
	}
	return checkStamp("metadata.startedOn", run.Metadata.StartedOn)
}

func checkSubjects(subjects []Resource) error {
	if len(subjects) != 2 || subjects[0].Name != ManifestPath || subjects[1].Name != PayloadSubject {
		return fmt.Errorf("subject: want %s and %s", ManifestPath, PayloadSubject)
	}
	for _, s := range subjects {
		if _, err := ParseDigest(digestPrefix + s.Digest.SHA256); err != nil {
			return fmt.Errorf("subject %s: %w", s.Name, err)
		}
	}
	return nil
}

func checkDependencies(dependencies []Resource) error {
	if dependencies == nil {
		return fmt.Errorf("resolvedDependencies: absent; no inputs are []")
	}
	for i, d := range dependencies {
		if err := checkText("resolvedDependencies.name", d.Name); err != nil {
			return err
		}
		if _, err := ParseDigest(digestPrefix + d.Digest.SHA256); err != nil {
			return fmt.Errorf("resolvedDependencies[%d]: %w", i, err)
		}
		if i > 0 && dependencies[i-1].Name >= d.Name {
			return fmt.Errorf("resolvedDependencies[%d]: %q does not come after %q", i, d.Name, dependencies[i-1].Name)
		}
	}
	return nil
}

func checkVersions(version map[string]string) error {
	if len(version) == 0 {
		return fmt.Errorf("builder.version: none")
	}
	for _, name := range slices.Sorted(maps.Keys(version)) {
		if err := checkText("builder.version", name); err != nil {
			return err
		}
		if err := checkText("builder.version."+name, version[name]); err != nil {
			return err
		}
	}
	return nil
}

// Describes reports whether p is the statement about manifest m, whose encoded
// bytes have digest manifest: the same subjects, run, request and builder. The
// error names the field that is about something else.
func (p Provenance) Describes(m Manifest, manifest Digest) error {
	want := NewProvenance(m, manifest, p.Predicate.BuildDefinition.ExternalParameters.Options, nil)
	for i, s := range want.Subject {
		if len(p.Subject) != len(want.Subject) || p.Subject[i] != s {
			return fmt.Errorf("subject %s: not sha256 %s of this bundle", s.Name, s.Digest.SHA256)
		}
	}
	have, ask := p.Predicate.BuildDefinition.ExternalParameters, want.Predicate.BuildDefinition.ExternalParameters
	switch {
	case have.Tenant != ask.Tenant || have.Project != ask.Project:
		return fmt.Errorf("externalParameters: tenant or project differs from the manifest")
	case !sameTenancy(have.Tenancy, ask.Tenancy):
		return fmt.Errorf("externalParameters.tenancy: differs from the manifest")
	case have.Profile != ask.Profile:
		return fmt.Errorf("externalParameters.profile: differs from the manifest")
	case !sameTerms(have.Encryption, ask.Encryption):
		return fmt.Errorf("externalParameters.encryption: differs from the manifest")
	case !sameJSON(have.Selectors, ask.Selectors):
		return fmt.Errorf("externalParameters.selectors: differ from the manifest")
	case redactionOf(have.Options) != redactionIn(m):
		return fmt.Errorf("externalParameters.options.redaction: differs from the manifest's redaction")
	case p.Predicate.RunDetails.Metadata != want.Predicate.RunDetails.Metadata:
		return fmt.Errorf("metadata: run id or time differs from the manifest")
	case !maps.Equal(p.Predicate.RunDetails.Builder.Version, want.Predicate.RunDetails.Builder.Version):
		return fmt.Errorf("builder.version: differs from the manifest's tool")
	}
	return nil
}

// redactionOf is the policy of the redaction that was asked for, "" for none.
func redactionOf(options json.RawMessage) string {
	var members, redaction map[string]json.RawMessage
	var policy string
	if json.Unmarshal(options, &members) != nil || members["redaction"] == nil {
		return ""
	}
	if json.Unmarshal(members["redaction"], &redaction) != nil || json.Unmarshal(redaction["policyId"], &policy) != nil {
		return "?" // asked for, by no name
	}
	return "policy " + policy
}

// redactionIn is the same of the manifest.
func redactionIn(m Manifest) string {
	if m.Redaction == nil {
		return ""
	}
	return "policy " + m.Redaction.PolicyID
}

func sameJSON(a, b []byte) bool {
	x, errA := Canonical(a)
	y, errB := Canonical(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}
