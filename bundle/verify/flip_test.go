package verify_test

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters/adaptertest"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/signing"
)

// spread calls do for 0 to n-1 on all cores.
func spread(n int, do func(i int)) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	wait.Wait()
}

// outcome counts what became of spoiled bundles.
type outcome struct {
	mu       sync.Mutex
	accepted []int
	internal []int
	reasons  map[verify.Reason]int
}

func (o *outcome) add(i int, report verify.Report, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var failure *verify.Error
	switch {
	case err == nil || report.Status != verify.StatusFailed || !errors.As(err, &failure) || failure.ExitCode() == 0:
		o.accepted = append(o.accepted, i)
	case failure.Reason == verify.ReasonInternal:
		o.internal = append(o.internal, i)
	default:
		o.reasons[failure.Reason]++
	}
}

// learn gives a trust that remembers the signatures of a good bundle.
func learn(t *testing.T, archive []byte, signer signing.Signer) verify.Trust {
	t.Helper()
	return adaptertest.Remember(t, archive, bundletest.Verifier(t, signer))
}

// TestEveryBitFlip flips every single bit of a small bundle: none may be
// accepted, none may end in a panic (TRUST V1).
func TestEveryBitFlip(t *testing.T) {
	signer := bundletest.Key(t, 1)
	archive := bundletest.Build(t, bundletest.Options{Signer: signer})
	trust := learn(t, archive, signer)
	step := 1
	if testing.Short() {
		step = 61
	}
	flips := len(archive) * 8 / step
	result := outcome{reasons: map[verify.Reason]int{}}
	began := time.Now()
	copies := sync.Pool{New: func() any { c := bytes.Clone(archive); return &c }}
	spread(flips, func(i int) {
		bit := i * step
		c := copies.Get().(*[]byte)
		defer copies.Put(c)
		(*c)[bit/8] ^= 1 << (bit % 8)
		report, err := verify.Reader(context.Background(), bytes.NewReader(*c), int64(len(*c)), trust, verify.WithWorkers(1))
		result.add(bit, report, err)
		(*c)[bit/8] ^= 1 << (bit % 8)
	})
	t.Logf("%d flips in %s: %d accepted, %d panics; %v", flips, time.Since(began).Round(time.Millisecond),
		len(result.accepted), len(result.internal), result.reasons)
	if !testing.Short() {
		require.GreaterOrEqual(t, flips, 100_000, "the bundle is too small to say much")
	}
	require.Empty(t, result.accepted, "bits that are not load-bearing")
	require.Empty(t, result.internal, "bits that make the verifier panic")
}

// TestTruncatedAtEveryByte cuts a bundle at every byte: never verified.
func TestTruncatedAtEveryByte(t *testing.T) {
	signer := bundletest.Key(t, 1)
	archive := bundletest.Build(t, bundletest.Options{Signer: signer})
	trust := verify.Trust{bundletest.Verifier(t, signer)}
	result := outcome{reasons: map[verify.Reason]int{}}
	spread(len(archive), func(n int) {
		report, err := verify.Reader(context.Background(), bytes.NewReader(archive[:n]), int64(n), trust, verify.WithWorkers(1))
		result.add(n, report, err)
	})
	t.Logf("%d lengths: %v", len(archive), result.reasons)
	require.Empty(t, result.accepted)
	require.Empty(t, result.internal)
	require.Equal(t, map[verify.Reason]int{verify.ReasonTruncated: len(archive)}, result.reasons)
}

// TestShrinkingFile: the size was right when it was asked, the bytes are gone.
func TestShrinkingFile(t *testing.T) {
	signer := bundletest.Key(t, 1)
	archive := bundletest.Build(t, bundletest.Options{Signer: signer})
	trust := verify.Trust{bundletest.Verifier(t, signer)}
	result := outcome{reasons: map[verify.Reason]int{}}
	spread(len(archive)/16, func(i int) {
		short := bytes.NewReader(archive[:i*16])
		report, err := verify.Reader(context.Background(), short, int64(len(archive)), trust, verify.WithWorkers(1))
		result.add(i, report, err)
	})
	require.Empty(t, result.accepted)
	require.Empty(t, result.internal)
	require.Equal(t, map[verify.Reason]int{verify.ReasonTruncated: len(archive) / 16}, result.reasons)
}
