package verify_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

func TestSignedManifest(t *testing.T) {
	b := bundletest.New(t, bundletest.Options{})
	text, envelope := b.Data(t, bundle.ManifestPath), b.Data(t, bundle.ManifestEnvelopePath)
	trust := verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))}
	m, err := verify.SignedManifest(text, envelope, trust)
	require.NoError(t, err)
	require.NotEmpty(t, m.ExportID)

	other := append([]byte{}, text...)
	other[len(other)/2] ^= 1
	for name, c := range map[string]struct {
		text, envelope []byte
		trust          verify.Trust
		reason         verify.Reason
	}{
		"of other bytes": {other, envelope, trust, verify.ReasonSignedOther},
		"not signed":     {text, []byte("{}"), trust, verify.ReasonSignatureEncoding},
		"another's key":  {text, envelope, verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 3))}, verify.ReasonUntrustedKey},
		"no key":         {text, envelope, nil, verify.ReasonNoKey},
		"another type":   {b.Data(t, bundle.ProvenancePath), b.Data(t, bundle.ProvenanceEnvelopePath), trust, verify.ReasonPayloadType},
	} {
		_, err := verify.SignedManifest(c.text, c.envelope, c.trust)
		var failure *verify.Error
		require.ErrorAs(t, err, &failure, name)
		require.Equal(t, c.reason, failure.Reason, name)
	}
}
