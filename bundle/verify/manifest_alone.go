package verify

import "github.com/stella-ops/exportcenter/bundle"

// SignedManifest verifies the manifest of a bundle alone, by its DSSE envelope, and reads
// it. It is for who must know how much there may be before anything else is read; what
// else a bundle promises, File and Reader verify. The error is an *Error.
func SignedManifest(text, envelope []byte, trust Trust) (bundle.Manifest, error) {
	if len(trust) == 0 {
		return bundle.Manifest{}, &Error{*fail(ClassAbsent, ReasonNoKey, "", "no trusted key was given, so nothing can be verified")}
	}
	v := &verifier{trust: trust}
	keyID, err := v.openEnvelope(bundle.ManifestPayloadType)(envelope, text)
	if failure := v.signed(bundle.ManifestPath, bundle.ManifestEnvelopePath, keyID, err); failure != nil {
		return bundle.Manifest{}, &Error{*failure}
	}
	m, err := bundle.ParseManifest(text)
	if err != nil {
		return m, &Error{*fail(ClassContent, ReasonManifest, bundle.ManifestPath, "%v", err)}
	}
	return m, nil
}
