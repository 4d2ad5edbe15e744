package verify_test

import (
	"bytes"
	"crypto/elliptic"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/signing"
)

// envelopeMutations are what signature files are attacked with: more or fewer
// signatures, other names of the key, other spellings of the same bytes, and
// signatures of something else.
func envelopeMutations() []mutation {
	var all []mutation
	for _, path := range signaturePaths {
		all = append(all, signatureValues(path)...)
		if path != bundle.ManifestBundlePath {
			all = append(all, envelopeTexts(path)...)
		}
		all = append(all, keyNames(path)...)
	}
	return append(all, exchanged()...)
}

// envelopeText is a mutation of the file at path.
func envelopeText(path, name string, reason verify.Reason, change func(t *testing.T, b *bundletest.Bundle, text string) string) mutation {
	return mutation{name: name + " in " + path, class: verify.ClassSignature, reason: reason, path: path,
		pieces: func(t *testing.T, b *bundletest.Bundle) {
			b.Replace(t, path, []byte(change(t, b, string(b.Data(t, path)))))
		}}
}

// signatureValues puts other bytes where the signature is.
func signatureValues(path string) []mutation {
	value := func(name string, only signing.Algorithm, reason verify.Reason, change func(*testing.T, []byte) []byte) mutation {
		m := envelopeText(path, "signature "+name, reason, func(t *testing.T, b *bundletest.Bundle, text string) string {
			sig := open(t, path, []byte(text)).sig
			require.Contains(t, text, base64Of(sig))
			return strings.Replace(text, base64Of(sig), base64Of(change(t, slices.Clone(sig))), 1)
		})
		m.only = only
		return m
	}
	der := func(name string, change func(r, s *big.Int)) mutation {
		return value(name, signing.ECDSAP256, verify.ReasonSignatureEncoding, func(t *testing.T, sig []byte) []byte {
			var v struct{ R, S *big.Int }
			_, err := asn1.Unmarshal(sig, &v)
			require.NoError(t, err)
			change(v.R, v.S)
			out, err := asn1.Marshal(v)
			require.NoError(t, err)
			return out
		})
	}
	order := elliptic.P256().Params().N
	// The order of the group of Ed25519 (RFC 8032 section 5.1).
	groupOrder, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	encoding := verify.ReasonSignatureEncoding
	return []mutation{
		value("of no bytes", "", encoding, func(*testing.T, []byte) []byte { return nil }),
		value("of zeros", signing.ECDSAP256, encoding, func(_ *testing.T, sig []byte) []byte { clear(sig); return sig }),
		value("all zeros", signing.Ed25519, verify.ReasonSignatureInvalid, func(_ *testing.T, sig []byte) []byte { clear(sig); return sig }),
		value("cut by a byte", "", encoding, func(_ *testing.T, sig []byte) []byte { return sig[:len(sig)-1] }),
		value("with a byte more", "", encoding, func(_ *testing.T, sig []byte) []byte { return append(sig, 0) }),
		value("of 100,000 bytes", "", encoding, func(_ *testing.T, sig []byte) []byte { return append(sig, make([]byte, 100_000)...) }),
		value("twice", "", encoding, func(_ *testing.T, sig []byte) []byte { return append(sig, sig...) }),
		value("with a long length", signing.ECDSAP256, encoding, func(_ *testing.T, sig []byte) []byte { return slices.Insert(sig, 1, 0x81) }),
		value("without a length", signing.ECDSAP256, encoding, func(_ *testing.T, sig []byte) []byte { sig[1] = 0x80; return append(sig, 0, 0) }),
		value("with a zero before r", signing.ECDSAP256, encoding, func(_ *testing.T, sig []byte) []byte {
			sig[1]++
			sig[3]++
			return slices.Insert(sig, 4, 0)
		}),
		value("as two plain numbers", signing.ECDSAP256, encoding, func(_ *testing.T, sig []byte) []byte { return make([]byte, 64) }),
		der("with r zero", func(r, _ *big.Int) { r.SetInt64(0) }), der("with s zero", func(_, s *big.Int) { s.SetInt64(0) }),
		der("with r and s one order more", func(r, s *big.Int) { r.Add(r, order); s.Add(s, order) }),
		der("with s the order", func(_, s *big.Int) { s.Set(order) }), der("with r below zero", func(r, _ *big.Int) { r.Neg(r) }),
		der("with s below zero", func(_, s *big.Int) { s.Neg(s) }), der("with s one order more", func(_, s *big.Int) { s.Add(s, order) }),
		value("with s one order more (Ed25519)", signing.Ed25519, verify.ReasonSignatureInvalid, func(_ *testing.T, sig []byte) []byte {
			little := slices.Clone(sig[32:])
			slices.Reverse(little)
			s := new(big.Int).Add(new(big.Int).SetBytes(little), groupOrder).FillBytes(make([]byte, 32))
			slices.Reverse(s)
			return append(sig[:32], s...)
		}),
		value("of a point that is none", signing.Ed25519, verify.ReasonSignatureInvalid, func(_ *testing.T, sig []byte) []byte {
			return append(bytes.Repeat([]byte{0xff}, 32), sig[32:]...)
		}),
	}
}

// envelopeTexts spells an envelope in other ways.
func envelopeTexts(path string) []mutation {
	text := func(name string, reason verify.Reason, change func(*testing.T, *bundletest.Bundle, string) string) mutation {
		return envelopeText(path, name, reason, change)
	}
	edit := func(name, old, replacement string) mutation {
		return text(name, verify.ReasonSignatureEncoding, func(t *testing.T, _ *bundletest.Bundle, s string) string {
			require.Contains(t, s, old)
			return strings.Replace(s, old, replacement, 1)
		})
	}
	// more writes further signatures behind the first, or before it.
	more := func(name string, do func(t *testing.T, b *bundletest.Bundle, one string) string) mutation {
		return text(name, verify.ReasonSignatureEncoding, func(t *testing.T, b *bundletest.Bundle, s string) string {
			start, end := strings.Index(s, `"signatures":[`)+len(`"signatures":[`), strings.Index(s, `}]`)+1
			return s[:start] + do(t, b, s[start:end]) + s[end:]
		})
	}
	by := func(t *testing.T, b *bundletest.Bundle, key byte) string {
		signer := bundletest.Key(t, key)
		p := open(t, path, b.Data(t, path))
		sig, err := signer.Sign(t.Context(), signing.PAE(p.payloadType, p.payload))
		require.NoError(t, err)
		return fmt.Sprintf(`{"keyid":"%s","sig":"%s"}`, signer.KeyID(), base64Of(sig))
	}
	bad := `{"keyid":"","sig":"AAAA"}`
	payloadType := func(name, to string, reason verify.Reason) mutation {
		return text("payload type "+name, reason, func(t *testing.T, b *bundletest.Bundle, s string) string {
			from := open(t, path, []byte(s)).payloadType
			return strings.Replace(s, `"payloadType":"`+from+`"`, `"payloadType":"`+to+`"`, 1)
		})
	}
	return []mutation{
		more("the signature twice", func(_ *testing.T, _ *bundletest.Bundle, one string) string { return one + "," + one }),
		more("a second signature by another key", func(t *testing.T, b *bundletest.Bundle, one string) string { return one + "," + by(t, b, 2) }),
		more("another key's signature first", func(t *testing.T, b *bundletest.Bundle, one string) string { return by(t, b, 2) + "," + one }),
		more("a bad signature behind the good one", func(_ *testing.T, _ *bundletest.Bundle, one string) string { return one + "," + bad }),
		more("a bad signature before the good one", func(_ *testing.T, _ *bundletest.Bundle, one string) string { return bad + "," + one }),
		more("100,000 signatures", func(_ *testing.T, _ *bundletest.Bundle, one string) string {
			return one + strings.Repeat(","+bad, 99_999)
		}),
		edit("null for the signatures", `"signatures":[`, `"signatures":null,"x":[`),
		edit("signatures in an object", `"signatures":[`, `"signatures":{"0":[`),
		edit("null for the payload", `"payload":"`, `"payload":null,"x":"`),
		edit("a payload after the payload", `"payloadType"`, `"payload":"","payloadType"`),
		edit("member order", `"payload":"`, `"mediaType":"x","payload":"`),
		edit("escape in a name", `"payload":`, `"p\u0061yload":`),
		edit("escape in the payload", `"payload":"ey`, `"payload":"\u0065y`),
		edit("carriage return in base64", `"payload":"ey`, `"payload":"ey\r\n`),
		edit("space in base64", `"payload":"ey`, `"payload":" ey`),
		edit("bits behind the end of base64", `","payloadType"`, `=","payloadType"`),
		edit("certificate", `"sig":`, `"cert":"x","sig":`),
		edit("byte order mark", `{`, "\xef\xbb\xbf{"),
		edit("comma at the end", `}]`, `},]`),
		text("url alphabet", verify.ReasonSignatureEncoding, func(t *testing.T, _ *bundletest.Bundle, s string) string {
			sig := base64Of(bytes.Repeat([]byte{0xfb, 0xff}, 33))
			p := open(t, path, []byte(s))
			return strings.Replace(s, base64Of(p.sig), strings.NewReplacer("+", "-", "/", "_").Replace(sig), 1)
		}),
		text("NUL after the end", verify.ReasonSignatureEncoding, func(_ *testing.T, _ *bundletest.Bundle, s string) string { return s + "\x00" }),
		text("the file twice", verify.ReasonSignatureEncoding, func(_ *testing.T, _ *bundletest.Bundle, s string) string { return s + s }),
		text("an array around it", verify.ReasonSignatureEncoding, func(_ *testing.T, _ *bundletest.Bundle, s string) string { return "[" + s + "]" }),
		text("10,000 levels", verify.ReasonSignatureEncoding, func(*testing.T, *bundletest.Bundle, string) string {
			return strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
		}),
		text("16 MiB of text", verify.ReasonSignatureEncoding, func(*testing.T, *bundletest.Bundle, string) string {
			return `{"payload":"` + strings.Repeat("A", signing.MaxEnvelope-12)
		}),
		{name: "more than 16 MiB in " + path, class: verify.ClassContent, reason: verify.ReasonTooLarge, path: path,
			pieces: func(t *testing.T, b *bundletest.Bundle) { b.Replace(t, path, make([]byte, signing.MaxEnvelope+1)) }},
		payloadType("in capitals", "APPLICATION/JSON", verify.ReasonPayloadType), payloadType("of plain JSON", "application/json", verify.ReasonPayloadType),
		payloadType("with a parameter", "application/vnd.in-toto+json;x=1", verify.ReasonPayloadType), payloadType("of nothing", "", verify.ReasonSignatureEncoding),
		payloadType("with a space", "application/vnd.in-toto+json ", verify.ReasonSignatureEncoding), payloadType("of 300 characters", strings.Repeat("a", 300), verify.ReasonSignatureEncoding),
	}
}

// keyNames names other keys. The name is a hint and never a proof.
func keyNames(path string) []mutation {
	rename := func(name string, reason verify.Reason, change func(t *testing.T, id string) string) mutation {
		return envelopeText(path, "key "+name, reason, func(t *testing.T, b *bundletest.Bundle, s string) string {
			p := open(t, path, []byte(s))
			if strings.Contains(s, `"hint"`) {
				return strings.Replace(s, `"hint":"`+base64Of(p.key)+`"`, `"hint":"`+change(t, base64Of(p.key))+`"`, 1)
			}
			return strings.Replace(s, b.Signer.KeyID(), change(t, b.Signer.KeyID()), 1)
		})
	}
	all := []mutation{
		rename("of nobody", verify.ReasonSignatureEncoding, func(*testing.T, string) string { return "" }),
		rename("with a space", verify.ReasonSignatureEncoding, func(_ *testing.T, id string) string { return id + " " }),
		rename("that is a path", verify.ReasonSignatureEncoding, func(*testing.T, string) string { return "../../key.pub" }),
		rename("that is an address", verify.ReasonSignatureEncoding, func(*testing.T, string) string { return "https://example.org/key.pub" }),
	}
	if path == bundle.ManifestBundlePath || path == bundle.ProvenanceBundlePath {
		return append(all, rename("of zeros", verify.ReasonUntrustedKey, func(*testing.T, string) string { return base64Of(make([]byte, 32)) }))
	}
	return append(all,
		rename("in capitals", verify.ReasonSignatureEncoding, func(_ *testing.T, id string) string { return strings.ToUpper(id) }),
		rename("without its kind", verify.ReasonSignatureEncoding, func(_ *testing.T, id string) string { return strings.TrimPrefix(id, "sha256:") }),
		rename("of another hash", verify.ReasonSignatureEncoding, func(_ *testing.T, id string) string { return "sha512:" + strings.TrimPrefix(id, "sha256:") }),
		rename("of zeros", verify.ReasonUntrustedKey, func(*testing.T, string) string { return "sha256:" + strings.Repeat("0", 64) }))
}

// exchanged puts good signatures in other places, and makes signatures of what
// is not there.
func exchanged() []mutation {
	var all []mutation
	for _, to := range signaturePaths {
		for _, from := range signaturePaths {
			if to == from || strings.HasPrefix(to, "signatures/provenance") && strings.HasPrefix(from, "signatures/provenance") {
				continue // those two are signatures of the same bytes
			}
			all = append(all, envelopeText(to, "signature of "+from, verify.ReasonSignatureInvalid, func(t *testing.T, b *bundletest.Bundle, text string) string {
				mine, theirs := open(t, to, []byte(text)), open(t, from, b.Data(t, from))
				return strings.Replace(text, base64Of(mine.sig), base64Of(theirs.sig), 1)
			}))
		}
	}
	// made signs something else with the right key, under the right name.
	made := func(path, name string, reason verify.Reason, message func(parts) []byte) mutation {
		return envelopeText(path, name, reason, func(t *testing.T, b *bundletest.Bundle, text string) string {
			p := open(t, path, []byte(text))
			if p.payload == nil {
				p.payload = b.Data(t, bundle.ManifestPath)
			}
			sig, err := b.Signer.Sign(t.Context(), message(p))
			require.NoError(t, err)
			return strings.Replace(text, base64Of(p.sig), base64Of(sig), 1)
		})
	}
	invalid := verify.ReasonSignatureInvalid
	for _, path := range signaturePaths {
		all = append(all,
			made(path, "signature of nothing", invalid, func(parts) []byte { return nil }),
			made(path, "signature under another payload type", invalid, func(p parts) []byte { return signing.PAE("application/json", p.payload) }))
		if path != bundle.ManifestBundlePath {
			all = append(all,
				made(path, "signature of the bare payload", invalid, func(p parts) []byte { return p.payload }),
				made(path, "signature with the lengths shifted", invalid, func(p parts) []byte {
					return bytes.Replace(signing.PAE(p.payloadType, p.payload), []byte("DSSEv1 "), []byte("DSSEv1  "), 1)
				}))
		}
	}
	return all
}

// TestTrustedButNotNamed: the caller trusts two keys, the manifest names one. A
// signature by the other is none of this bundle's.
func TestTrustedButNotNamed(t *testing.T) {
	one, two := bundletest.Key(t, 1), bundletest.Key(t, 2)
	for _, path := range signaturePaths {
		b := bundletest.New(t, bundletest.Options{Signer: one})
		p := open(t, path, b.Data(t, path))
		message := signing.PAE(p.payloadType, p.payload)
		if path == bundle.ManifestBundlePath {
			message = b.Data(t, bundle.ManifestPath)
		}
		sig, err := two.Sign(t.Context(), message)
		require.NoError(t, err)
		other := open(t, path, bundletest.New(t, bundletest.Options{Signer: two}).Data(t, path))
		p.sig, p.key = sig, other.key
		b.Replace(t, path, p.close(t, path))
		if path != bundle.SealPath {
			b.Sum(t)
			b.Seal(t, one, bundle.SealPayloadType, nil)
		}
		report, err := check(t, b.Raw(t), one, two)
		require.Error(t, err, path)
		require.Equal(t, verify.ReasonKeyNotListed, report.Failure.Reason)
		require.Equal(t, path, report.Failure.Path)
	}
}
