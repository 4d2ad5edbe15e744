package bundle_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
)

// lines are documents that compress like real ones; the same for the same n.
func lines(n int) [][]byte {
	r := rand.New(rand.NewChaCha8([32]byte{7}))
	out := make([][]byte, n)
	for i := range out {
		out[i] = fmt.Appendf(nil, `{"id":"GO-2026-%06d","summary":"%s","severity":%d}`, i, strings.Repeat("evidence ", r.IntN(20)), r.Uint32())
	}
	return out
}

func packed(t testing.TB, documents [][]byte) ([]byte, bundle.PayloadInfo) {
	t.Helper()
	var stored bytes.Buffer
	w, err := bundle.NewPayloadWriter(&stored)
	require.NoError(t, err)
	for _, d := range documents {
		require.NoError(t, w.WriteLine(d))
	}
	info, err := w.Close()
	require.NoError(t, err)
	return stored.Bytes(), info
}

func TestPayloadWriterDescribesWhatItWrote(t *testing.T) {
	documents := lines(5000)
	stored, info := packed(t, documents)
	content := append(bytes.Join(documents, []byte("\n")), '\n')
	require.Equal(t, bundle.PayloadInfo{
		Digest: bundle.DigestOf(stored), Size: int64(len(stored)),
		ContentDigest: bundle.DigestOf(content), ContentSize: int64(len(content)), Records: 5000,
	}, info)
	r, err := bundle.OpenPayload(bytes.NewReader(stored))
	require.NoError(t, err)
	read, err := io.ReadAll(r)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, read))
	require.NoError(t, r.Close())
	_, err = r.Read(make([]byte, 1))
	require.Error(t, err)
	require.NoError(t, r.Close())
}

// TestPayloadBytesDependOnLinesOnly: not on the parts, on what the pooled
// encoder did before, or on what others do at the same time.
func TestPayloadBytesDependOnLinesOnly(t *testing.T) {
	documents := lines(20_000)
	want, _ := packed(t, documents)
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 1))
			packed(t, lines(100*worker+1))
			var stored bytes.Buffer
			w, err := bundle.NewPayloadWriter(&stored)
			if err != nil {
				t.Error(err)
				return
			}
			for _, d := range documents {
				cut := r.IntN(len(d) + 1)
				if err := w.WriteLine(d[:cut], nil, d[cut:]); err != nil {
					t.Error(err)
					return
				}
			}
			if _, err := w.Close(); err != nil || !bytes.Equal(want, stored.Bytes()) {
				t.Errorf("worker %d: other bytes (%v)", worker, err)
			}
		})
	}
	wait.Wait()
}

// TestPayloadGolden pins the encoder's bytes. If an update of the library
// changes them, payload digests of the same documents change: raise
// encoderName, put the new digests here, and say so in the change log.
func TestPayloadGolden(t *testing.T) {
	for _, c := range []struct {
		documents int
		stored    string
	}{
		{1, "c340f8017682a46cc5be848e61ff1975c28456ed404dad2a62904eacacfcd965"},
		{100, "dbd970735383ca3253168b25bd135349973e6d63b939f089c6eec6e1f716c387"},
		{30_000, "f89a149e77133a654cae44b3b70bed7b8b58c9654effa54285b617891ab92c43"},
	} {
		stored, info := packed(t, lines(c.documents))
		assert.Equal(t, c.stored, info.Digest.Hex(), "%d documents, %d bytes", c.documents, len(stored))
	}
}

func TestEncoderNameIsTheOneInGoMod(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	path, version, ok := strings.Cut(bundle.EncoderName(), "@")
	require.True(t, ok)
	module := strings.TrimSuffix(path, "/zstd")
	require.Contains(t, string(mod), "\t"+module+" "+version+"\n", "encoderName must name the pinned version")
	require.Equal(t, bundle.EncoderName(), bundle.EncoderCompression().Encoder)
}

func TestPayloadWriterRefuses(t *testing.T) {
	w, err := bundle.NewPayloadWriter(io.Discard)
	require.NoError(t, err)
	require.ErrorContains(t, w.WriteLine([]byte("ab"), []byte("c\nd")), "line feed at byte 3")
	require.ErrorContains(t, w.WriteLine(), "empty")
	require.ErrorContains(t, w.WriteLine(nil, []byte{}), "empty")
	_, err = w.Close()
	require.ErrorContains(t, err, "without records")

	w, err = bundle.NewPayloadWriter(io.Discard)
	require.NoError(t, err)
	require.NoError(t, w.WriteLine([]byte("{}")))
	_, err = w.Close()
	require.NoError(t, err)
	require.Error(t, w.WriteLine([]byte("{}")), "after Close")
	_, err = w.Close()
	require.Error(t, err, "twice")
}

func TestPayloadWriterReportsAFullDisk(t *testing.T) {
	full := errors.New("no space left")
	for _, room := range []int{0, 10, 100_000} {
		w, err := bundle.NewPayloadWriter(&limited{room: room, err: full})
		require.NoError(t, err)
		for _, d := range lines(200_000) {
			if err = w.WriteLine(d); err != nil {
				break
			}
		}
		if err == nil {
			_, err = w.Close()
		}
		require.ErrorIs(t, err, full, "room %d", room)
		_, err = w.Close()
		require.ErrorIs(t, err, full)
	}
}

type limited struct {
	room int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.room {
		return 0, l.err
	}
	l.room -= len(p)
	return len(p), nil
}

func readPayload(r io.Reader) ([]byte, error) {
	p, err := bundle.OpenPayload(r)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return io.ReadAll(io.LimitReader(p, 64<<20))
}

func frame(t testing.TB, content []byte, options ...zstd.EOption) []byte {
	t.Helper()
	encoder, err := zstd.NewWriter(nil, options...)
	require.NoError(t, err)
	return encoder.EncodeAll(content, nil)
}

func TestOpenPayloadReadsAnyOneFrame(t *testing.T) {
	content := bytes.Join(lines(3000), []byte("\n"))
	for name, stored := range map[string][]byte{
		"one call":         frame(t, content),
		"another level":    frame(t, content, zstd.WithEncoderLevel(zstd.SpeedFastest)),
		"single segment":   frame(t, content, zstd.WithSingleSegment(true)),
		"not compressible": frame(t, content, zstd.WithNoEntropyCompression(true)),
		"small window":     frame(t, content, zstd.WithWindowSize(1<<12)),
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{bytes.NewReader(stored), iotest.OneByteReader(bytes.NewReader(stored)), iotest.DataErrReader(bytes.NewReader(stored))} {
				read, err := readPayload(r)
				require.NoError(t, err)
				require.True(t, bytes.Equal(content, read))
			}
		})
	}
}

func TestOpenPayloadRefuses(t *testing.T) {
	content := bytes.Join(lines(300), []byte("\n"))
	good := frame(t, content)
	skippable := []byte{0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3}
	reserved := bytes.Clone(good)
	reserved[4] |= 0x08
	unused := bytes.Clone(good)
	unused[4] |= 0x10
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, stored := range map[string][]byte{
		"nothing":                nil,
		"text":                   []byte("{}\n"),
		"two frames":             join(good, good),
		"an empty frame after":   join(good, frame(t, nil, zstd.WithZeroFrames(true))),
		"skippable frame before": join(skippable, good),
		"skippable frame after":  join(good, skippable),
		"only a skippable frame": skippable,
		"a byte after":           join(good, []byte{0}),
		"no checksum":            frame(t, content, zstd.WithEncoderCRC(false)),
		"dictionary":             frame(t, content, zstd.WithEncoderDictRaw(3, content[:2000])),
		"reserved bit":           reserved,
		"unused bit":             unused,
		"window of 16 MiB":       frame(t, bytes.Repeat(content, 600), zstd.WithWindowSize(16<<20)),
		"old format":             join([]byte{0x27, 0xb5, 0x2f, 0xfd}, good[4:]),
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{bytes.NewReader(stored), iotest.OneByteReader(bytes.NewReader(stored))} {
				_, err := readPayload(r)
				require.Error(t, err)
				require.NotErrorIs(t, err, io.EOF)
			}
		})
	}
	for n := range good {
		_, err := readPayload(bytes.NewReader(good[:n]))
		require.Error(t, err, "cut at %d", n)
	}
}

func TestOpenPayloadFindsEveryFlipThatChangesContent(t *testing.T) {
	content := bytes.Join(lines(20), []byte("\n"))
	good := frame(t, content)
	same := 0
	for bit := range len(good) * 8 {
		spoiled := bytes.Clone(good)
		spoiled[bit/8] ^= 1 << (bit % 8)
		read, err := readPayload(bytes.NewReader(spoiled))
		if err == nil {
			require.True(t, bytes.Equal(content, read), "bit %d changed the content unnoticed", bit)
			same++
		}
	}
	t.Logf("%d flips, %d decode to the same content: the file's digest is what finds those", len(good)*8, same)
}

func TestOpenPayloadGivesReadErrors(t *testing.T) {
	broken := errors.New("bad sector")
	_, err := readPayload(io.MultiReader(bytes.NewReader(frame(t, bytes.Join(lines(300), nil))[:50]), iotest.ErrReader(broken)))
	require.ErrorIs(t, err, broken)
}

func FuzzOpenPayload(f *testing.F) {
	good := frame(f, bytes.Join(lines(5), []byte("\n")))
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add(append(bytes.Clone(good), good...))
	f.Add(frame(f, []byte("{}\n"), zstd.WithEncoderCRC(false)))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 1, 0, 0, 0x99, 0xe9, 0xd8, 0x51})
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(64<<20))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, stored []byte) {
		read, err := readPayload(bytes.NewReader(stored))
		if err != nil || len(read) >= 64<<20 {
			return
		}
		// What the strict reader takes, the lenient one reads alike.
		other, err := decoder.DecodeAll(stored, nil)
		if err != nil || !bytes.Equal(read, other) {
			t.Fatalf("the library reads %d bytes (%v), we %d", len(other), err, len(read))
		}
	})
}

func BenchmarkPayloadWriter(b *testing.B) {
	documents := lines(50_000)
	size := 0
	for _, d := range documents {
		size += len(d) + 1
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		w, err := bundle.NewPayloadWriter(io.Discard)
		if err != nil {
			b.Fatal(err)
		}
		for _, d := range documents {
			if err := w.WriteLine(d); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func ExamplePayloadWriter() {
	var stored bytes.Buffer
	w, err := bundle.NewPayloadWriter(&stored)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := w.WriteLine([]byte(`{"id":`), []byte(`"GO-2026-0001"}`)); err != nil {
		fmt.Println(err)
		return
	}
	info, err := w.Close()
	fmt.Println(info.Records, info.ContentSize, info.Digest == bundle.DigestOf(stored.Bytes()), err)
	// Output: 1 22 true <nil>
}
