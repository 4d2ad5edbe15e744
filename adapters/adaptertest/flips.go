package adaptertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/signing"
)

// remembering is a key that does not check the same signature of the same
// message twice: most spoiled bundles carry signatures that were not touched.
type remembering struct {
	signing.Verifier
	good  map[[sha256.Size]byte]bool
	learn bool // still learning, so not yet shared between goroutines
}

// Verify is signing.Verifier's.
func (r *remembering) Verify(message, sig []byte) error {
	pair := sha256.Sum256(append([]byte{byte(len(sig))}, append(sig[:len(sig):len(sig)], message...)...))
	if r.good[pair] {
		return nil
	}
	err := r.Verifier.Verify(message, sig)
	if err == nil && r.learn {
		r.good[pair] = true
	}
	return err
}

// Remember verifies a good bundle and gives a trust that remembers its signatures.
func Remember(t testing.TB, archive []byte, by signing.Verifier) verify.Trust {
	t.Helper()
	key := &remembering{by, map[[sha256.Size]byte]bool{}, true}
	trust := verify.Trust{key}
	_, err := verify.Reader(context.Background(), bytes.NewReader(archive), int64(len(archive)), trust)
	require.NoError(t, err, "the bundle is not good itself")
	require.Contains(t, []int{4, 6}, len(key.good)) // the provenance's two are over the same bytes; an encrypted bundle has two more
	key.learn = false
	return trust
}

// sampled is how many bits are flipped of what is too much for a test: of the
// payload, and of pages, checksums and padding. FAULTS=all flips them all.
const sampled = 20_000

// RefuseFlips flips every bit of an archive's headers, manifests, signatures and
// trailer, and by seed bits of the rest. None may be accepted, and none may end in
// a panic (TRUST V1). It gives how many were flipped, and the bits there are.
func RefuseFlips(t *testing.T, archive []byte, trust verify.Trust, seed uint64) (flipped, all int) {
	t.Helper()
	structure, pages, payload := partsOf(t, archive)
	chance := rand.New(rand.NewPCG(seed, 0))
	bits := append(append(structure, some(chance, pages)...), some(chance, payload)...)
	var mu sync.Mutex
	var accepted, panics []int
	eachOnAllCores(len(bits), func() func(i int) {
		copied := bytes.Clone(archive)
		return func(i int) {
			copied[bits[i]/8] ^= 1 << (bits[i] % 8)
			report, err := verify.Reader(context.Background(), bytes.NewReader(copied), int64(len(copied)), trust, verify.WithWorkers(1))
			copied[bits[i]/8] ^= 1 << (bits[i] % 8)
			var failure *verify.Error
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil || report.Status != verify.StatusFailed || !errors.As(err, &failure) || failure.ExitCode() == 0:
				accepted = append(accepted, bits[i])
			case failure.Reason == verify.ReasonInternal:
				panics = append(panics, bits[i])
			}
		}
	})
	require.Empty(t, accepted, "bits that are not load-bearing")
	require.Empty(t, panics, "bits that make the verifier panic")
	t.Logf("%d bits of headers, manifests, signatures and trailer, and %d of %d others flipped: 0 accepted", len(structure), len(bits)-len(structure), len(pages)+len(payload))
	return len(bits), len(archive) * 8
}

// some chooses at most sampled of bits.
func some(chance *rand.Rand, bits []int) []int {
	if len(bits) <= sampled || os.Getenv("FAULTS") == "all" {
		return bits
	}
	chance.Shuffle(len(bits), func(i, j int) { bits[i], bits[j] = bits[j], bits[i] })
	return bits[:sampled]
}

// partsOf sorts the bits of an archive: headers, manifests, signatures and trailer;
// pages, checksums and padding; payload.
func partsOf(t *testing.T, archive []byte) (structure, pages, payload []int) {
	t.Helper()
	add := func(to *[]int, from, end int) {
		for bit := from * 8; bit < end*8; bit++ {
			*to = append(*to, bit)
		}
	}
	at := 0
	for at+bundle.BlockSize <= len(archive) {
		header := [bundle.BlockSize]byte(archive[at:])
		if header == ([bundle.BlockSize]byte{}) {
			break
		}
		path, size, err := bundle.ParseHeader(header)
		require.NoError(t, err)
		body := at + bundle.BlockSize
		add(&structure, at, body)
		switch {
		case bundle.IsPayload(path), bundle.IsOriginal(path):
			add(&payload, body, body+int(size))
		case strings.HasPrefix(path, "manifests/"), strings.HasPrefix(path, "signatures/"):
			add(&structure, body, body+int(size))
		default:
			add(&pages, body, body+int(size))
		}
		at += int(bundle.EntrySize(size))
		add(&pages, body+int(size), at)
	}
	add(&structure, at, len(archive))
	return structure, pages, payload
}

// eachOnAllCores calls do for 0 to n-1; begin makes a do for each core.
func eachOnAllCores(n int, begin func() func(i int)) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			do := begin()
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	wait.Wait()
}
