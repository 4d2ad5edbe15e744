package verify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/signing"
)

// allFaults is whether the long way was asked for: FAULTS=all.
func allFaults() bool { return os.Getenv("FAULTS") == "all" }

// layer is bytes below compression, base64 or hex, and how an archive is made of
// them again.
type layer struct {
	name  string
	bytes []byte
	wrap  func(flipped []byte) []byte
	// path and reasons of the refusal.
	path    string
	reasons []verify.Reason
	// step is how many bits lie between two flips without FAULTS=all; it is odd,
	// so every bit of a byte has its turn.
	step int
}

func layers(f forgery) []layer {
	var all []layer
	add := func(step int, name, path string, bytes []byte, wrap func(forgery, []byte) []byte, reasons ...verify.Reason) {
		all = append(all, layer{name, bytes, func(flipped []byte) (archive []byte) {
			f.change(func(c forgery) { archive = wrap(c, flipped) })
			return archive
		}, path, reasons, step})
	}
	encoder, err := zstd.NewWriter(nil)
	require.NoError(f, err)
	add(1, "content of a payload file, packed again, checksums and seal by the right key", firstShard, decompress(f.Data(f, firstShard)),
		func(c forgery, content []byte) []byte {
			c.Replace(c, firstShard, encoder.EncodeAll(content, nil))
			return c.finish()
		}, verify.ReasonPayloadSize, verify.ReasonPayloadDigest)
	add(1, "content of a payload file, every digest right", bundle.ManifestBundlePath, decompress(f.Data(f, firstShard)),
		func(c forgery, content []byte) []byte {
			c.payload(firstShard, encoder.EncodeAll(content, nil), content)
			return c.finishWithoutKey()
		}, verify.ReasonSignatureInvalid)
	add(7, "manifest, every digest right", bundle.ManifestBundlePath, f.Data(f, bundle.ManifestPath), func(c forgery, text []byte) []byte {
		c.manifest(text)
		return c.finishWithoutKey()
	}, verify.ReasonSignatureInvalid)
	add(7, "provenance, every digest right", bundle.ProvenanceBundlePath, f.Data(f, bundle.ProvenancePath), func(c forgery, text []byte) []byte {
		c.claim(bundle.ProvenancePath, text)
		return c.finish()
	}, verify.ReasonSignatureInvalid)
	for _, path := range signaturePaths {
		p := f.open[path]
		inside := func(step int, name string, bytes []byte, put func(*parts, []byte), reasons ...verify.Reason) {
			add(step, name+" in "+path, path, bytes, func(c forgery, flipped []byte) []byte {
				c.sign(path, func(p *parts) { put(p, flipped) })
				if path == bundle.SealPath {
					return c.Raw(c) // the seal covers everything but itself
				}
				return c.finish()
			}, reasons...)
		}
		inside(1, "signature", p.sig, func(p *parts, b []byte) { p.sig = b }, verify.ReasonSignatureInvalid, verify.ReasonSignatureEncoding)
		inside(1, "name of the key", p.key, func(p *parts, b []byte) { p.key = b }, verify.ReasonUntrustedKey)
		switch path {
		case bundle.ManifestBundlePath:
			inside(1, "digest", p.digest, func(p *parts, b []byte) { p.digest = b }, verify.ReasonSignatureInvalid)
		case bundle.SealPath:
			inside(1, "payload", p.payload, func(p *parts, b []byte) { p.payload = b }, verify.ReasonSignatureInvalid)
		default:
			inside(9, "payload", p.payload, func(p *parts, b []byte) { p.payload = b }, verify.ReasonSignatureInvalid)
		}
	}
	for _, path := range []string{bundle.ReadmePath, bundle.GuidePath, bundle.ChecksumsPath} {
		add(13, path+", every digest right", bundle.SealPath, f.Data(f, path), func(c forgery, text []byte) []byte {
			c.Replace(c, path, text)
			if path != bundle.ChecksumsPath {
				return c.finishWithoutKey()
			}
			p := c.open[bundle.SealPath]
			c.Remove(bundle.SealPath)
			all := c.Raw(c)
			digest := bundle.DigestOf(all[:len(all)-bundle.TrailerSize])
			p.payload = bytes.Replace(p.payload, []byte(p.payload[bytes.Index(p.payload, []byte("sha256:")):][:71]), []byte(digest.String()), 1)
			c.Entries = append(c.Entries, bundletest.Entry{Path: bundle.SealPath, Data: p.close(c, bundle.SealPath)})
			return c.Raw(c)
		}, verify.ReasonSignatureInvalid)
	}
	return all
}

// TestFlipsBelowTheLayers flips bits of what is compressed, encoded or hashed,
// and wraps it again so that every digest an attacker can compute is right. Who
// has no key is refused at a signature; the holder of the seal's key alone is
// refused by what the manifest says (TRUST V2).
func TestFlipsBelowTheLayers(t *testing.T) {
	signer := bundletest.Key(t, 1)
	honest := bundletest.New(t, bundletest.Options{Signer: signer, Shards: []bundletest.Shard{
		{Type: "advisories", Lines: []string{`{"id":"GO-2026-0001","summary":"` + strings.Repeat("evidence ", 12) + `"}`, `{"id":"GO-2026-0002"}`}},
		{Type: "advisories", Key: "b", Lines: []string{`{"id":"GO-2026-0003"}`}},
	}})
	trust := learn(t, honest.Bytes(t), signer)
	began := time.Now()
	total := 0
	for _, l := range layers(forge(t, honest)) {
		if allFaults() {
			l.step = 1
		}
		flips := len(l.bytes) * 8 / l.step
		wrong := make([]error, flips)
		spread(flips, func(i int) {
			flipped := bytes.Clone(l.bytes)
			flipped[i*l.step/8] ^= 1 << (i * l.step % 8)
			wrong[i] = l.refused(flipped, trust)
		})
		require.NoError(t, errors.Join(wrong...), l.name)
		total += flips
	}
	t.Logf("%d flips in %s: 0 accepted, 0 panics", total, time.Since(began).Round(time.Millisecond))
	require.GreaterOrEqual(t, total, 10_000)
}

// refused is nil when the bundle made of the flipped bytes is refused for the
// reason it should be.
func (l layer) refused(flipped []byte, trust verify.Trust) error {
	archive := l.wrap(flipped)
	report, err := verify.Reader(context.Background(), bytes.NewReader(archive), int64(len(archive)), trust, verify.WithWorkers(1))
	var failure *verify.Error
	if !errors.As(err, &failure) || report.Status != verify.StatusFailed || failure.ExitCode() == 0 {
		return fmt.Errorf("accepted: %v", err)
	}
	for _, reason := range l.reasons {
		if failure.Reason == reason && failure.Path == l.path {
			return nil
		}
	}
	return fmt.Errorf("%s: %s, want %v at %s: %w", failure.Path, failure.Reason, l.reasons, l.path, err)
}

// TestOnlyTheKeyIsMissing is the control of the flips: the same forgery, signed
// by the right key, is verified. So nothing but the signatures refused it.
func TestOnlyTheKeyIsMissing(t *testing.T) {
	f := forge(t, bundletest.New(t, bundletest.Options{}))
	content := bytes.ToUpper(decompress(f.Data(t, firstShard)))
	f.payload(firstShard, compress(content), content)
	_, err := check(t, f.finishWithoutKey(), f.Signer)
	require.ErrorContains(t, err, "signature does not match")
	for _, path := range signaturePaths {
		p := open(t, path, f.Data(t, path))
		message := signing.PAE(p.payloadType, p.payload)
		if path == bundle.ManifestBundlePath {
			message = f.Data(t, bundle.ManifestPath)
		}
		p.sig, err = f.Signer.Sign(t.Context(), message)
		require.NoError(t, err)
		f.Replace(t, path, p.close(t, path))
	}
	_, err = check(t, f.finish(), f.Signer)
	require.NoError(t, err)
}
