package verify_test

import (
	"bytes"
	"encoding/hex"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

// documentMutations are bundles whose maker signed something wrong.
func documentMutations() []mutation {
	options := func(name string, reason verify.Reason, path string, o bundletest.Options) mutation {
		return mutation{name: name, class: verify.ClassContent, reason: reason, path: path, options: &o}
	}
	document := func(name string, reason verify.Reason, path, old, replacement string) mutation {
		return options(name, reason, path, bundletest.Options{Documents: func(at string, encoded []byte) []byte {
			if at != path {
				return encoded
			}
			if !bytes.Contains(encoded, []byte(old)) {
				panic(old + " is not in " + string(encoded))
			}
			return bytes.Replace(encoded, []byte(old), []byte(replacement), 1)
		}})
	}
	manifest := func(name, old, replacement string) mutation {
		return document("signed manifest: "+name, verify.ReasonManifest, bundle.ManifestPath, old, replacement)
	}
	provenance := func(name string, reason verify.Reason, change func(*bundle.Provenance)) mutation {
		return options("signed provenance: "+name, reason, bundle.ProvenancePath, bundletest.Options{Provenance: change})
	}
	sums := func(name string, reason verify.Reason, path string, change func([]byte) []byte) mutation {
		return options("sealed checksums: "+name, reason, path, bundletest.Options{Checksums: change})
	}
	return []mutation{
		manifest("duplicate key", `"tenant":`, `"tenant":"evil","tenant":`),
		manifest("key in other case", `"tenant":`, `"Tenant":`),
		manifest("unknown field", `{`, `{"Aa":1,`),
		manifest("space", `:`, `: `),
		manifest("line feed", `{`, "\n{"),
		manifest("two documents", `{`, `{}{`),
		manifest("not an object", `{`, `[{`),
		manifest("counts do not add up", `"records":3`, `"records":4`),
		manifest("other payload digest", `"payloadDigest":"sha256:`, `"payloadDigest":"sha256:0`),
		manifest("order missing", `"order":1`, `"order":0`),
		manifest("schema of something else", `v1alpha2`, `v1alpha3`),
		manifest("number with a fraction", `"revision":1`, `"revision":1.0`),
		manifest("time with an offset", `08:00:00Z`, `08:00:00+00:00`),
		manifest("payload out of its directory", `data/raw/`, `data/../`),
		document("signed provenance: duplicate key", verify.ReasonProvenance, bundle.ProvenancePath, `"_type":`, `"_type":"x","_type":`),
		document("signed provenance: unknown field", verify.ReasonProvenance, bundle.ProvenancePath, `{`, `{"A":1,`),
		document("signed provenance: other predicate type", verify.ReasonProvenance, bundle.ProvenancePath, `slsa.dev/provenance/v1`, `slsa.dev/provenance/v0`),
		document("signed provenance: other builder", verify.ReasonProvenance, bundle.ProvenancePath, `builder/export-center`, `builder/import-center`),
		provenance("of another manifest", verify.ReasonProvenanceMismatch, func(p *bundle.Provenance) { p.Subject[0].Digest.SHA256 = strings.Repeat("0", 64) }),
		provenance("of another payload", verify.ReasonProvenanceMismatch, func(p *bundle.Provenance) { p.Subject[1].Digest.SHA256 = strings.Repeat("0", 64) }),
		provenance("of another run", verify.ReasonProvenanceMismatch, func(p *bundle.Provenance) {
			p.Predicate.RunDetails.Metadata.InvocationID = "019a0000-0000-7000-8000-00000000000f"
		}),
		provenance("of another tenant", verify.ReasonProvenanceMismatch, func(p *bundle.Provenance) {
			p.Predicate.BuildDefinition.ExternalParameters.Tenant = "evil"
		}),
		provenance("of other selectors", verify.ReasonProvenanceMismatch, func(p *bundle.Provenance) {
			p.Predicate.BuildDefinition.ExternalParameters.Selectors = []byte(`{"kinds":["vex"]}`)
		}),
		provenance("of another version", verify.ReasonProvenanceMismatch, func(p *bundle.Provenance) {
			p.Predicate.RunDetails.Builder.Version["exportcenter"] = "v9"
		}),
		sums("not sorted", verify.ReasonChecksums, bundle.ChecksumsPath, func(b []byte) []byte {
			lines := bytes.SplitAfter(b, []byte("\n"))
			lines[0], lines[1] = lines[1], lines[0]
			return bytes.Join(lines, nil)
		}),
		sums("one space", verify.ReasonChecksums, bundle.ChecksumsPath, func(b []byte) []byte { return bytes.Replace(b, []byte("  "), []byte(" "), 1) }),
		sums("binary mark", verify.ReasonChecksums, bundle.ChecksumsPath, func(b []byte) []byte { return bytes.Replace(b, []byte("  "), []byte(" *"), 1) }),
		sums("capital digits", verify.ReasonChecksums, bundle.ChecksumsPath, func(b []byte) []byte { return append(bytes.ToUpper(b[:64]), b[64:]...) }),
		sums("no line feed at the end", verify.ReasonChecksums, bundle.ChecksumsPath, func(b []byte) []byte { return b[:len(b)-1] }),
		sums("carriage returns", verify.ReasonChecksums, bundle.ChecksumsPath, func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) }),
		sums("a line missing", verify.ReasonChecksumsMismatch, bundle.ChecksumsPath, func(b []byte) []byte { return b[bytes.IndexByte(b, '\n')+1:] }),
		sums("empty", verify.ReasonChecksumsMismatch, bundle.ChecksumsPath, func([]byte) []byte { return nil }),
		sums("lists what is not there", verify.ReasonChecksumsMismatch, bundle.ChecksumsPath, func(b []byte) []byte {
			return append([]byte(hex.EncodeToString(make([]byte, 32))+"  A.md\n"), b...)
		}),
		sums("lists the seal", verify.ReasonChecksumsMismatch, bundle.ChecksumsPath, func(b []byte) []byte {
			return append(b, []byte(hex.EncodeToString(make([]byte, 32))+"  "+bundle.SealPath+"\n")...)
		}),
		sums("another digest", verify.ReasonDigest, bundle.ReadmePath, func(b []byte) []byte { return append(bytes.Repeat([]byte("0"), 64), b[64:]...) }),
		options("seal of another run", verify.ReasonSealMismatch, bundle.SealPath, bundletest.Options{Seal: func(s *bundle.Seal) { s.RunID = "other-run" }}),
		options("seal of another tenant", verify.ReasonSealMismatch, bundle.SealPath, bundletest.Options{Seal: func(s *bundle.Seal) { s.Tenant = "evil" }}),
		options("seal of fewer bytes", verify.ReasonSealLength, bundle.SealPath, bundletest.Options{Seal: func(s *bundle.Seal) { s.Bytes -= 512 }}),
		options("seal of other bytes", verify.ReasonSealDigest, bundle.SealPath, bundletest.Options{Seal: func(s *bundle.Seal) { s.Digest[0] ^= 1 }}),
	}
}
