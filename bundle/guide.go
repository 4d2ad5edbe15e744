package bundle

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// VerifyGuide writes VERIFY.md: the exact commands of other people's programs
// that check the bundle, offline. It holds no length or digest of the archive:
// it is part of what the seal covers.
func VerifyGuide(m Manifest) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# How to verify evidence export %s\n\n", m.RunID)
	out.WriteString(guideKeys)
	for _, k := range m.Keys {
		fmt.Fprintf(&out, "- `%s` (%s)\n", k.KeyID, k.Algorithm)
	}
	out.WriteString(strings.Replace(guideSteps, guidePayload, guidePayloadOf(m), 1))
	out.WriteString(guideEncrypted(m))
	return out.Bytes()
}

const guideKeys = `All of this works without a network. Below, BUNDLE is this archive as you
received it and KEY the public key of whoever made it, as a PEM file.

## 1. The key

KEY must come to you on another way than this archive: from the service's
operator, from an earlier hand-over, from a directory you keep. A key that
travels with the archive proves nothing. Its id is the SHA-256 of its DER form:

    openssl pkey -pubin -in KEY -outform DER | sha256sum

This archive says that it was signed by

`

// guidePayload reads all payload files of one tenant.
const guidePayload = `    zstd -t data/raw/*.zst`

// guidePayloadOf is how other programs read the payload files of m.
func guidePayloadOf(m Manifest) string {
	has := func(match func(Content) bool) bool { return slices.ContainsFunc(m.Contents, match) }
	var commands []string
	switch {
	case m.Tenancy != nil:
		commands = append(commands, "    find data -name '*.zst' -exec zstd -t {} +")
	case len(m.Contents) == 0 || has(func(c Content) bool { return strings.HasPrefix(c.Path, rawDir) }):
		commands = append(commands, guidePayload)
	}
	if has(func(c Content) bool { return c.Form() == FormLines && strings.HasPrefix(c.Path, policyDir) }) && m.Tenancy == nil {
		commands = append(commands, "    zstd -t data/policy/*.zst")
	}
	if m.Mirror != nil && m.Mirror.Originals.Count > 0 {
		commands = append(commands, "    find data/original -type f -printf '%f  %p\\n' | sha256sum -c --quiet")
	}
	for _, c := range m.Contents {
		if c.Form() == FormLayer {
			commands = append(commands, "    gzip -t "+c.Path)
		}
	}
	return strings.Join(commands, "\n")
}

const guideSteps = `
## 2. Everything at once

    stella verify BUNDLE --key KEY

It ends with 0 only if every byte of the archive is accounted for. 2 means that
content differs, 3 a signature or key, 4 that something required is absent, 5
anything else.

The steps below use other programs. They check the same signatures and digests,
but not that each header of the archive has its one form; step 6 makes up for it.

## 3. Files

    tar -xf BUNDLE
    sha256sum -c ` + ChecksumsPath + `
` + guidePayload + `

An archive without payload files has no data/raw; leave the last line out.

## 4. The manifest's signature

    cosign verify-blob --key KEY --bundle ` + ManifestBundlePath + ` --insecure-ignore-tlog ` + ManifestPath + `

` + "`--insecure-ignore-tlog`" + ` means that no public log is asked: the signature was made
offline, with a key that you trust directly.

## 5. The provenance's signature

    cosign verify-blob-attestation --key KEY --bundle ` + ProvenanceBundlePath + ` --insecure-ignore-tlog --type slsaprovenance1 ` + ManifestPath + `

## 6. The seal

The last entry, ` + SealPath + `, signs every byte before it. Read from it
how many bytes those are and what their digest is, and compare:

    tar -xOf BUNDLE ` + SealPath + ` | sed 's/.*"payload":"\([^"]*\)".*/\1/' | base64 -d > seal.json
    sed 's/.*"digest":"sha256:\([0-9a-f]*\)".*/\1/' seal.json
    head -c "$(sed 's/.*"bytes":\([0-9]*\).*/\1/' seal.json)" BUNDLE | sha256sum

The two digests must be equal. The seal's own signature is over the DSSE
pre-authentication encoding of seal.json; with openssl:

    tar -xOf BUNDLE ` + SealPath + ` | sed 's/.*"sig":"\([^"]*\)".*/\1/' | base64 -d > seal.sig
    { printf 'DSSEv1 %d %s %d ' ` + sealTypeLength + ` ` + SealPayloadType + ` "$(wc -c < seal.json)"; cat seal.json; } > seal.pae

For an ecdsa-p256-sha256 key:

    openssl dgst -sha256 -verify KEY -signature seal.sig seal.pae

For an ed25519 key:

    openssl pkeyutl -verify -pubin -inkey KEY -rawin -in seal.pae -sigfile seal.sig

After the seal's entry come two blocks of 512 zero bytes and nothing else.
`

// sealTypeLength is len(SealPayloadType), as the pre-authentication encoding
// writes it; a test compares them.
const sealTypeLength = "42"
