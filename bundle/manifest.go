package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What a manifest calls its own form.
const (
	ManifestSchema  = "https://stellaops.io/export-center/manifest/v1alpha2"
	ManifestVersion = "1.1.0"
)

// Manifest is manifests/export.json: what a bundle is, and every payload file
// by digest. It holds nothing that depends on when or where it was made: no
// ledger sequence, no import time, no clock of a worker. GeneratedAt is when
// the run was requested, from the run's row.
type Manifest struct {
	Schema   string `json:"schema"`
	Version  string `json:"version"`
	ExportID string `json:"exportId"` // the run id
	RunID    string `json:"runId"`
	Tenant   string `json:"tenant"`
	Project  string `json:"project,omitempty"`

	Tenancy *Tenancy `json:"tenancy,omitempty"` // nil: all evidence is the tenant's own

	Profile     Profile         `json:"profile"`
	Selectors   json.RawMessage `json:"selectors"` // a JSON object
	GeneratedAt string          `json:"generatedAt"`

	Counts        Counts      `json:"counts"`
	Compression   Compression `json:"compression"`
	Contents      []Content   `json:"contents"` // ordered by path
	PayloadDigest Digest      `json:"payloadDigest"`
	RerunHash     Digest      `json:"rerunHash"`

	Redaction *Redaction `json:"redaction,omitempty"` // nil: nothing was left out
	Policy    *Policy    `json:"policy,omitempty"`    // nil: nothing was decided
	Mirror    *Mirror    `json:"mirror,omitempty"`    // nil: it is no mirror
	Delta     *Delta     `json:"delta,omitempty"`     // nil: it stands for itself

	Encryption *EncryptionTerms `json:"encryption,omitempty"` // nil: the bundle leaves as it is

	Keys []Key `json:"keys"` // that sign this bundle, ordered by id
	Tool Tool  `json:"tool"`
}

// Profile says what kind of bundle it is.
type Profile struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Variant  string `json:"variant"`
	Name     string `json:"name"`
	Revision int    `json:"revision"`
}

// Counts adds up the contents. Bytes are stored bytes; ByType counts records
// by the type in the file's name.
type Counts struct {
	Records int64            `json:"records"`
	Files   int64            `json:"files"`
	Bytes   int64            `json:"bytes"`
	ByType  map[string]int64 `json:"byType"`
}

// Compression says how payload files were packed.
type Compression struct {
	Codec   string `json:"codec"`
	Level   string `json:"level"`
	Encoder string `json:"encoder"` // library@version
	Frames  string `json:"frames"`
}

// Redaction says that fields were left out of the lines, by an allow-list that
// the provenance holds in full.
type Redaction struct {
	PolicyID string `json:"policyId"` // the requester's name for it
	// DroppedFields counts what was left out, by the types of Counts.ByType. A
	// field with others within it counts once.
	DroppedFields map[string]int64 `json:"droppedFields"`
}

// Content is one payload file.
type Content struct {
	Path          string `json:"path"`
	Digest        Digest `json:"digest"` // of the stored bytes
	Bytes         int64  `json:"bytes"`
	ContentDigest Digest `json:"contentDigest"` // of the uncompressed lines, or the database
	ContentBytes  int64  `json:"contentBytes"`
	Records       int64  `json:"records"`
	ContentType   string `json:"contentType"`
	// Encoder is what compressed a layer, library@version; "" for other forms.
	Encoder string `json:"encoder,omitempty"`
	// Order is the file's place when the lines are read in the run's order,
	// from 0: file names are hashes and do not tell it.
	Order int `json:"order"`
}

// Key is a key that signs the bundle, by its id. The key itself comes from
// whoever verifies.
type Key struct {
	KeyID     string `json:"keyId"`
	Algorithm string `json:"algorithm"`
}

// Tool is what made the bundle.
type Tool struct {
	Name     string            `json:"name"`
	Version  string            `json:"version"`
	Adapters map[string]string `json:"adapters"` // name to version
}

// NewContent describes the payload file at path; its media type and encoder
// follow from that. A path of no payload file is refused by SetContents.
func NewContent(path string, info PayloadInfo) Content {
	kind, err := payloadKindOf(path)
	if err != nil {
		kind.contentType = PayloadContentType
	}
	c := Content{
		Path: path, Digest: info.Digest, Bytes: info.Size,
		ContentDigest: info.ContentDigest, ContentBytes: info.ContentSize,
		Records: info.Records, ContentType: kind.contentType,
	}
	if kind.form == FormLayer {
		c.Encoder = layerEncoder
	}
	return c
}

// Type is the name under which a payload file's records are counted, "" for
// another path.
func (c Content) Type() string {
	kind, _ := payloadKindOf(c.Path)
	return kind.counted
}

// Form is how the file's content lies in it.
func (c Content) Form() Form {
	kind, _ := payloadKindOf(c.Path)
	return kind.form
}

// Holder is whose evidence is in a payload file, as its path says; of the bundle's
// own tenant nothing.
func (c Content) Holder() (tenant, project string, foreign bool) {
	kind, err := payloadKindOf(c.Path)
	return kind.tenant, kind.project, err == nil && kind.tenant != ""
}

// SetContents fills in the contents and all that follows from them. The files
// are given in the run's order.
func (m *Manifest) SetContents(inOrder []Content) error {
	contents := slices.Clone(inOrder)
	counts := Counts{ByType: map[string]int64{}}
	for i := range contents {
		contents[i].Order = i
		kind, err := payloadKindOf(contents[i].Path)
		if err != nil {
			return err
		}
		counts.add(kind.counted, contents[i])
	}
	slices.SortFunc(contents, func(a, b Content) int { return strings.Compare(a.Path, b.Path) })
	if contents == nil {
		contents = []Content{}
	}
	m.Contents, m.Counts = contents, counts
	m.PayloadDigest, m.RerunHash = PayloadDigest(contents), RerunHash(contents)
	return nil
}

func (c *Counts) add(kind string, file Content) {
	c.Files++
	c.Bytes += file.Bytes
	c.Records += file.Records
	c.ByType[kind] += file.Records
}

// Stamp writes a time as bundles do: RFC 3339, UTC, whole seconds.
func Stamp(t time.Time) string { return t.UTC().Format(stampLayout) }

const stampLayout = "2006-01-02T15:04:05Z"

// Encode gives the bytes of manifests/export.json: the RFC 8785 form of a
// valid manifest. An invalid one is an error that names the field.
func (m Manifest) Encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestPath, err)
	}
	out, err := MarshalCanonical(m)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestPath, err)
	}
	return out, nil
}

// ErrNotCanonical is wrapped when a document is valid but its bytes are not
// the one form that it has.
var ErrNotCanonical = errors.New("not in canonical form")

// ParseManifest reads what Encode writes, and nothing else: every field is
// checked, every sum and digest recomputed, and the whole is encoded again and
// compared.
func ParseManifest(raw []byte) (Manifest, error) {
	var m Manifest
	if err := parseExact(ManifestPath, raw, &m, Manifest.Encode); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// parseExact reads raw into v strictly, encodes v and compares.
func parseExact[T any](path string, raw []byte, v *T, encode func(T) ([]byte, error)) error {
	if err := UnmarshalStrict(raw, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	again, err := encode(*v)
	if err != nil {
		return err
	}
	if !bytes.Equal(raw, again) {
		return fmt.Errorf("%s: %w (first difference at byte %d)", path, ErrNotCanonical, firstDifference(raw, again))
	}
	return nil
}

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := 0; i < n; i++ {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
