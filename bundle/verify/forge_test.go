package verify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/signing"
)

// signaturePaths are the five signatures of a bundle.
var signaturePaths = []string{
	bundle.ManifestBundlePath, bundle.ManifestEnvelopePath, bundle.ProvenanceBundlePath, bundle.ProvenanceEnvelopePath, bundle.SealPath,
}

// parts is what is inside a signature file, decoded.
type parts struct {
	payloadType string
	payload     []byte
	digest      []byte // of a message bundle
	sig         []byte
	key         []byte // hash of the public key
}

// open takes the signature file at path apart.
func open(t testing.TB, path string, text []byte) (p parts) {
	t.Helper()
	type signature struct {
		KeyID string `json:"keyid"`
		Sig   []byte `json:"sig"`
	}
	type envelope struct {
		Payload     []byte      `json:"payload"`
		PayloadType string      `json:"payloadType"`
		Signatures  []signature `json:"signatures"`
	}
	var file struct {
		envelope
		DSSE    *envelope `json:"dsseEnvelope"`
		Message *struct {
			Digest struct {
				Digest []byte `json:"digest"`
			} `json:"messageDigest"`
			Signature []byte `json:"signature"`
		} `json:"messageSignature"`
		Material struct {
			Key struct {
				Hint []byte `json:"hint"`
			} `json:"publicKey"`
		} `json:"verificationMaterial"`
	}
	require.NoError(t, json.Unmarshal(text, &file), path)
	p.key = file.Material.Key.Hint
	if file.Message != nil {
		p.digest, p.sig = file.Message.Digest.Digest, file.Message.Signature
		return p
	}
	e := file.DSSE
	if e == nil {
		e = &file.envelope
		id, err := hex.DecodeString(e.Signatures[0].KeyID[len("sha256:"):])
		require.NoError(t, err)
		p.key = id
	}
	p.payloadType, p.payload, p.sig = e.PayloadType, e.Payload, e.Signatures[0].Sig
	return p
}

// close is the inverse of open. Nothing of it needs a private key.
func (p parts) close(t testing.TB, path string) []byte {
	t.Helper()
	var text []byte
	var err error
	id := "sha256:" + hex.EncodeToString(p.key)
	switch path {
	case bundle.ManifestBundlePath:
		text, err = signing.EncodeMessageBundle(id, [32]byte(p.digest), p.sig)
	case bundle.ProvenanceBundlePath:
		text, err = signing.EncodeDSSEBundle(p.payloadType, p.payload, id, p.sig)
	default:
		text, err = signing.EncodeEnvelope(p.payloadType, p.payload, id, p.sig)
	}
	require.NoError(t, err)
	return text
}

// forgery is a bundle in the hands of somebody without a key: every digest can
// be made right again, the signatures stay as they were.
type forgery struct {
	testing.TB
	*bundletest.Bundle
	open map[string]parts // of the honest bundle
}

func forge(t testing.TB, honest *bundletest.Bundle) forgery {
	f := forgery{t, honest, map[string]parts{}}
	for _, path := range signaturePaths {
		f.open[path] = open(t, path, honest.Data(t, path))
		require.Equal(t, honest.Data(t, path), f.open[path].close(t, path), "taking apart and putting together changes nothing")
	}
	return f
}

// change gives a copy of the bundle in which do has changed something.
func (f forgery) change(do func(forgery)) forgery {
	c := forgery{f.TB, f.Clone(), f.open}
	do(c)
	return c
}

// sign replaces what the file at path is a signature of, and keeps the signature.
func (f forgery) sign(path string, do func(*parts)) {
	p := f.open[path]
	do(&p)
	f.Replace(f, path, p.close(f, path))
}

// claim puts text in place of the document at path and into both its signature
// files.
func (f forgery) claim(path string, text []byte) {
	f.Replace(f, path, text)
	files := []string{bundle.ProvenanceBundlePath, bundle.ProvenanceEnvelopePath}
	if path == bundle.ManifestPath {
		files = []string{bundle.ManifestBundlePath, bundle.ManifestEnvelopePath}
	}
	digest := bundle.DigestOf(text)
	for _, file := range files {
		f.sign(file, func(p *parts) {
			if p.payload = text; p.digest != nil {
				p.payload, p.digest = nil, digest[:]
			}
		})
	}
}

// manifest puts text in place of the manifest, and what names its digest follows.
func (f forgery) manifest(text []byte) {
	old := bundle.DigestOf(f.Data(f, bundle.ManifestPath))
	f.claim(bundle.ManifestPath, text)
	statement := f.Data(f, bundle.ProvenancePath)
	f.claim(bundle.ProvenancePath, bytes.Replace(statement, []byte(old.Hex()), []byte(bundle.DigestOf(text).Hex()), 1))
}

// payload puts another payload file in, and manifest and provenance follow.
func (f forgery) payload(path string, stored, content []byte) {
	m := f.Manifest
	contents := slices.Clone(m.Contents)
	slices.SortFunc(contents, func(a, b bundle.Content) int { return a.Order - b.Order })
	for i, c := range contents {
		if c.Path == path {
			contents[i] = bundle.NewContent(path, bundle.PayloadInfo{Digest: bundle.DigestOf(stored), Size: int64(len(stored)),
				ContentDigest: bundle.DigestOf(content), ContentSize: int64(len(content)), Records: int64(max(1, bytes.Count(content, []byte{'\n'})))})
		}
	}
	old := f.Manifest.PayloadDigest
	require.NoError(f, m.SetContents(contents))
	text, err := m.Encode()
	require.NoError(f, err)
	f.Replace(f, path, stored)
	f.manifest(text)
	statement := f.Data(f, bundle.ProvenancePath)
	f.claim(bundle.ProvenancePath, bytes.ReplaceAll(statement, []byte(old.Hex()), []byte(m.PayloadDigest.Hex())))
}

// finish makes checksums.txt right, and seals with the right key: what is
// refused now is refused by the signature of the changed document alone.
func (f forgery) finish() []byte {
	f.Sum(f)
	f.Seal(f, f.Signer, bundle.SealPayloadType, nil)
	return f.Raw(f)
}

// finishWithoutKey makes checksums.txt and the seal's text right, under the old
// signature.
func (f forgery) finishWithoutKey() []byte {
	f.Sum(f)
	f.Remove(bundle.SealPath)
	all := f.Raw(f)
	prefix := all[:len(all)-bundle.TrailerSize]
	payload, err := bundle.NewSeal(f.Manifest, bundle.DigestOf(prefix), int64(len(prefix))).Encode()
	require.NoError(f, err)
	p := f.open[bundle.SealPath]
	p.payload = payload
	f.Entries = append(f.Entries, bundletest.Entry{Path: bundle.SealPath, Data: p.close(f, bundle.SealPath)})
	return f.Raw(f)
}

// base64Of is the one spelling of b in a signature file.
func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
