package verify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

// sparse is an archive that is computed: far larger than any memory.
type sparse struct {
	size int64
	at   func(block int64) [bundle.BlockSize]byte
}

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	for n := 0; n < len(p); {
		if off >= s.size {
			return n, io.EOF
		}
		block := s.at(off / bundle.BlockSize)
		c := copy(p[n:], block[off%bundle.BlockSize:])
		n, off = n+c, off+int64(c)
	}
	return len(p), nil
}

// TestHostileSizes: what is not a bundle is refused soon and without memory
// (TRUST V5).
func TestHostileSizes(t *testing.T) {
	key := verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))}
	tiny := func(block int64) [bundle.BlockSize]byte {
		header, err := bundle.Header(fmt.Sprintf("data/%012d", block), 0)
		require.NoError(t, err)
		return header
	}
	for _, c := range []struct {
		name   string
		source sparse
		reason verify.Reason
	}{
		{"a million entries", sparse{1_000_002 * bundle.BlockSize, tiny}, verify.ReasonTooMany},
		{"zeros of 8 EiB", sparse{1<<63 - bundle.BlockSize, func(int64) [bundle.BlockSize]byte { return [bundle.BlockSize]byte{} }}, verify.ReasonTrailing},
		{"files of 8 GiB for ever", sparse{1 << 62, func(block int64) [bundle.BlockSize]byte {
			step := bundle.EntrySize(bundle.MaxFile) / bundle.BlockSize
			if block%step != 0 {
				return [bundle.BlockSize]byte{}
			}
			header, _ := bundle.Header(fmt.Sprintf("data/%012d", block/step), bundle.MaxFile)
			return header
		}}, verify.ReasonTooMany},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := verify.Reader(context.Background(), c.source, c.source.size, key)
			runtime.ReadMemStats(&after)
			var failure *verify.Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, c.reason, failure.Reason, failure.Message)
			t.Logf("refused in %s, %d MiB allocated in all", time.Since(began).Round(time.Millisecond), (after.TotalAlloc-before.TotalAlloc)>>20)
			require.Less(t, time.Since(began), 30*time.Second)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(256<<20))
		})
	}
}

func TestLimits(t *testing.T) {
	signer := bundletest.Key(t, 1)
	archive := bundletest.Build(t, bundletest.Options{Signer: signer})
	key := verify.Trust{bundletest.Verifier(t, signer)}
	for _, c := range []struct {
		limits verify.Limits
		reason verify.Reason
	}{
		{verify.Limits{Document: 100, Entries: 100}, verify.ReasonTooLarge},
		{verify.Limits{Document: 1 << 20, Entries: 11}, verify.ReasonTooMany},
	} {
		_, err := verify.Reader(context.Background(), bytes.NewReader(archive), int64(len(archive)), key, verify.WithLimits(c.limits))
		var failure *verify.Error
		require.ErrorAs(t, err, &failure)
		require.Equal(t, c.reason, failure.Reason)
	}
}

// failing breaks after a number of reads: with an error, or with a panic.
type failing struct {
	io.ReaderAt
	left  int
	panic bool
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.left--; f.left < 0 {
		if f.panic {
			panic("the reader's own fault")
		}
		return 0, errors.New("bad sector")
	}
	return f.ReaderAt.ReadAt(p, off)
}

// TestReadErrorsAndPanicsNeverVerify breaks the source at every read.
func TestReadErrorsAndPanicsNeverVerify(t *testing.T) {
	signer := bundletest.Key(t, 1)
	archive := bundletest.Build(t, bundletest.Options{Signer: signer})
	key := verify.Trust{bundletest.Verifier(t, signer)}
	for _, panics := range []bool{false, true} {
		want := verify.ReasonUnreadable
		if panics {
			want = verify.ReasonInternal
		}
		for n := 0; ; n++ {
			source := &failing{bytes.NewReader(archive), n, panics}
			report, err := verify.Reader(context.Background(), source, int64(len(archive)), key, verify.WithWorkers(1))
			if source.left >= 0 {
				require.NoError(t, err)
				t.Logf("%d reads, panics: %v", n, panics)
				break
			}
			var failure *verify.Error
			require.ErrorAs(t, err, &failure, "read %d", n)
			require.Equal(t, want, failure.Reason, "read %d: %s", n, failure.Message)
			require.Equal(t, 5, failure.ExitCode())
			require.Equal(t, verify.StatusFailed, report.Status)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	archive := bundletest.Build(t, bundletest.Options{})
	_, err := verify.Reader(ended, bytes.NewReader(archive), int64(len(archive)), verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))})
	var failure *verify.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, verify.ReasonInterrupted, failure.Reason)
}

// TestManyShards has enough files for several workers, and one spoiled.
func TestManyShards(t *testing.T) {
	var shards []bundletest.Shard
	for i := range 60 {
		s := bundletest.Shard{Type: "advisories", Lines: []string{fmt.Sprintf(`{"id":%d,"x":%q}`, i, strings.Repeat("y", 5000))}}
		if i > 0 {
			s.Key = fmt.Sprint("key ", i)
		}
		shards = append(shards, s)
	}
	signer := bundletest.Key(t, 1)
	built := bundletest.New(t, bundletest.Options{Signer: signer, Shards: shards})
	report, err := check(t, built.Bytes(t), signer)
	require.NoError(t, err)
	require.EqualValues(t, 60, report.Records)
	require.EqualValues(t, 60, report.Files)

	victim := built.Manifest.Contents[31].Path
	data := bytes.Clone(built.Data(t, victim))
	data[len(data)/2] ^= 1
	built.Replace(t, victim, data)
	for _, workers := range []int{1, 2, 7} {
		_, err = verify.Reader(context.Background(), bytes.NewReader(built.Bytes(t)), int64(len(built.Bytes(t))),
			verify.Trust{bundletest.Verifier(t, signer)}, verify.WithWorkers(workers))
		var failure *verify.Error
		require.ErrorAs(t, err, &failure)
		require.Equal(t, victim, failure.Path)
		require.Equal(t, verify.ReasonPayloadDigest, failure.Reason)
	}
}

// TestMemoryDoesNotGrowWithTheBundle: 128 times the content, the same memory.
func TestMemoryDoesNotGrowWithTheBundle(t *testing.T) {
	if testing.Short() {
		t.Skip("large bundles are left out with -short")
	}
	line := `{"x":"` + strings.Repeat("evidence ", 100_000) + `"}`
	signer := bundletest.Key(t, 1)
	allocated := func(shards int) uint64 {
		var all []bundletest.Shard
		for i := range shards {
			s := bundletest.Shard{Type: "sboms", Lines: []string{line, line}}
			if i > 0 {
				s.Key = fmt.Sprint(i)
			}
			all = append(all, s)
		}
		archive := bundletest.Build(t, bundletest.Options{Signer: signer, Shards: all})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		report, err := check(t, archive, signer)
		runtime.ReadMemStats(&after)
		require.NoError(t, err)
		require.EqualValues(t, 2*shards, report.Records)
		return after.TotalAlloc - before.TotalAlloc
	}
	allocated(2) // fills the pools
	one, many := allocated(1), allocated(128)
	t.Logf("1.8 MB of content: %d KiB allocated in all; 230 MB: %d KiB", one>>10, many>>10)
	require.Less(t, many, uint64(128<<20))
}

// TestEmptySelection: a bundle without payload files is valid and says so.
func TestEmptySelection(t *testing.T) {
	signer := bundletest.Key(t, 1)
	report, err := check(t, bundletest.Build(t, bundletest.Options{Signer: signer, Shards: []bundletest.Shard{}}), signer)
	require.NoError(t, err)
	require.Zero(t, report.Records)
	require.Equal(t, bundle.DigestOf(nil).String(), report.PayloadDigest)
}

// FuzzReader: nothing but the honest bundle is ever verified.
func FuzzReader(f *testing.F) {
	signer := bundletest.Key(f, 1)
	good := bundletest.Build(f, bundletest.Options{Signer: signer})
	key := verify.Trust{bundletest.Verifier(f, signer)}
	f.Add(good)
	f.Add(good[:5000])
	f.Add(append(bytes.Clone(good), good...))
	f.Add(bundletest.Build(f, bundletest.Options{Signer: bundletest.Key(f, 2)}))
	f.Add(make([]byte, bundle.TrailerSize))
	f.Fuzz(func(t *testing.T, archive []byte) {
		report, err := verify.Reader(context.Background(), bytes.NewReader(archive), int64(len(archive)), key, verify.WithWorkers(1))
		if err == nil && !bytes.Equal(archive, good) {
			t.Fatal("verified something else than the honest bundle")
		}
		if (err == nil) != (report.Status == verify.StatusVerified) {
			t.Fatalf("%v and %s", err, report.Status)
		}
		var failure *verify.Error
		if errors.As(err, &failure) && failure.Reason == verify.ReasonInternal {
			t.Fatal(failure.Message)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	var shards []bundletest.Shard
	size := 0
	for i := range 24 {
		s := bundletest.Shard{Type: "advisories"}
		if i > 0 {
			s.Key = fmt.Sprint("key ", i)
		}
		for j := range 700 {
			line := fmt.Sprintf(`{"id":"GO-%d-%06d","details":"%x","summary":%q}`, i, j, bundle.DigestOf(fmt.Append(nil, i, j)), strings.Repeat("evidence of a weakness ", 60))
			size += len(line) + 1
			s.Lines = append(s.Lines, line)
		}
		shards = append(shards, s)
	}
	signer := bundletest.Key(b, 1)
	archive := bundletest.Build(b, bundletest.Options{Signer: signer, Shards: shards})
	key := verify.Trust{bundletest.Verifier(b, signer)}
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verify.Reader(context.Background(), bytes.NewReader(archive), int64(len(archive)), key, verify.WithWorkers(workers)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
