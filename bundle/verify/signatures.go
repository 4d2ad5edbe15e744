package verify

import (
	"bytes"
	"context"
	"errors"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/signing"
)

// signatures checks all signatures before anything they cover is parsed: five, and of an
// encrypted bundle two more.
func (v *verifier) signatures(context.Context) *Failure {
	for _, s := range []struct {
		artifact, path string
		open           func(text, artifact []byte) (string, error)
	}{
		{bundle.ManifestPath, bundle.ManifestBundlePath, v.openMessage},
		{bundle.ManifestPath, bundle.ManifestEnvelopePath, v.openEnvelope(bundle.ManifestPayloadType)},
		{bundle.ProvenancePath, bundle.ProvenanceBundlePath, v.openStatement},
		{bundle.ProvenancePath, bundle.ProvenanceEnvelopePath, v.openEnvelope(bundle.StatementPayloadType)},
	} {
		if failure := v.signature(s.artifact, s.path, s.open); failure != nil {
			return failure
		}
	}
	if failure := v.sealSignature(); failure != nil || !v.isEncrypted() {
		return failure
	}
	return v.outerSignatures()
}

var errSignedOther = errors.New("it is a signature of other bytes")

func (v *verifier) openMessage(text, artifact []byte) (string, error) {
	return signing.OpenMessageBundle(text, artifact, v.trust)
}

func (v *verifier) openEnvelope(payloadType string) func(text, artifact []byte) (string, error) {
	return func(text, artifact []byte) (string, error) {
		payload, keyID, err := signing.OpenEnvelope(text, payloadType, v.trust)
		if err == nil && !bytes.Equal(payload, artifact) {
			err = errSignedOther
		}
		return keyID, err
	}
}

func (v *verifier) openStatement(text, artifact []byte) (string, error) {
	payload, keyID, err := signing.OpenDSSEBundle(text, bundle.StatementPayloadType, v.trust)
	if err == nil && !bytes.Equal(payload, artifact) {
		err = errSignedOther
	}
	return keyID, err
}

// signature checks the signature at path over the entry artifact.
func (v *verifier) signature(artifact, path string, open func(text, artifact []byte) (string, error)) *Failure {
	signed, failure := v.document(artifact)
	if failure != nil {
		return failure
	}
	text, failure := v.document(path)
	if failure != nil {
		return failure
	}
	keyID, err := open(text, signed)
	return v.signed(artifact, path, keyID, err)
}

// sealSignature checks the seal's signature and keeps its payload.
func (v *verifier) sealSignature() *Failure {
	text, failure := v.document(bundle.SealPath)
	if failure != nil {
		return failure
	}
	payload, keyID, err := signing.OpenEnvelope(text, bundle.SealPayloadType, v.trust)
	if failure := v.signed("seal", bundle.SealPath, keyID, err); failure != nil {
		return failure
	}
	if v.seal, err = bundle.ParseSeal(payload); err != nil {
		return fail(ClassContent, ReasonSeal, bundle.SealPath, "%v", err)
	}
	return nil
}

// signed records what came of a signature.
func (v *verifier) signed(artifact, path, keyID string, err error) *Failure {
	s := Signature{Artifact: artifact, Path: path, OK: err == nil}
	if err == nil {
		s.KeyID = keyID
		for _, key := range v.trust {
			if key.KeyID() == keyID {
				s.Algorithm = string(key.Algorithm())
			}
		}
	}
	v.report.Signatures = append(v.report.Signatures, s)
	if err == nil {
		return nil
	}
	return fail(ClassSignature, reasonOf(err), path, "signature over %s: %v", artifact, err)
}

func reasonOf(err error) Reason {
	switch {
	case errors.Is(err, errSignedOther):
		return ReasonSignedOther
	case errors.Is(err, signing.ErrUnknownKey):
		return ReasonUntrustedKey
	case errors.Is(err, signing.ErrPayloadType):
		return ReasonPayloadType
	case errors.Is(err, signing.ErrEncoding):
		return ReasonSignatureEncoding
	}
	return ReasonSignatureInvalid
}
