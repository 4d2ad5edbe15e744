package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What a profile file calls itself.
const (
	ProfileAPIVersion = "stellaops.io/export.v1"
	ProfileFileKind   = "ExportProfile"
)

// MaxProfileFile is the most bytes a profile file may have.
const MaxProfileFile = 1 << 20

// ProfileFile is a profile as people keep it (docs/profiles.md), in YAML.
type ProfileFile struct {
	APIVersion string          `yaml:"apiVersion"`
	Kind       string          `yaml:"kind"`
	Metadata   ProfileMetadata `yaml:"metadata"`
	Spec       ProfileSpec     `yaml:"spec"`
}

// ProfileMetadata says which profile it is. What may change in place is here.
type ProfileMetadata struct {
	Name string `yaml:"name"`
	// Tenant, when it is there, must be the one that is worked for.
	Tenant string `yaml:"tenant,omitempty"`
	// Revision, "r3", is what the file was made from: an update of another one is
	// refused.
	Revision    string            `yaml:"revision,omitempty"`
	Description string            `yaml:"description,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
}

// ProfileSpec is the kind of a profile and its configuration.
type ProfileSpec struct {
	Kind    string `yaml:"kind" json:"-"`
	Variant string `yaml:"variant" json:"-"`

	Include            []string         `yaml:"include,omitempty" json:"include,omitempty"`
	PolicySnapshotMode string           `yaml:"policySnapshotMode,omitempty" json:"policySnapshotMode,omitempty"`
	Distribution       []string         `yaml:"distribution,omitempty" json:"distribution,omitempty"`
	Compression        *SpecCompression `yaml:"compression,omitempty" json:"compression,omitempty"`
	Encryption         *SpecEncryption  `yaml:"encryption,omitempty" json:"encryption,omitempty"`
	Retention          *SpecRetention   `yaml:"retention,omitempty" json:"retention,omitempty"`
	Quotas             *SpecQuotas      `yaml:"quotas,omitempty" json:"quotas,omitempty"`
	Approvals          []SpecApproval   `yaml:"approvals,omitempty" json:"approvals,omitempty"`
	Redaction          *SpecRedaction   `yaml:"redaction,omitempty" json:"redaction,omitempty"`
	Guard              *SpecGuard       `yaml:"guard,omitempty" json:"guard,omitempty"`
}

// SpecCompression is the member compression of a spec.
type SpecCompression struct {
	Codec string `yaml:"codec" json:"codec"`
	Level int    `yaml:"level,omitempty" json:"level,omitempty"`
}

// SpecEncryption is the member encryption of a spec.
type SpecEncryption struct {
	Enabled       bool     `yaml:"enabled" json:"enabled"`
	Mode          string   `yaml:"mode,omitempty" json:"mode,omitempty"`
	RecipientKeys []string `yaml:"recipientKeys,omitempty" json:"recipientKeys,omitempty"`
	Strict        bool     `yaml:"strict,omitempty" json:"strict,omitempty"`
}

// SpecRetention is the member retention of a spec.
type SpecRetention struct {
	Mode     string `yaml:"mode" json:"mode"`
	Days     int    `yaml:"days,omitempty" json:"days,omitempty"`
	KeepLast int    `yaml:"keepLast,omitempty" json:"keepLast,omitempty"`
}

// SpecQuotas is the member quotas of a spec.
type SpecQuotas struct {
	MaxConcurrentRuns int   `yaml:"maxConcurrentRuns,omitempty" json:"maxConcurrentRuns,omitempty"`
	MaxBytes          int64 `yaml:"maxBytes,omitempty" json:"maxBytes,omitempty"`
	MaxRunsPerDay     int   `yaml:"maxRunsPerDay,omitempty" json:"maxRunsPerDay,omitempty"`
}

// SpecApproval is an element of the member approvals of a spec.
type SpecApproval struct {
	Tenant    string `yaml:"tenant" json:"tenant"`
	Project   string `yaml:"project,omitempty" json:"project,omitempty"`
	Approver  string `yaml:"approver" json:"approver"`
	ExpiresAt string `yaml:"expiresAt" json:"expiresAt"`
	Signature string `yaml:"signature" json:"signature"`
}

// SpecRedaction is the member redaction of a spec.
type SpecRedaction struct {
	PolicyID string              `yaml:"policyId" json:"policyId"`
	Allow    map[string][]string `yaml:"allow" json:"allow"`
	Linkset  []string            `yaml:"linkset,omitempty" json:"linkset,omitempty"`
}

// SpecGuard is the member guard of a spec.
type SpecGuard struct {
	MaxDropPercent *int     `yaml:"maxDropPercent,omitempty" json:"maxDropPercent,omitempty"`
	MaxAgeHours    int      `yaml:"maxAgeHours,omitempty" json:"maxAgeHours,omitempty"`
	Canaries       []string `yaml:"canaries,omitempty" json:"canaries,omitempty"`
	ExpiresHours   int      `yaml:"expiresHours,omitempty" json:"expiresHours,omitempty"`
}

var revisionForm = regexp.MustCompile(`^r([1-9][0-9]{0,8})$`)

// ReadProfileFile reads a profile file. Fields that nobody knows or that are
// there twice, a second document and wrong types are errors that name the line;
// what the configuration may say is the server's to check.
func ReadProfileFile(raw []byte) (ProfileFile, error) {
	var f ProfileFile
	if len(raw) > MaxProfileFile {
		return f, fmt.Errorf("has more than %d bytes", MaxProfileFile)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); err != nil {
		if errors.Is(err, io.EOF) {
			return f, errors.New("is empty")
		}
		return f, yamlWords(err)
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return f, errors.New("holds more than one YAML document")
	}
	switch {
	case f.APIVersion != ProfileAPIVersion:
		return f, fmt.Errorf("apiVersion: %.80q is not %s", f.APIVersion, ProfileAPIVersion)
	case f.Kind != ProfileFileKind:
		return f, fmt.Errorf("kind: %.80q is not %s", f.Kind, ProfileFileKind)
	case f.Metadata.Name == "":
		return f, errors.New("metadata.name is missing")
	case f.Spec.Kind == "" || f.Spec.Variant == "":
		return f, errors.New("spec.kind or spec.variant is missing")
	case f.Metadata.Revision != "" && !revisionForm.MatchString(f.Metadata.Revision):
		return f, fmt.Errorf("metadata.revision: %.40q is not r and a number, as r3", f.Metadata.Revision)
	}
	return f, nil
}

var goType = regexp.MustCompile(` in type [A-Za-z.]+| into [][A-Za-z.*]+`)

// yamlWords says what the YAML reader found without our Go types.
func yamlWords(err error) error {
	text := goType.ReplaceAllString(err.Error(), "")
	text = strings.ReplaceAll(strings.TrimPrefix(text, "yaml: "), "unmarshal errors:\n  ", "")
	text = strings.ReplaceAll(text, "cannot unmarshal", "does not fit:")
	return errors.New(strings.ReplaceAll(text, "\n  ", "; "))
}

// Config is the configuration as a request has it.
func (s ProfileSpec) Config() (ProfileConfig, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("spec: %w", err)
	}
	config := ProfileConfig{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // numbers beyond 2^53 stay what they are, for the server to refuse
	return config, decoder.Decode(&config)
}

// Request is the file as the request that makes its profile.
func (f ProfileFile) Request() (ProfileRequest, error) {
	config, err := f.Spec.Config()
	return ProfileRequest{Name: f.Metadata.Name, Kind: f.Spec.Kind, Variant: f.Spec.Variant,
		Config: config, Description: f.Metadata.Description, Labels: f.Metadata.Labels}, err
}

// Patch is the file as the request that makes p what the file says. A file says
// everything: what it leaves out is taken away.
func (f ProfileFile) Patch(p Profile) (ProfilePatch, error) {
	if f.Spec.Kind != p.Kind || f.Spec.Variant != p.Variant {
		return ProfilePatch{}, fmt.Errorf("spec: profile %s is of %s/%s, the file of %s/%s; the kind of a profile does not change",
			p.Name, p.Kind, p.Variant, f.Spec.Kind, f.Spec.Variant)
	}
	if now := fmt.Sprintf("r%d", p.Revision); f.Metadata.Revision != "" && f.Metadata.Revision != now {
		return ProfilePatch{}, fmt.Errorf("metadata.revision: the file was made from %s, the profile is at %s; look at it again with: stella export profile show %s --format yaml",
			f.Metadata.Revision, now, p.Name)
	}
	config, err := f.Spec.Config()
	labels := Labels{}
	for key, value := range f.Metadata.Labels {
		labels[key] = value
	}
	return ProfilePatch{Config: &config, Description: &f.Metadata.Description, Labels: &labels}, err
}

// ProfileFileOf gives the file that makes a profile like p.
func ProfileFileOf(p Profile) (ProfileFile, error) {
	f := ProfileFile{APIVersion: ProfileAPIVersion, Kind: ProfileFileKind,
		Metadata: ProfileMetadata{Name: p.Name, Revision: fmt.Sprintf("r%d", p.Revision), Description: p.Description, Labels: p.Labels}}
	text, err := json.Marshal(p.Config)
	if err != nil {
		return f, fmt.Errorf("configuration of profile %s: %w", p.Name, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // a newer server's: it would be lost with the next update
	if err := decoder.Decode(&f.Spec); err != nil {
		return f, fmt.Errorf("configuration of profile %s: %w", p.Name, err)
	}
	f.Spec.Kind, f.Spec.Variant = p.Kind, p.Variant
	return f, nil
}

// Write writes the file in YAML.
func (f ProfileFile) Write(out io.Writer) error {
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(2)
	if err := encoder.Encode(f); err != nil {
		return fmt.Errorf("write profile file: %w", err)
	}
	return encoder.Close()
}
