package verify

import (
	"context"

	"github.com/stella-ops/exportcenter/bundle"
)

// checkManifest reads the manifest, whose signature is good, and holds the
// archive against it.
func (v *verifier) checkManifest(context.Context) *Failure {
	text, failure := v.document(bundle.ManifestPath)
	if failure != nil {
		return failure
	}
	m, err := bundle.ParseManifest(text)
	if err != nil {
		return fail(ClassContent, ReasonManifest, bundle.ManifestPath, "%v", err)
	}
	v.manifest = m
	v.report.RunID, v.report.Tenant = m.RunID, m.Tenant
	v.report.ManifestDigest = bundle.DigestOf(text).String()
	v.report.PayloadDigest, v.report.RerunHash = m.PayloadDigest.String(), m.RerunHash.String()
	v.report.Records, v.report.Files = m.Counts.Records, m.Counts.Files
	v.passed("manifest", bundle.ManifestPath)
	if failure := v.checkKeys(); failure != nil {
		return failure
	}
	return v.checkListing()
}

// checkKeys requires that each signature is by a key the manifest names.
func (v *verifier) checkKeys() *Failure {
	algorithms := map[string]string{}
	for _, k := range v.manifest.Keys {
		algorithms[k.KeyID] = k.Algorithm
	}
	for _, s := range v.report.Signatures {
		if algorithm, ok := algorithms[s.KeyID]; !ok || algorithm != s.Algorithm {
			return fail(ClassSignature, ReasonKeyNotListed, s.Path,
				"is by the key %s (%s), which the manifest does not list", s.KeyID, s.Algorithm)
		}
	}
	v.passed("keys", bundle.ManifestPath)
	return nil
}

// checkListing requires that the payload files of the archive are exactly the
// manifest's contents.
func (v *verifier) checkListing() *Failure {
	if v.isEncrypted() { // what there is instead is held against encryption.json
		return nil
	}
	listed := map[string]bool{}
	for _, c := range v.manifest.Contents {
		listed[c.Path] = true
		i, ok := v.byPath[c.Path]
		if !ok {
			return fail(ClassAbsent, ReasonMissing, c.Path, "the manifest lists it, the archive does not have it")
		}
		if have := v.entries[i].size; have != c.Bytes && !v.mayDiffer(c) {
			return fail(ClassContent, ReasonPayloadSize, c.Path, "has %d bytes, the manifest says %d", have, c.Bytes)
		}
	}
	for _, e := range v.entries {
		if bundle.IsPayload(e.path) && !listed[e.path] {
			return fail(ClassContent, ReasonUnlisted, e.path, "is in the archive, but the manifest does not list it")
		}
	}
	v.passed("payload listing", bundle.ManifestPath)
	return nil
}

// checkPolicy holds the manifest's word on the policy against the policy snapshot,
// whose bytes are known to be those that were signed. That the decisions follow
// from it is for a replay to prove.
func (v *verifier) checkPolicy(context.Context) *Failure {
	if v.manifest.Policy == nil {
		return nil
	}
	text, failure := v.document(bundle.PolicySnapshotPath)
	if failure != nil {
		return failure
	}
	if v.listed[bundle.PolicySnapshotPath] != bundle.DigestOf(text) {
		return fail(ClassContent, ReasonPayloadDigest, bundle.PolicySnapshotPath, "changed while the archive was read")
	}
	said, err := bundle.PolicyOf(text)
	if err != nil {
		return fail(ClassContent, ReasonPolicy, bundle.PolicySnapshotPath, "%v", err)
	}
	if said != *v.manifest.Policy {
		return fail(ClassContent, ReasonPolicy, bundle.PolicySnapshotPath, "says other than the manifest's policy member")
	}
	v.passed("policy snapshot", bundle.PolicySnapshotPath)
	return nil
}

func (v *verifier) checkProvenance(context.Context) *Failure {
	text, failure := v.document(bundle.ProvenancePath)
	if failure != nil {
		return failure
	}
	p, err := bundle.ParseProvenance(text)
	if err != nil {
		return fail(ClassContent, ReasonProvenance, bundle.ProvenancePath, "%v", err)
	}
	if err := p.Describes(v.manifest, bundle.DigestOf(v.documents[bundle.ManifestPath])); err != nil {
		return fail(ClassContent, ReasonProvenanceMismatch, bundle.ProvenancePath, "%v", err)
	}
	v.passed("provenance", bundle.ProvenancePath)
	return nil
}

// checkChecksums requires that checksums.txt names every entry but itself and
// the seal; the digests are compared with the entries later.
func (v *verifier) checkChecksums(context.Context) *Failure {
	text, failure := v.document(bundle.ChecksumsPath)
	if failure != nil {
		return failure
	}
	files, err := bundle.ParseChecksums(text)
	if err != nil {
		return fail(ClassContent, ReasonChecksums, bundle.ChecksumsPath, "%v", err)
	}
	v.listed = make(map[string]bundle.Digest, len(files))
	for _, f := range files {
		v.listed[f.Path] = f.Digest
		if _, ok := v.byPath[v.storedAt(f.Path)]; !ok || !summed(f.Path) {
			return fail(ClassContent, ReasonChecksumsMismatch, bundle.ChecksumsPath, "lists %s, which it should not", f.Path)
		}
	}
	for _, e := range v.entries {
		path := v.plainPath(e.path)
		if _, ok := v.listed[path]; !ok && path != "" && summed(path) {
			return fail(ClassContent, ReasonChecksumsMismatch, bundle.ChecksumsPath, "does not list %s", path)
		}
	}
	if failure := v.sumsOfSecrets(); failure != nil {
		return failure
	}
	v.passed("checksums listing", bundle.ChecksumsPath)
	return nil
}

// summed reports whether checksums.txt lists path.
func summed(path string) bool { return path != bundle.ChecksumsPath && path != bundle.SealPath }
