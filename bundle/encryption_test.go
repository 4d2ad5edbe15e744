package bundle_test

import (
	"encoding/base64"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/sealed"
)

const (
	recipientA = "age1gxnnr3dg739rxsynggdz4rxlccye270kdq4cjp0hlmz0d9w4uv8qqtsyld"
	recipientK = "kms://keys/export"
)

// someEncryption is a good one of a mode, about an empty bundle but for one file.
func someEncryption(mode string) bundle.Encryption {
	d := bundle.DigestOf([]byte(mode))
	e := bundle.Encryption{Schema: bundle.EncryptionSchema, RunID: "019a0000-0000-7000-8000-000000000001", Tenant: "acme", Mode: mode,
		Recipients: []string{recipientA}, CipherDigest: d,
		Files: []bundle.EncryptedFile{{Path: "data/raw/advisories-0000000000000000.jsonl.zst", Bytes: 10, CipherBytes: 210, CipherDigest: d}},
		Plain: bundle.PlainArchive{ArchiveDigest: d, ArchiveBytes: 10240, ManifestDigest: d, PayloadDigest: d}}
	if mode == bundle.EncryptionGCM {
		e.AADFormat, e.NonceFormat, e.KeyCheck = bundle.AADFormat, bundle.NonceFormat, strings.Repeat("0a", 32)
		e.Recipients = append(e.Recipients, recipientK)
		for _, r := range e.Recipients {
			e.Keys = append(e.Keys, bundle.WrappedSecret{Recipient: r, WrappedKey: base64.StdEncoding.EncodeToString([]byte("wrapped"))})
		}
		e.Files[0].Nonce = strings.Repeat("0b", 12)
	}
	return e
}

func TestEncryptionRoundTrip(t *testing.T) {
	for _, mode := range []string{bundle.EncryptionAge, bundle.EncryptionGCM} {
		text, err := someEncryption(mode).Encode()
		require.NoError(t, err)
		again, err := bundle.ParseEncryption(text)
		require.NoError(t, err)
		require.Equal(t, someEncryption(mode), again)
		_, err = bundle.ParseEncryption(append(text, ' '))
		require.Error(t, err)
		_, err = bundle.ParseEncryption([]byte(strings.Replace(string(text), `"files":[{`, `"files":[ {`, 1)))
		require.Error(t, err)
	}
}

// TestEncryptionFields: each field that is wrong is refused by its name.
func TestEncryptionFields(t *testing.T) {
	for name, c := range map[string]struct {
		mode   string
		change func(e *bundle.Encryption)
	}{
		"schema":                   {"age", func(e *bundle.Encryption) { e.Schema += "x" }},
		"runId":                    {"age", func(e *bundle.Encryption) { e.RunID = "X" }},
		"tenant":                   {"age", func(e *bundle.Encryption) { e.Tenant = "A" }},
		"encryption.mode":          {"age", func(e *bundle.Encryption) { e.Mode = "none" }},
		"encryption.recipients:":   {"age", func(e *bundle.Encryption) { e.Recipients = nil }},
		"encryption.recipients[0]": {"age", func(e *bundle.Encryption) { e.Recipients = []string{"age1x"} }},
		"encryption.recipients[1]": {"age", func(e *bundle.Encryption) { e.Recipients = []string{recipientK, recipientA} }},
		"omitted: is empty":        {"age", func(e *bundle.Encryption) { e.Omitted = []bundle.OmittedRecipient{} }},
		"a recipient all the same": {"age", func(e *bundle.Encryption) {
			e.Omitted = []bundle.OmittedRecipient{{Recipient: recipientA, Reason: "x"}}
		}},
		"omitted.reason": {"age", func(e *bundle.Encryption) {
			e.Omitted = []bundle.OmittedRecipient{{Recipient: recipientK, Reason: "\x1b[31m"}}
		}},
		"omitted[0].recipient":         {"age", func(e *bundle.Encryption) { e.Omitted = []bundle.OmittedRecipient{{Recipient: "x", Reason: "x"}} }},
		"keys, keyCheck":               {"age", func(e *bundle.Encryption) { e.KeyCheck = "00" }},
		"aadFormat, nonceFormat: want": {"aes-gcm", func(e *bundle.Encryption) { e.AADFormat = "" }},
		"keyCheck: ":                   {"aes-gcm", func(e *bundle.Encryption) { e.KeyCheck = strings.Repeat("0A", 32) }},
		"keys: 1 for 2":                {"aes-gcm", func(e *bundle.Encryption) { e.Keys = e.Keys[:1] }},
		"keys[0]: is for":              {"aes-gcm", func(e *bundle.Encryption) { e.Keys[0].Recipient = recipientK }},
		"keys[1].wrappedKey":           {"aes-gcm", func(e *bundle.Encryption) { e.Keys[1].WrappedKey += "\n" }},
		"files: absent":                {"age", func(e *bundle.Encryption) { e.Files = nil }},
		"files[0].path":                {"age", func(e *bundle.Encryption) { e.Files[0].Path = "README.md" }},
		"files[1]: ":                   {"age", func(e *bundle.Encryption) { e.Files = append(e.Files, e.Files[0]) }},
		"files[0]: 10 bytes in 10":     {"age", func(e *bundle.Encryption) { e.Files[0].CipherBytes = 10 }},
		"files[0].cipherDigest":        {"age", func(e *bundle.Encryption) { e.Files[0].CipherDigest = bundle.Digest{} }},
		"files[0].nonce":               {"aes-gcm", func(e *bundle.Encryption) { e.Files[0].Nonce = "" }},
		"originals: 0":                 {"age", func(e *bundle.Encryption) { e.Originals = &bundle.EncryptedSum{} }},
		"plain.archiveBytes":           {"age", func(e *bundle.Encryption) { e.Plain.ArchiveBytes++ }},
		"plain, cipherDigest":          {"age", func(e *bundle.Encryption) { e.Plain.PayloadDigest = bundle.Digest{} }},
	} {
		e := someEncryption(c.mode)
		c.change(&e)
		_, err := e.Encode()
		require.ErrorContains(t, err, name)
	}
}

// TestCipherPaths: every path comes back, and the layer's own are none of the plain
// archive's.
func TestCipherPaths(t *testing.T) {
	for _, mode := range []string{bundle.EncryptionAge, bundle.EncryptionGCM} {
		for _, path := range append(bundle.FixedPaths(), "approvals/x.dsse.json", "data/raw/advisories-0000000000000000.jsonl.zst", "trivy/db.tar.gz",
			bundle.OriginalPath("csaf", bundle.DigestOf(nil))) {
			plain, secret, ok := bundle.PlainPath(mode, bundle.CipherPath(mode, path))
			require.True(t, ok)
			require.Equal(t, path, plain)
			require.Equal(t, bundle.IsSecret(path), secret)
		}
		for _, path := range append(bundle.EncryptionPaths(), "data/raw/advisories-0000000000000000.jsonl.zst", "data/.ag", "data/x.json") {
			_, _, ok := bundle.PlainPath(mode, path)
			require.False(t, ok, path)
		}
	}
	require.Equal(t, bundle.EncryptionAge, string(sealed.ModeAge))
	require.Equal(t, bundle.EncryptionGCM, string(sealed.ModeGCM))
	require.True(t, bundle.PathBefore(bundle.SealPath, bundle.OuterSealPath))
	require.False(t, bundle.PathBefore(bundle.OuterSealPath, bundle.SealPath))
	require.True(t, bundle.PathBefore("trivy/x", bundle.SealPath))
}

// A seal of one kind is none of the other, whatever it is signed as.
func TestSealsAreOfOneKind(t *testing.T) {
	e := someEncryption(bundle.EncryptionAge)
	outer, err := bundle.NewOuterSeal(e, e.CipherDigest, 1024).Encode()
	require.NoError(t, err)
	_, err = bundle.ParseOuterSeal(outer)
	require.NoError(t, err)
	_, err = bundle.ParseSeal(outer)
	require.ErrorContains(t, err, "schema")
	inner, err := bundle.NewSeal(bundle.Manifest{RunID: e.RunID, Tenant: e.Tenant}, e.CipherDigest, 1024).Encode()
	require.NoError(t, err)
	_, err = bundle.ParseOuterSeal(inner)
	require.ErrorContains(t, err, "schema")
}

func FuzzParseEncryption(f *testing.F) {
	for _, mode := range []string{bundle.EncryptionAge, bundle.EncryptionGCM} {
		text, err := someEncryption(mode).Encode()
		require.NoError(f, err)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := bundle.ParseEncryption(text)
		if err != nil {
			return
		}
		again, err := e.Encode()
		require.NoError(t, err)
		require.Equal(t, string(text), string(again))
	})
}

// The guide says what a stranger needs, and nothing of it where nothing is encrypted.
func TestGuideOfEncrypted(t *testing.T) {
	m := goodManifest(t)
	require.NotContains(t, string(bundle.VerifyGuide(m)), "encrypted")
	for _, mode := range []string{bundle.EncryptionAge, bundle.EncryptionGCM} {
		m.Encryption = &bundle.EncryptionTerms{Mode: mode, Recipients: []string{recipientA}}
		text := string(bundle.VerifyGuide(m))
		for _, words := range []string{"(mode " + mode + ")", recipientA, bundle.EncryptionPath, bundle.OuterSealPath, "--identity IDENTITY",
			"(" + strconv.Itoa(len(bundle.OuterSealPayloadType)) + " bytes)"} {
			require.Contains(t, text, words)
		}
		require.Equal(t, mode == bundle.EncryptionAge, strings.Contains(text, "age -d -i IDENTITY"))
	}
}
