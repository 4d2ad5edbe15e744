package verify_test

import (
	"bytes"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/signing"
)

// highS gives the other spelling of an ECDSA signature.
func highS(t *testing.T, sig []byte) []byte {
	var v struct{ R, S *big.Int }
	_, err := asn1.Unmarshal(sig, &v)
	require.NoError(t, err)
	v.S.Sub(elliptic.P256().Params().N, v.S)
	out, err := asn1.Marshal(v)
	require.NoError(t, err)
	return out
}

// other builds an equally good bundle of something else with the same key.
func other(t *testing.T, b *bundletest.Bundle) *bundletest.Bundle {
	return bundletest.New(t, bundletest.Options{Signer: b.Signer, RunID: "019a0000-0000-7000-8000-00000000000f"})
}

func signatureMutations() []mutation {
	pieces := func(name string, reason verify.Reason, path string, do func(*testing.T, *bundletest.Bundle)) mutation {
		return mutation{name: name, class: verify.ClassSignature, reason: reason, path: path, pieces: do}
	}
	options := func(name string, reason verify.Reason, path string, o bundletest.Options) mutation {
		return mutation{name: name, class: verify.ClassSignature, reason: reason, path: path, options: &o}
	}
	edit := func(path, old, replacement string) func(*testing.T, *bundletest.Bundle) {
		return func(t *testing.T, b *bundletest.Bundle) {
			data := string(b.Data(t, path))
			require.Contains(t, data, old)
			b.Replace(t, path, []byte(strings.Replace(data, old, replacement, 1)))
		}
	}
	wrongType := func(path string) bundletest.Options {
		return bundletest.Options{PayloadType: func(at, payloadType string) string {
			if at == path {
				return "application/json"
			}
			return payloadType
		}}
	}
	var all []mutation
	for _, path := range []string{bundle.ManifestEnvelopePath, bundle.ProvenanceEnvelopePath, bundle.ProvenanceBundlePath, bundle.SealPath} {
		all = append(all,
			options("wrong payload type in "+path, verify.ReasonPayloadType, path, wrongType(path)),
			pieces("line feed in base64 of "+path, verify.ReasonSignatureEncoding, path, edit(path, `"payload":"ey`, `"payload":"e`+`\ny`)),
			pieces("extra member in "+path, verify.ReasonSignatureEncoding, path, edit(path, `"payload":`, `"extra":1,"payload":`)),
			pieces("duplicate key in "+path, verify.ReasonSignatureEncoding, path, edit(path, `"payload":`, `"payload":"","payload":`)),
			pieces("key in other case in "+path, verify.ReasonSignatureEncoding, path, edit(path, `"payload":`, `"Payload":`)),
			pieces("space in "+path, verify.ReasonSignatureEncoding, path, edit(path, `"payload":`, `"payload": `)),
			pieces("no signatures in "+path, verify.ReasonSignatureEncoding, path, edit(path, `"signatures":[{`, `"signatures":[],"x":[{`)),
		)
	}
	for _, path := range []string{bundle.ManifestBundlePath, bundle.ManifestEnvelopePath, bundle.ProvenanceBundlePath, bundle.ProvenanceEnvelopePath, bundle.SealPath} {
		all = append(all,
			pieces("high S in "+path, verify.ReasonSignatureEncoding, path, func(t *testing.T, b *bundletest.Bundle) { spellHighS(t, b, path) }),
			pieces("line feed after "+path, verify.ReasonSignatureEncoding, path, func(t *testing.T, b *bundletest.Bundle) {
				b.Replace(t, path, append(bytes.Clone(b.Data(t, path)), '\n'))
			}),
			pieces("empty "+path, verify.ReasonSignatureEncoding, path, func(t *testing.T, b *bundletest.Bundle) { b.Replace(t, path, nil) }),
		)
	}
	for i := range all {
		if strings.HasPrefix(all[i].name, "high S") {
			all[i].only = signing.ECDSAP256
		}
	}
	return append(all,
		pieces("signatures exchanged", verify.ReasonSignedOther, bundle.ManifestEnvelopePath, func(t *testing.T, b *bundletest.Bundle) {
			b.Replace(t, bundle.ManifestEnvelopePath, other(t, b).Data(t, bundle.ManifestEnvelopePath))
		}),
		pieces("provenance where the manifest's envelope should be", verify.ReasonPayloadType, bundle.ManifestEnvelopePath, func(t *testing.T, b *bundletest.Bundle) {
			b.Replace(t, bundle.ManifestEnvelopePath, b.Data(t, bundle.ProvenanceEnvelopePath))
		}),
		pieces("another run's manifest signature", verify.ReasonSignatureInvalid, bundle.ManifestBundlePath, func(t *testing.T, b *bundletest.Bundle) {
			b.Replace(t, bundle.ManifestBundlePath, other(t, b).Data(t, bundle.ManifestBundlePath))
		}),
		pieces("another run's manifest", verify.ReasonSignatureInvalid, bundle.ManifestBundlePath, func(t *testing.T, b *bundletest.Bundle) {
			b.Replace(t, bundle.ManifestPath, other(t, b).Data(t, bundle.ManifestPath))
		}),
		pieces("another run's provenance, signed", verify.ReasonSignedOther, bundle.ProvenanceBundlePath, func(t *testing.T, b *bundletest.Bundle) {
			b.Replace(t, bundle.ProvenanceBundlePath, other(t, b).Data(t, bundle.ProvenanceBundlePath))
		}),
		pieces("duplicate key in the manifest", verify.ReasonSignatureInvalid, bundle.ManifestBundlePath, edit(bundle.ManifestPath, `"tenant":`, `"tenant":"evil","tenant":`)),
		pieces("key id of another key", verify.ReasonUntrustedKey, bundle.SealPath, func(t *testing.T, b *bundletest.Bundle) {
			edit(bundle.SealPath, b.Signer.KeyID(), bundletest.Key(t, 2).KeyID())(t, b)
		}),
		mutation{name: "seal by another key", class: verify.ClassSignature, reason: verify.ReasonUntrustedKey, path: bundle.SealPath,
			whole: func(t *testing.T, b *bundletest.Bundle) []byte {
				b.Seal(t, bundletest.Key(t, 2), bundle.SealPayloadType, nil)
				return b.Bytes(t)
			}},
		mutation{name: "all by another key", class: verify.ClassSignature, reason: verify.ReasonUntrustedKey, path: bundle.ManifestBundlePath,
			whole: func(t *testing.T, _ *bundletest.Bundle) []byte {
				return bundletest.Build(t, bundletest.Options{Signer: bundletest.Key(t, 2)})
			}},
		options("manifest lists another key", verify.ReasonKeyNotListed, bundle.ManifestBundlePath, bundletest.Options{
			Manifest: func(m *bundle.Manifest) { m.Keys[0].KeyID = bundle.DigestOf(nil).String() }}),
		options("manifest lists another algorithm", verify.ReasonKeyNotListed, bundle.ManifestBundlePath, bundletest.Options{
			Manifest: func(m *bundle.Manifest) { m.Keys[0].Algorithm = "rsa-2048" }}),
	)
}

// spellHighS writes the signature of the entry at path in its other spelling.
func spellHighS(t *testing.T, b *bundletest.Bundle, path string) {
	data := b.Data(t, path)
	field := `"sig":"`
	if path == bundle.ManifestBundlePath {
		field = `"signature":"`
	}
	before, rest, ok := bytes.Cut(data, []byte(field))
	require.True(t, ok)
	encoded, after, ok := bytes.Cut(rest, []byte(`"`))
	require.True(t, ok)
	sig, err := base64.StdEncoding.DecodeString(string(encoded))
	require.NoError(t, err)
	twin := base64.StdEncoding.EncodeToString(highS(t, sig))
	b.Replace(t, path, []byte(string(before)+field+twin+`"`+string(after)))
}
