package verify_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/signing"
)

// jsonMutations are texts on which readers of JSON differ, in each of the three
// signed documents, signed and sealed by the right key.
func jsonMutations() []mutation {
	first := func(members string) func([]byte) []byte {
		return func(text []byte) []byte { return append([]byte("{"+members+","), text[1:]...) }
	}
	replace := func(old, replacement string) func([]byte) []byte {
		return func(text []byte) []byte {
			if !bytes.Contains(text, []byte(old)) {
				panic(old + " is not in " + string(text))
			}
			return bytes.Replace(text, []byte(old), []byte(replacement), 1)
		}
	}
	whole := func(text string) func([]byte) []byte { return func([]byte) []byte { return []byte(text) } }
	around := func(before, after string) func([]byte) []byte {
		return func(text []byte) []byte { return []byte(before + string(text) + after) }
	}
	var all []mutation
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
	}{
		{"first member twice", func(text []byte) []byte {
			member, _, _ := bytes.Cut(text[1:], []byte(","))
			return first(string(member))(text)
		}},
		{"duplicate under an escape", func(text []byte) []byte {
			name, _, _ := bytes.Cut(text[2:], []byte(`"`))
			return first(`"\u00` + "0123456789abcdef"[name[0]>>4:][:1] + "0123456789abcdef"[name[0]&15:][:1] + string(name[1:]) + `":1`)(text)
		}},
		{"byte order mark", around("\xef\xbb\xbf", "")}, {"UTF-16", func(text []byte) []byte { return bytes.Join(bytes.Split(text, nil), []byte{0}) }},
		{"NUL after it", around("", "\x00")}, {"line feed after it", around("", "\n")}, {"another document after it", around("", "{}")},
		{"garbage after it", around("", "x")}, {"in an array", around("[", "]")}, {"comment", around("//\n", "")}, {"comma at the end", replace(`}`, `,}`)},
		{"single quotes", replace(`"`, `'`)}, {"null", whole("null")}, {"empty", whole("")}, {"only white space", whole(" ")}, {"array", whole("[]")}, {"text", whole(`"x"`)},
		{"empty object", whole("{}")}, {"cut", func(text []byte) []byte { return text[:len(text)-1] }},
		{"lone surrogate", first(`"\ud800":1`)}, {"surrogates in the wrong order", first(`"\udc00\ud800":1`)}, {"not UTF-8", first("\"\xff\":1")},
		{"overlong UTF-8", first("\"\xc0\xaf\":1")}, {"surrogate in UTF-8", first("\"\xed\xa0\x80\":1")}, {"control character", first("\"\x01\":1")}, {"NUL in a name", first(`"\u0000":1`)},
		{"2^53 + 1", first(`"AA":9007199254740993`)}, {"number beyond float64", first(`"AA":1e400`)}, {"number of a million digits", first(`"AA":` + strings.Repeat("9", 1_000_000))},
		{"zero below zero", first(`"AA":-0`)}, {"leading zero", first(`"AA":01`)}, {"hexadecimal", first(`"AA":0x1`)}, {"not a number", first(`"AA":NaN`)}, {"infinity", first(`"AA":-Infinity`)},
		{"10,000 levels", first(`"AA":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000))},
		{"100,000 open levels", first(`"AA":` + strings.Repeat(`{"a":`, 100_000))},
		{"100,000 unknown members", func(text []byte) []byte {
			var b strings.Builder
			for n := range 100_000 {
				b.WriteString(`"AA` + strings.Repeat("\x21", n%7) + strings.ToUpper(bundle.DigestOf([]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Hex()[:16]) + `":1,`)
			}
			return first(strings.TrimSuffix(b.String(), ","))(text)
		}},
		{"space after a colon", replace(`":`, `": `)}, {"space before a colon", replace(`":`, `" :`)}, {"tab", replace(`,`, ",\t")},
		{"escape that is not needed", replace(`"tenant"`, `"\u0074enant"`)}, {"capital in a name", replace(`"tenant"`, `"tenanT"`)},
		{"Kelvin sign for k", first(`"\u212aeys":[]`)}, {"tenant is null", replace(`"tenant":"acme"`, `"tenant":null`)},
		{"tenant is a list", replace(`"tenant":"acme"`, `"tenant":["acme"]`)}, {"tenant is an object", replace(`"tenant":"acme"`, `"tenant":{"acme":1}`)},
		{"tenant is empty", replace(`"tenant":"acme"`, `"tenant":""`)}, {"tenant leads out", replace(`"tenant":"acme"`, `"tenant":"../acme"`)},
		{"tenant with a look-alike", replace(`"tenant":"acme"`, `"tenant":"асme"`)}, {"tenant is absent", replace(`"tenant":"acme"`, `"x":"acme"`)},
	} {
		provenance := verify.ReasonProvenance
		if strings.HasPrefix(c.name, "tenant is empty") || strings.HasPrefix(c.name, "tenant leads") || strings.HasPrefix(c.name, "tenant with") {
			provenance = verify.ReasonProvenanceMismatch // well formed, but not the manifest's
		}
		documents := []mutation{
			textMutation("manifest: "+c.name, verify.ReasonManifest, bundle.ManifestPath, c.change),
			textMutation("provenance: "+c.name, provenance, bundle.ProvenancePath, c.change),
			textMutation("seal: "+c.name, verify.ReasonSeal, bundle.SealPath, c.change),
		}
		for _, m := range documents {
			if strings.Contains(c.name, "100,000") || strings.Contains(c.name, "a million") {
				m.only = signing.ECDSAP256 // takes long, and the key plays no part
			}
			all = append(all, m)
		}
	}
	for _, c := range []struct{ name, old, replacement string }{
		{"negative count", `"records":3`, `"records":-3`}, {"count as text", `"records":3`, `"records":"3"`}, {"count beyond int64", `"records":3`, `"records":9223372036854775808`},
		{"count with an exponent", `"records":3`, `"records":3e0`},
		{"codec of another", `"codec":"zstd"`, `"codec":"gzip"`}, {"several frames", `one-per-file,checksum`, `many`}, {"frames without a checksum", `one-per-file,checksum`, `one-per-file`},
		{"absolute payload path", `"path":"data/`, `"path":"/data/`}, {"digest of another length", `"digest":"sha256:`, `"digest":"sha512:`}, {"run id of another", `"exportId":"0`, `"exportId":"1`},
		{"run id with a slash", `"runId":"0`, `"runId":"/`}, {"terminal in a text", `"name":"json-raw"`, `"name":"\u001b[2J"`}, {"right to left in a text", `"name":"json-raw"`, `"name":"\u202ejson"`},
		{"time without seconds", `08:00:00Z`, `08:00Z`}, {"leap second", `08:00:00Z`, `23:59:60Z`}, {"next major version", `"version":"1.1.0"`, `"version":"2.0.0"`},
		{"redaction of nothing", `"rerunHash"`, `"redaction":{"droppedFields":{},"policyId":""},"rerunHash"`},
	} {
		all = append(all, textMutation("manifest: "+c.name, verify.ReasonManifest, bundle.ManifestPath, replace(c.old, c.replacement)))
	}
	for _, c := range []struct{ name, old, replacement string }{
		{"statement type of another", `in-toto.io/Statement/v1`, `in-toto.io/Statement/v0.1`}, {"build type of another", `"buildType":"`, `"buildType":"x`},
		{"unknown external parameter", `"externalParameters":{`, `"externalParameters":{"A":1,`},
		{"subject in another digest", `"digest":{"sha256":`, `"digest":{"sha512":`}, {"two digests of a subject", `"digest":{"sha256":`, `"digest":{"md5":"","sha256":`},
		{"log proof of another kind", `"kind":"none"`, `"kind":"rekor"`},
	} {
		all = append(all, textMutation("provenance: "+c.name, verify.ReasonProvenance, bundle.ProvenancePath, replace(c.old, c.replacement)))
	}
	for _, c := range []struct{ name, old, replacement string }{
		{"schema of another", `seal/v1`, `seal/v2`}, {"bytes below zero", `"bytes":`, `"bytes":-`}, {"bytes that are no blocks", `,"digest"`, `1,"digest"`},
	} {
		all = append(all, textMutation("seal: "+c.name, verify.ReasonSeal, bundle.SealPath, replace(c.old, c.replacement)))
	}
	for _, c := range []struct {
		name, member string
		value        any
		reason       verify.Reason
		path         string
	}{
		{"contents are null", "contents", nil, verify.ReasonManifest, bundle.ManifestPath}, {"no contents", "contents", []any{}, verify.ReasonManifest, bundle.ManifestPath},
		{"no keys", "keys", []any{}, verify.ReasonManifest, bundle.ManifestPath}, {"compression is null", "compression", nil, verify.ReasonManifest, bundle.ManifestPath},
		{"no subject", "subject", []any{}, verify.ReasonProvenance, bundle.ProvenancePath}, {"predicate is null", "predicate", nil, verify.ReasonProvenance, bundle.ProvenancePath},
		{"fewer bytes than a block", "bytes", 1, verify.ReasonSeal, bundle.SealPath}, {"bytes of 2^53", "bytes", 1 << 53, verify.ReasonSealLength, bundle.SealPath},
		{"digest of zeros", "digest", bundle.Digest{}.String(), verify.ReasonSeal, bundle.SealPath}, {"digest is null", "digest", nil, verify.ReasonSeal, bundle.SealPath},
	} {
		all = append(all, textMutation("of "+c.path+": "+c.name, c.reason, c.path, func(text []byte) []byte {
			var members map[string]any
			if err := json.Unmarshal(text, &members); err != nil {
				panic(err)
			}
			members[c.member] = c.value
			out, err := bundle.MarshalCanonical(members)
			if err != nil {
				panic(err)
			}
			return out
		}))
	}
	return all
}

// textMutation changes the text of a document before the right key signs it.
func textMutation(name string, reason verify.Reason, path string, change func([]byte) []byte) mutation {
	m := mutation{name: "signed " + name, class: verify.ClassContent, reason: reason, path: path}
	if path == bundle.SealPath {
		m.whole = func(t *testing.T, b *bundletest.Bundle) []byte {
			b.SealText(t, b.Signer, bundle.SealPayloadType, change(bytes.Clone(open(t, path, b.Data(t, path)).payload)))
			return b.Raw(t)
		}
		return m
	}
	m.options = &bundletest.Options{Documents: func(at string, encoded []byte) []byte {
		if at != path {
			return encoded
		}
		return change(bytes.Clone(encoded))
	}}
	return m
}
