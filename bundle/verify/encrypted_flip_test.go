package verify_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

// TestFlipsOfEncrypted flips bits of small encrypted mirrors of each mode, each bit alone:
// none is accepted. Every bit of headers, manifests, signatures, of what begins a
// ciphertext and of what ends the archive is flipped; of ciphertexts, and of pages,
// checksums and padding, seeded ones. With FAULTS=all it is every bit, and of a bundle
// that is no mirror too.
//
// The verifier has the key. No flip gets as far as the step that uses it, so who has none
// takes the same steps: a share of the bits shows that, by the same reasons.
func TestFlipsOfEncrypted(t *testing.T) {
	const share = 10_000
	kinds := map[string]bundletest.Options{"mirror": smallMirror(t)}
	if allFaults() {
		kinds["evidence"] = bundletest.Options{Signer: bundletest.Key(t, 1), Shards: noise()}
	}
	for _, mode := range encryptionModes {
		for name, options := range kinds {
			t.Run(mode+"/"+name, func(t *testing.T) {
				_, encrypted := bundletest.BuildEncrypted(t, options, bundletest.Encrypting{Mode: mode})
				archive := encrypted.Bytes(t)
				f := flipping{archive: archive, trust: learn(t, archive, options.Signer)}
				bits := regionsOf(t, encrypted, archive).chosen(t)
				if testing.Short() {
					bits = bits[:len(bits)/16]
				}
				var opened atomic.Int64
				noticed := verify.WithSteps(func(_ context.Context, step string) {
					if step == "open" {
						opened.Add(1)
					}
				})
				with := f.refused(t, "with keys", bits, noticed, withIdentity(bundletest.Identity(t, 0)))
				require.Zero(t, opened.Load(), "flips that only the key would find")
				if !allFaults() {
					bits = bits[:min(len(bits), share)]
				}
				without := f.refused(t, "without keys", bits)
				require.Equal(t, with[:len(bits)], without)
			})
		}
	}
}

// smallMirror has every form of entry that mirrors have, and few of each.
func smallMirror(t *testing.T) bundletest.Options {
	t.Helper()
	o := bundletest.Mirror(t, bundletest.Key(t, 1))
	text := `{"id":"GO-2026-0001"}`
	o.Shards = noise()[:1]
	o.Files = append(o.Files[:1:1], bundletest.List(t, bundletest.Originals(text), true), bundletest.Segment(t, text))
	random := rand.New(rand.NewPCG(3, 3))
	o.Files[0].Stored = make([]byte, 3<<10)
	for i := range o.Files[0].Stored {
		o.Files[0].Stored[i] = byte(random.Uint32())
	}
	o.Files[0].Info.ContentDigest, o.Files[0].Info.ContentSize = bundle.DigestOf(o.Files[0].Stored), int64(len(o.Files[0].Stored))
	return o
}

// flipping flips bits of an archive.
type flipping struct {
	archive []byte
	trust   verify.Trust
}

// refused flips bits, and gives why each was refused.
func (f flipping) refused(t *testing.T, name string, bits []int, options ...verify.Option) []verify.Reason {
	t.Helper()
	options = append(options, verify.WithWorkers(1))
	result, why := outcome{reasons: map[verify.Reason]int{}}, make([]verify.Reason, len(bits))
	copies := sync.Pool{New: func() any { c := bytes.Clone(f.archive); return &c }}
	began := time.Now()
	spread(len(bits), func(i int) {
		c := copies.Get().(*[]byte)
		defer copies.Put(c)
		(*c)[bits[i]/8] ^= 1 << (bits[i] % 8)
		report, err := verify.Reader(context.Background(), bytes.NewReader(*c), int64(len(*c)), f.trust, options...)
		(*c)[bits[i]/8] ^= 1 << (bits[i] % 8)
		if report.Failure != nil {
			why[i] = report.Failure.Reason
		}
		result.add(bits[i], report, err)
	})
	t.Logf("%s: %d of %d bits flipped in %s: %d accepted, %d panics; %v", name, len(bits), len(f.archive)*8, time.Since(began).Round(time.Millisecond),
		len(result.accepted), len(result.internal), result.reasons)
	require.Empty(t, result.accepted)
	require.Empty(t, result.internal)
	return why
}

// regions are the bits of an encrypted archive by what they are of.
type regions struct {
	// structure: headers, manifests, signatures, what begins a ciphertext, and the end.
	structure []int
	// secret: ciphertexts. pages: all else, and padding.
	secret, pages []int
}

// ciphertextFlips and pageFlips are how many are flipped of those without FAULTS=all.
const (
	ciphertextFlips = 20_000
	pageFlips       = 3_000
)

func regionsOf(t *testing.T, b *bundletest.Bundle, archive []byte) (r regions) {
	t.Helper()
	add := func(to *[]int, from, end int) {
		for bit := from * 8; bit < end*8; bit++ {
			*to = append(*to, bit)
		}
	}
	at := 0
	for _, e := range b.Entries {
		body := at + bundle.BlockSize
		end := body + len(e.Data)
		add(&r.structure, at, body)
		switch {
		case bundle.IsSecret(e.Path):
			lead := body + leadOf(e.Data)
			add(&r.structure, body, lead)
			add(&r.secret, lead, end)
		case strings.HasPrefix(e.Path, "manifests/"), strings.HasPrefix(e.Path, "signatures/"):
			add(&r.structure, body, end)
		default:
			add(&r.pages, body, end)
		}
		at += int(bundle.EntrySize(int64(len(e.Data))))
		add(&r.pages, end, at)
	}
	add(&r.structure, at, len(archive))
	require.Len(t, archive, (len(r.structure)+len(r.secret)+len(r.pages))/8, "each bit is in one of them")
	return r
}

// leadOf is how much stands in front of the chunks of a ciphertext: the header of an age
// file and its nonce, or the nonce of mode aes-gcm.
func leadOf(ciphertext []byte) int {
	if at := bytes.Index(ciphertext, []byte("\n--- ")); bytes.HasPrefix(ciphertext, []byte("age-encryption.org/")) && at > 0 {
		return at + len("\n--- ") + 43 + len("\n") + 16
	}
	return 12
}

// chosen are the bits to flip, each once, in no order: so that cores have work alike.
func (r regions) chosen(t *testing.T) []int {
	t.Helper()
	t.Logf("bits: %d of headers, manifests and signatures, %d of ciphertexts, %d of pages, checksums and padding", len(r.structure), len(r.secret), len(r.pages))
	require.Greater(t, len(r.secret), ciphertextFlips)
	random := rand.New(rand.NewPCG(7, 7))
	bits := r.structure
	for _, of := range []struct {
		bits []int
		most int
	}{{r.secret, ciphertextFlips}, {r.pages, pageFlips}} {
		random.Shuffle(len(of.bits), func(i, j int) { of.bits[i], of.bits[j] = of.bits[j], of.bits[i] })
		if !allFaults() {
			of.bits = of.bits[:min(len(of.bits), of.most)]
		}
		bits = append(bits, of.bits...)
	}
	random.Shuffle(len(bits), func(i, j int) { bits[i], bits[j] = bits[j], bits[i] })
	return bits
}

// noise is a payload that does not compress: 4 KiB and more of ciphertext.
func noise() []bundletest.Shard {
	random := rand.New(rand.NewPCG(3, 3))
	var line strings.Builder
	for range 400 {
		fmt.Fprintf(&line, "%016x", random.Uint64())
	}
	return append(bundletest.Small(), bundletest.Shard{Type: "vex", Lines: []string{`{"x":"` + line.String() + `"}`}})
}
