package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

var (
	runIDForm   = regexp.MustCompile(`^[a-z0-9-]{6,64}$`)
	tenantForm  = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)
	versionForm = regexp.MustCompile(`^1\.1\.[0-9]{1,4}$`)
	encoderForm = regexp.MustCompile(`^[A-Za-z0-9._/-]{1,200}@[A-Za-z0-9._+-]{1,100}$`)
	levelForm   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,40}$`)
	keyAlgForm  = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)
)

// maxKeys bounds the keys of a bundle.
const maxKeys = 16

// check says which field is wrong.
func (m Manifest) check() error {
	for _, step := range []func(Manifest) error{
		checkIdentity, checkProfile, checkSelectors, checkCompression,
		checkContents, checkPolicy, checkMirror, checkTenancy, checkRedaction, checkEncryptionTerms, checkKeys, checkTool,
	} {
		if err := step(m); err != nil {
			return err
		}
	}
	return nil
}

func checkIdentity(m Manifest) error {
	switch {
	case m.Schema != ManifestSchema:
		return fmt.Errorf("schema: %.100q is not %s", m.Schema, ManifestSchema)
	case !versionForm.MatchString(m.Version):
		return fmt.Errorf("version: %.100q is not 1.1.x", m.Version)
	case !runIDForm.MatchString(m.RunID):
		return fmt.Errorf("runId: %.100q is not a run id", m.RunID)
	case m.ExportID != m.RunID:
		return fmt.Errorf("exportId: %.100q is not the runId", m.ExportID)
	case !tenantForm.MatchString(m.Tenant):
		return fmt.Errorf("tenant: %.100q is not a tenant", m.Tenant)
	case m.Project != "" && !tenantForm.MatchString(m.Project):
		return fmt.Errorf("project: %.100q is not a project", m.Project)
	}
	return checkStamp("generatedAt", m.GeneratedAt)
}

func checkStamp(field, stamp string) error {
	t, err := time.Parse(stampLayout, stamp)
	if err != nil || Stamp(t) != stamp {
		return fmt.Errorf("%s: %.100q is not an RFC 3339 UTC time in whole seconds", field, stamp)
	}
	return nil
}

// checkText accepts short readable text: anything else could speak to a
// terminal instead of to its reader.
func checkText(field, text string) error {
	if text == "" || len(text) > 256 || !utf8.ValidString(text) {
		return fmt.Errorf("%s: want 1 to 256 bytes of UTF-8, have %d", field, len(text))
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%s: character %U cannot be printed", field, r)
		}
	}
	return nil
}

func checkProfile(m Manifest) error {
	p := m.Profile
	for _, field := range []struct{ name, text string }{
		{"profile.id", p.ID}, {"profile.kind", p.Kind}, {"profile.variant", p.Variant}, {"profile.name", p.Name},
	} {
		if err := checkText(field.name, field.text); err != nil {
			return err
		}
	}
	if p.Revision < 1 {
		return fmt.Errorf("profile.revision: %d is not 1 or more", p.Revision)
	}
	return nil
}

func checkSelectors(m Manifest) error { return checkObject("selectors", m.Selectors) }

func checkObject(field string, raw json.RawMessage) error {
	if len(raw) == 0 || bytes.TrimLeft(raw, " \t\r\n")[0] != '{' {
		return fmt.Errorf("%s: not a JSON object", field)
	}
	if _, err := Canonical(raw); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

func checkCompression(m Manifest) error {
	c := m.Compression
	switch {
	case c.Codec != compressionCodec:
		return fmt.Errorf("compression.codec: %.100q is not %s", c.Codec, compressionCodec)
	case c.Frames != compressionFrames:
		return fmt.Errorf("compression.frames: %.100q is not %s", c.Frames, compressionFrames)
	case !levelForm.MatchString(c.Level):
		return fmt.Errorf("compression.level: %.100q is not a level", c.Level)
	case !encoderForm.MatchString(c.Encoder):
		return fmt.Errorf("compression.encoder: %.300q is not library@version", c.Encoder)
	}
	return nil
}

func checkContents(m Manifest) error {
	if m.Contents == nil || m.Counts.ByType == nil {
		return fmt.Errorf("contents: absent; SetContents fills them in")
	}
	counts := Counts{ByType: map[string]int64{}}
	seen := make([]bool, len(m.Contents))
	for i, c := range m.Contents {
		kind, err := checkContent(c)
		if err != nil {
			return fmt.Errorf("contents[%d]: %w", i, err)
		}
		if i > 0 && m.Contents[i-1].Path >= c.Path {
			return fmt.Errorf("contents[%d]: %s does not come after %s", i, c.Path, m.Contents[i-1].Path)
		}
		if c.Order < 0 || c.Order >= len(seen) || seen[c.Order] {
			return fmt.Errorf("contents[%d]: order %d is not one of its own below %d", i, c.Order, len(seen))
		}
		seen[c.Order] = true
		counts.add(kind.counted, c)
	}
	return checkSums(m, counts)
}

func checkSums(m Manifest, counts Counts) error {
	if c := m.Counts; c.Records != counts.Records || c.Files != counts.Files || c.Bytes != counts.Bytes {
		return fmt.Errorf("counts: %d records, %d files, %d bytes do not add up to the contents' %d, %d, %d",
			c.Records, c.Files, c.Bytes, counts.Records, counts.Files, counts.Bytes)
	}
	if !maps.Equal(m.Counts.ByType, counts.ByType) {
		return fmt.Errorf("counts.byType: does not add up to the contents")
	}
	if want := PayloadDigest(m.Contents); m.PayloadDigest != want {
		return fmt.Errorf("payloadDigest: %s, the contents give %s", m.PayloadDigest, want)
	}
	if want := RerunHash(m.Contents); m.RerunHash != want {
		return fmt.Errorf("rerunHash: %s, the contents give %s", m.RerunHash, want)
	}
	return nil
}

// maxContent bounds a file's numbers, so that sums cannot overflow.
const maxContent = 1 << 46

func checkContent(c Content) (payloadKind, error) {
	kind, err := payloadKindOf(c.Path)
	if err != nil {
		return kind, fmt.Errorf("path: %w", err)
	}
	if _, err := Header(c.Path, c.Bytes); err != nil {
		return kind, fmt.Errorf("%s: %w", c.Path, err)
	}
	switch {
	case c.Bytes < 1:
		err = fmt.Errorf("bytes: %d", c.Bytes)
	case c.ContentType != kind.contentType:
		err = fmt.Errorf("contentType: %.100q is not %s", c.ContentType, kind.contentType)
	case c.Digest.IsZero() || c.ContentDigest.IsZero():
		err = fmt.Errorf("digest or contentDigest was never set")
	case c.Records < 0 || c.ContentBytes < 1 || c.ContentBytes > maxContent || c.Records > maxContent:
		err = fmt.Errorf("records: %d in contentBytes: %d", c.Records, c.ContentBytes)
	default:
		err = checkForm(c, kind.form)
	}
	if err != nil {
		return kind, fmt.Errorf("%s: %w", c.Path, err)
	}
	return kind, nil
}

// checkForm holds the numbers and the encoder against what the form allows.
func checkForm(c Content, form Form) error {
	switch {
	case form == FormLines && c.Records < 1:
		return fmt.Errorf("records: %d", c.Records)
	case form == FormLines && c.ContentBytes < 2*c.Records:
		return fmt.Errorf("contentBytes: %d for %d records", c.ContentBytes, c.Records)
	case form == FormStored && (c.Bytes != c.ContentBytes || c.Digest != c.ContentDigest):
		return fmt.Errorf("content differs from what is stored, but is stored as it is")
	case form == FormLayer && !encoderForm.MatchString(c.Encoder):
		return fmt.Errorf("encoder: %.300q is not library@version", c.Encoder)
	case form != FormLayer && c.Encoder != "":
		return fmt.Errorf("encoder: a file of this form has none of its own")
	}
	return nil
}

// checkPolicy wants the manifest's word on the policy exactly when there are
// decisions.
func checkPolicy(m Manifest) error {
	at := func(path string) int {
		return slices.IndexFunc(m.Contents, func(c Content) bool { return c.Path == path })
	}
	pack, p := at(PolicyPackPath), m.Policy
	switch {
	case (p != nil) != (at(PolicySnapshotPath) >= 0):
		return fmt.Errorf("policy: there with %s or not at all", PolicySnapshotPath)
	case p == nil:
		return nil
	case pack >= 0 && m.Contents[pack].Digest != p.PackDigest:
		return fmt.Errorf("policy.packDigest: %s, the contents have %s", p.PackDigest, m.Contents[pack].Digest)
	case p.PackDigest.IsZero() || p.InputsHash.IsZero() || p.DecisionTrace.IsZero():
		return fmt.Errorf("policy: packDigest, inputsHash or decisionTrace was never set")
	}
	if err := checkText("policy.snapshotId", p.SnapshotID); err != nil {
		return err
	}
	return checkText("policy.policyVersion", p.PolicyVersion)
}

func checkRedaction(m Manifest) error {
	r := m.Redaction
	if r == nil {
		return nil
	}
	if err := checkText("redaction.policyId", r.PolicyID); err != nil {
		return err
	}
	if r.DroppedFields == nil || len(r.DroppedFields) != len(m.Counts.ByType) {
		return fmt.Errorf("redaction.droppedFields: has %d types, counts.byType has %d", len(r.DroppedFields), len(m.Counts.ByType))
	}
	for _, kind := range slices.Sorted(maps.Keys(m.Counts.ByType)) {
		if n, there := r.DroppedFields[kind]; !there || n < 0 || n > maxContent {
			return fmt.Errorf("redaction.droppedFields.%s: missing, or %d is no count", kind, n)
		}
	}
	return nil
}

func checkKeys(m Manifest) error {
	if len(m.Keys) == 0 || len(m.Keys) > maxKeys {
		return fmt.Errorf("keys: %d keys; want 1 to %d", len(m.Keys), maxKeys)
	}
	for i, k := range m.Keys {
		if _, err := ParseDigest(k.KeyID); err != nil {
			return fmt.Errorf("keys[%d].keyId: %w", i, err)
		}
		if !keyAlgForm.MatchString(k.Algorithm) {
			return fmt.Errorf("keys[%d].algorithm: %.100q", i, k.Algorithm)
		}
	}
	byID := func(a, b Key) int { return strings.Compare(a.KeyID, b.KeyID) }
	if !slices.IsSortedFunc(m.Keys, byID) || len(slices.CompactFunc(slices.Clone(m.Keys), func(a, b Key) bool { return a.KeyID == b.KeyID })) != len(m.Keys) {
		return fmt.Errorf("keys: not in order of keyId, or one is there twice")
	}
	return nil
}

func checkTool(m Manifest) error {
	if err := checkText("tool.name", m.Tool.Name); err != nil {
		return err
	}
	if err := checkText("tool.version", m.Tool.Version); err != nil {
		return err
	}
	if len(m.Tool.Adapters) == 0 {
		return fmt.Errorf("tool.adapters: none")
	}
	for _, name := range slices.Sorted(maps.Keys(m.Tool.Adapters)) {
		if err := checkText("tool.adapters", name); err != nil {
			return err
		}
		if err := checkText("tool.adapters."+name, m.Tool.Adapters[name]); err != nil {
			return err
		}
	}
	return nil
}
