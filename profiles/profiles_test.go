package profiles_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/profiles"
)

func TestCheckGivesTheOneForm(t *testing.T) {
	for text, want := range map[string]export.ProfileConfig{
		`{}`: {},
		`{"include":["vex","advisories"],"distribution":["http"],"policySnapshotMode":"required"}`: {
			Include: []string{"advisories", "vex"}, Distribution: []string{"http"}, PolicySnapshotMode: "required"},
		`{"compression":{"codec":"zstd","level":3},"encryption":{"enabled":false},"retention":{"mode":"none"}}`: {
			Compression: &export.Compression{Codec: "zstd", Level: 3}, Encryption: &export.Encryption{}, Retention: &export.Retention{Mode: "none"}},
		`{"redaction":{"policyId":"p","allow":{"vex":["b","a"]},"linkset":["products","aliases"]}}`: {
			Redaction: &export.Redaction{PolicyID: "p", Allow: map[string][]string{"vex": {"a", "b"}}, Linkset: []string{"aliases", "products"}}},
	} {
		got, err := profiles.Check("json", "raw", []byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestCheckNamesTheMember(t *testing.T) {
	for text, field := range map[string]string{
		`[]`: "config", `null`: "config", `{"a":1}`: "config", `{"include":["vex"],"include":[]}`: "config", `{"Include":["vex"]}`: "config",
		`{"include":[]}`: "config.include", `{"include":["vex","vex"]}`: "config.include", `{"include":["policies"]}`: "config.include[0]",
		`{"include":"vex"}`: "config", `{"policySnapshotMode":"always"}`: "config.policySnapshotMode",
		`{"distribution":[]}`: "config.distribution", `{"distribution":["http","oci"]}`: "config.distribution[1]", `{"distribution":["ftp"]}`: "config.distribution[0]",
		`{"compression":{}}`: "config.compression", `{"compression":{"codec":"gzip"}}`: "config.compression", `{"compression":{"codec":"zstd","level":19}}`: "config.compression",
		`{"compression":{"codec":"lz4"}}`:                                        "config.compression.codec",
		`{"encryption":{"enabled":true,"mode":"age","recipientKeys":["age1x"]}}`: "config.encryption.recipientKeys[0]", `{"encryption":{"enabled":false,"strict":true}}`: "config.encryption",
		`{"encryption":{"enabled":true}}`: "config.encryption", `{"encryption":{"enabled":true,"mode":"none","recipientKeys":["kms://k"]}}`: "config.encryption.mode",
		`{"encryption":{"enabled":true,"mode":"age","recipientKeys":[]}}`:                                                                 "config.encryption.recipientKeys",
		`{"encryption":{"enabled":true,"mode":"age","recipientKeys":["kms://k"]}}`:                                                        "config.encryption.recipientKeys[0]",
		`{"encryption":{"enabled":true,"mode":"age","recipientKeys":["age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"]}}`: "config.encryption.recipientKeys[0]",
		`{"encryption":{"enabled":true,"mode":"aes-gcm","recipientKeys":["kms://k","kms://k"]}}`:                                          "config.encryption.recipientKeys",
		`{"retention":{"mode":"days","days":30}}`:                                                                                         "config.retention", `{"retention":{"mode":"for ever"}}`: "config.retention.mode", `{"retention":{"mode":"none","days":3}}`: "config.retention",
		`{"quotas":{}}`: "config.quotas", `{"quotas":{"maxBytes":0}}`: "config.quotas.maxBytes", `{"quotas":{"maxRunsPerDay":-1}}`: "config.quotas.maxRunsPerDay",
		`{"quotas":{"maxConcurrentRuns":1001}}`: "config.quotas.maxConcurrentRuns", `{"quotas":{"maxBytes":9007199254740992}}`: "config",
		`{"quotas":{"maxRuns":1}}`:                                "config",
		`{"quotas":{"maxConcurrentRuns":1.5}}`:                    "config",
		`{"redaction":{"policyId":"p","allow":{"vex":["a[0]"]}}}`: "config.redaction.allow.vex[0]", `{"redaction":{"policyId":"","allow":{"vex":["*"]}}}`: "config.redaction.policyId",
		`{"redaction":{"policyId":"p","allow":{"virus":["*"]}}}`:                                                "config.redaction.allow",
		`{"approvals":[{"tenant":"Globex","approver":"a","expiresAt":"2027-01-01T00:00:00Z","signature":"x"}]}`: "config.approvals[0].tenant",
		`{"approvals":[{"tenant":"globex","approver":"a","expiresAt":"soon","signature":"x"}]}`:                 "config",
	} {
		_, err := profiles.Check("json", "raw", []byte(text))
		require.Equal(t, export.CodeValidation, export.CodeOf(err), text)
		var coded *export.Error
		require.ErrorAs(t, err, &coded)
		require.True(t, coded.Field == field || strings.HasPrefix(coded.Field, field+"."), "%s: %s: %v", text, coded.Field, err)
		require.NotContains(t, coded.Message, "export.", "%s", text)
		require.NotContains(t, coded.Message, "Go ", "%s", text)
	}
}

// What is not carried out is refused with the reason, not with the schema's words.
func TestWhatIsNotCarriedOutIsSaid(t *testing.T) {
	for text, says := range map[string]string{
		`{"distribution":["oci"]}`: "oci is not served by this version; http is",
		`{"encryption":{"enabled":true,"mode":"age","recipientKeys":["kms://k"]}}`: "use mode aes-gcm",
		`{"retention":{"mode":"count"}}`:                                           "mode count is not carried out by this version",
		`{"compression":{"codec":"none"}}`:                                         "zstd level 3",
		`{"include":["policies","advisory"]}`:                                      "config.include[1]",
	} {
		_, err := profiles.Check("json", "raw", []byte(text))
		require.ErrorContains(t, err, says)
	}
}

func TestKindsAreRefusedByName(t *testing.T) {
	require.Equal(t, []string{"json/raw", "json/policy", "trivy/db", "trivy/java-db", "mirror/full", "mirror/delta"}, profiles.Served())
	_, err := profiles.Check("risk", "bundle", []byte(`{}`))
	require.ErrorContains(t, err, "kind risk/bundle is not served by this version")
	_, err = profiles.Check("json", "cooked", []byte(`{}`))
	require.ErrorContains(t, err, `"json/cooked" is not a kind`)
	for _, p := range export.BuiltinProfiles() {
		require.Contains(t, profiles.Served(), p.Kind+"/"+p.Variant)
	}
}

// docs/formats has the schemas as they are published.
func TestSchemasAreInTheDocs(t *testing.T) {
	for _, label := range profiles.Served() {
		name := profiles.SchemaName(strings.Replace(label, "/", "-", 1))
		published, found := profiles.Schema(name)
		require.True(t, found)
		doc, err := os.ReadFile("../docs/formats/export-profile/" + name)
		require.NoError(t, err)
		require.Equal(t, string(published), string(doc))
	}
	for _, name := range []string{"../profiles.go", "x.json", "", ".", "..", "json-raw", "JSON-RAW.json", "\x00"} {
		_, found := profiles.Schema(name)
		require.False(t, found, name)
	}
}

// Whatever configuration arrives is refused with a member's name, or has one
// form that is taken as it is.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{`{}`, `{"include":["vex","advisories"]}`, `{"compression":{"codec":"zstd"}}`, `{"redaction":{"policyId":"p","allow":{"vex":["*"]}}}`,
		`{"approvals":[{"tenant":"globex","approver":"a","expiresAt":"2027-01-01T00:00:00+01:00","signature":"x"}]}`, `[]`, `{"include":null}`, `{"retention":{"mode":"days"}}`,
		`{"quotas":{"maxConcurrentRuns":2,"maxRunsPerDay":1e2,"maxBytes":9007199254740991}}`, `{"quotas":{"maxBytes":1.0}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		config, err := profiles.Check("json", "raw", raw)
		if err != nil {
			if export.CodeOf(err) != export.CodeValidation {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		text, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		again, err := profiles.Check("json", "raw", text)
		if err != nil || !again.SameAs(config) {
			t.Fatalf("%q became %s, and that %+v, %v", raw, text, again, err)
		}
	})
}

// TestEncryption: recipients are a set, every kind takes them, and a strict profile
// wants a key service for its keys of one.
func TestEncryption(t *testing.T) {
	const recipient = "age1gxnnr3dg739rxsynggdz4rxlccye270kdq4cjp0hlmz0d9w4uv8qqtsyld"
	text := `{"encryption":{"enabled":true,"mode":"aes-gcm","recipientKeys":["kms://keys/export","` + recipient + `"],"strict":true}}`
	for _, label := range profiles.Served() {
		kind, variant, _ := strings.Cut(label, "/")
		config, err := profiles.Check(kind, variant, []byte(text))
		require.NoError(t, err, label)
		require.Equal(t, &export.Encryption{Enabled: true, Mode: "aes-gcm", RecipientKeys: []string{recipient, "kms://keys/export"}, Strict: true}, config.Encryption)
		require.NoError(t, profiles.CheckKeyService(config, true))
		require.ErrorContains(t, profiles.CheckKeyService(config, false), "has no key service")
		config.Encryption.Strict = false
		require.NoError(t, profiles.CheckKeyService(config, false))
	}
	require.Nil(t, (&export.Encryption{}).Terms())
	// A secret key in the wrong place is not told to anybody.
	_, err := profiles.Check("json", "raw", []byte(`{"encryption":{"enabled":true,"mode":"age","recipientKeys":["AGE-SECRET-KEY-1QQPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQQPZRY9X8GF2TVDW0S3JN54KHC"]}}`))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "1QQPZRY9")
}
