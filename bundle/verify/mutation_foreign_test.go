package verify_test

import (
	"strings"
	"testing"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

// foreignMutations put valid pieces of another bundle of the same key into this
// one. Whatever can be made right without a key, and then the seal with it, is.
func foreignMutations() []mutation {
	same := bundletest.Options{RunID: "019a0000-0000-7000-8000-00000000000e", Manifest: func(m *bundle.Manifest) { m.GeneratedAt = "2025-11-21T08:00:00Z" }}
	others := same
	others.Shards = bundletest.Small()
	others.Shards[0].Lines = []string{`{"id":"GO-2026-0001","summary":"z"}`, `{"id":"GO-2026-0002"}`}
	globex := same
	globex.Tenant = "globex"
	manifest := []string{bundle.ManifestPath, bundle.ManifestBundlePath, bundle.ManifestEnvelopePath}
	provenance := []string{bundle.ProvenancePath, bundle.ProvenanceBundlePath, bundle.ProvenanceEnvelopePath}
	texts := []string{bundle.ReadmePath, bundle.GuidePath}
	put := func(name string, o bundletest.Options, sealed bool, class verify.Class, reason verify.Reason, path string, paths ...[]string) mutation {
		return mutation{name: name, class: class, reason: reason, path: path, pieces: func(t *testing.T, b *bundletest.Bundle) {
			o := o
			o.Signer = b.Signer
			from := bundletest.New(t, o)
			for _, group := range paths {
				for _, p := range group {
					b.Replace(t, p, from.Data(t, p))
				}
			}
			if sealed {
				b.Sum(t)
				b.Seal(t, b.Signer, bundle.SealPayloadType, nil)
			}
		}}
	}
	content, signature := verify.ClassContent, verify.ClassSignature
	payload := []string{firstShard}
	seal, sums := []string{bundle.SealPath}, []string{bundle.ChecksumsPath}
	var all []mutation
	for _, c := range []struct {
		who string
		o   bundletest.Options
	}{{"an older run of this tenant", same}, {"another tenant", globex}} {
		of := func(what string) string { return what + " of " + c.who }
		all = append(all,
			put(of("manifest and its signatures")+", sealed", c.o, true, content, verify.ReasonProvenanceMismatch, bundle.ProvenancePath, manifest),
			put(of("provenance and its signatures")+", sealed", c.o, true, content, verify.ReasonProvenanceMismatch, bundle.ProvenancePath, provenance),
			put(of("manifest and provenance with their signatures")+", sealed", c.o, true, content, verify.ReasonSealMismatch, bundle.SealPath, manifest, provenance),
			put(of("manifest and provenance with their signatures")+", the seal left", c.o, false, content, verify.ReasonDigest, "", manifest, provenance),
			put(of("all signed documents and the seal"), c.o, false, content, verify.ReasonDigest, "", manifest, provenance, seal),
			put(of("everything but the README"), c.o, false, content, verify.ReasonDigest, bundle.ReadmePath, manifest, provenance, seal, []string{bundle.GuidePath}, sums),
			put("valid "+of("seal"), c.o, false, content, verify.ReasonSealMismatch, bundle.SealPath, seal),
			put("valid "+of("checksums"), c.o, false, content, verify.ReasonDigest, "", sums),
			put(of("readme and guide")+", checksums right", c.o, false, content, verify.ReasonDigest, "", texts),
			put(of("manifest alone")+", sealed", c.o, true, signature, verify.ReasonSignatureInvalid, bundle.ManifestBundlePath, manifest[:1]),
			put(of("manifest and its message signature")+", sealed", c.o, true, signature, verify.ReasonSignedOther, bundle.ManifestEnvelopePath, manifest[:2]),
			put(of("provenance alone")+", sealed", c.o, true, signature, verify.ReasonSignedOther, bundle.ProvenanceBundlePath, provenance[:1]),
		)
	}
	return append(all,
		put("payload file of another run, valid there, sealed", others, true, content, verify.ReasonPayloadDigest, firstShard, payload),
		put("payload file and texts of another run, its checksums", others, false, content, verify.ReasonPayloadDigest, firstShard, payload, texts, sums),
		put("manifest and provenance of a run of other documents, sealed", others, true, content, verify.ReasonPayloadDigest, firstShard, manifest, provenance),
		mutation{name: "one payload file gone, checksums and seal right", class: verify.ClassAbsent, reason: verify.ReasonMissing, path: "",
			pieces: func(t *testing.T, b *bundletest.Bundle) {
				for _, e := range b.Entries {
					if strings.HasPrefix(e.Path, bundle.PayloadDir) && e.Path != firstShard {
						b.Remove(e.Path)
						break
					}
				}
				b.Sum(t)
				b.Seal(t, b.Signer, bundle.SealPayloadType, nil)
			}},
	)
}
