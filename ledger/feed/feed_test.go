package feed_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/feed"
)

// tree writes files below a fresh directory.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "top folder")
	require.NoError(t, os.Mkdir(dir, 0o755))
	for name, content := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	}
	return dir
}

func compress(t testing.TB, content string) string {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	return string(enc.EncodeAll([]byte(content), nil))
}

// read gives what was found as lines "file|entry|stream|bytes" and
// "file|entry|reason".
func read(t testing.TB, r feed.Reader, paths ...string) (entries, rejections []string) {
	t.Helper()
	base := filepath.Dir(paths[0])
	shown := func(path string) string { return strings.TrimPrefix(path, base+"/") }
	r.Entry = func(e ledger.Entry) error {
		entries = append(entries, fmt.Sprintf("%s|%s|%s|%.40s", shown(e.File), e.Name, e.Stream, e.Bytes))
		return nil
	}
	r.Reject = func(x ledger.Rejection) error {
		rejections = append(rejections, fmt.Sprintf("%s|%s|%s", shown(x.File), x.Entry, x.Reason))
		return nil
	}
	require.NoError(t, r.Read(t.Context(), paths...))
	return entries, rejections
}

func TestReadADirectory(t *testing.T) {
	dir := tree(t, map[string]string{
		"b.json": "{\"b\": 1}\n", "a/z.json": "z", "a/lines.jsonl": "one\r\n\n  \ntwo", "c d.jsonl.zst": compress(t, "x\ny\n"),
		".hidden.json": "no", ".git/x.json": "no", "README.md": "text", "empty.jsonl": "", "empty.json": "",
	})
	entries, rejections := read(t, feed.Reader{}, dir)
	require.Equal(t, []string{
		"top folder/a/lines.jsonl|line 1|lines|one",
		"top folder/a/lines.jsonl|line 4|lines|two",
		"top folder/a/z.json||top-folder|z",
		"top folder/b.json||top-folder|{\"b\": 1}\n",
		"top folder/c d.jsonl.zst|line 1|c-d|x",
		"top folder/c d.jsonl.zst|line 2|c-d|y",
		"top folder/empty.json||top-folder|",
	}, entries)
	require.Equal(t, []string{"top folder/README.md||not a .json, .jsonl, .jsonl.zst, .zip, .tar, .tar.gz, .tgz or .tar.zst file"}, rejections)
}

func TestNamesOfStreams(t *testing.T) {
	dir := tree(t, map[string]string{"go-vulndb.jsonl": "x", "one.json": "y"})
	entries, _ := read(t, feed.Reader{}, filepath.Join(dir, "go-vulndb.jsonl"), filepath.Join(dir, "one.json"))
	require.Equal(t, []string{"go-vulndb.jsonl|line 1|go-vulndb|x", "one.json||top-folder|y"}, entries, "alone as in its folder")
	entries, _ = read(t, feed.Reader{Stream: "given"}, dir)
	for _, e := range entries {
		require.Contains(t, e, "|given|")
	}
}

func TestWhatIsWrongIsRejectedAndTheRestIsRead(t *testing.T) {
	good := compress(t, strings.Repeat("a line\n", 1000))
	dir := tree(t, map[string]string{
		"1-broken.jsonl.zst": good[:len(good)/2], "2-nonsense.jsonl.zst": "not zstd at all", "3-good.jsonl": "x",
		"4-window.jsonl.zst": "\x28\xb5\x2f\xfd\x04\xa8\x00\x00\x00", // asks for a window of 2 GiB
	})
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "5-pipe.json"), 0o644))
	entries, rejections := read(t, feed.Reader{}, dir, filepath.Join(dir, "missing.json"))
	require.Contains(t, entries, "top folder/3-good.jsonl|line 1|3-good|x")
	require.Len(t, rejections, 5)
	for i, want := range []string{"1-broken.jsonl.zst|line", "2-nonsense.jsonl.zst|line 1", "4-window.jsonl.zst|line 1",
		"5-pipe.json||neither a file nor a directory", "missing.json||cannot be read: no such file"} {
		require.Contains(t, rejections[i], want)
		require.NotContains(t, strings.SplitN(rejections[i], "|", 3)[2], dir, "the reason repeats the path")
	}
}

func TestLinksDoNotLeadOut(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret.json")
	require.NoError(t, os.WriteFile(outside, []byte("secret"), 0o644))
	dir := tree(t, map[string]string{"a/real.json": "r"})
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "b.json")))
	require.NoError(t, os.Symlink(filepath.Dir(outside), filepath.Join(dir, "c")))
	require.NoError(t, os.Symlink("a/real.json", filepath.Join(dir, "d.json")))
	require.NoError(t, os.Symlink("a", filepath.Join(dir, "e")))
	require.NoError(t, os.Symlink("g.json", filepath.Join(dir, "g.json")))
	entries, rejections := read(t, feed.Reader{}, dir)
	require.Equal(t, []string{"top folder/a/real.json||top-folder|r", "top folder/d.json||top-folder|r"}, entries)
	require.Len(t, rejections, 3, "%q", rejections)
}

func TestLongLinesAreRejectedInBoundedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("long lines are left out with -short")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "bomb.jsonl.zst")
	file, err := os.Create(path)
	require.NoError(t, err)
	enc, err := zstd.NewWriter(file, zstd.WithEncoderConcurrency(1))
	require.NoError(t, err)
	chunk := bytes.Repeat([]byte{'x'}, 1<<20)
	chance := rand.New(rand.NewPCG(1, 2))
	for range 600 { // one line of 600 MiB that packs well, but not like a bomb
		for at := 0; at < len(chunk); at += 512 {
			chunk[at] = 'a' + byte(chance.IntN(26))
		}
		_, err = enc.Write(chunk)
		require.NoError(t, err)
	}
	_, err = enc.Write([]byte("\nafter\n"))
	require.NoError(t, err)
	require.NoError(t, enc.Close())
	require.NoError(t, file.Close())

	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	entries, rejections := read(t, feed.Reader{}, path)
	runtime.ReadMemStats(&after)
	require.Equal(t, []string{"bomb.jsonl.zst|line 2|bomb|after"}, entries)
	require.Equal(t, []string{"bomb.jsonl.zst|line 1|longer than 67108864 bytes"}, rejections)
	require.Less(t, int64(after.HeapSys)-int64(before.HeapSys), int64(400<<20))

	big := filepath.Join(dir, "big.json")
	require.NoError(t, os.WriteFile(big, nil, 0o644))
	require.NoError(t, os.Truncate(big, 1<<40))
	entries, rejections = read(t, feed.Reader{}, big)
	require.Empty(t, entries)
	require.Contains(t, rejections[0], "a document may have")
}

func TestCallersErrorsStopReading(t *testing.T) {
	dir := tree(t, map[string]string{"a.jsonl": "1\n2\n3", "b.txt": ""})
	stop := fmt.Errorf("stop")
	n := 0
	err := feed.Reader{
		Entry:  func(ledger.Entry) error { n++; return stop },
		Reject: func(ledger.Rejection) error { return nil },
	}.Read(t.Context(), dir)
	require.ErrorIs(t, err, stop)
	require.Equal(t, 1, n)
	err = feed.Reader{
		Entry:  func(ledger.Entry) error { return nil },
		Reject: func(ledger.Rejection) error { return stop },
	}.Read(t.Context(), dir)
	require.ErrorIs(t, err, stop)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = feed.Reader{Entry: func(ledger.Entry) error { n++; return nil }}.Read(ctx, filepath.Join(dir, "a.jsonl"))
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, n)
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"), false)
	f.Add([]byte(compress(f, "a\nb\n")), true)
	f.Fuzz(func(t *testing.T, content []byte, packed bool) {
		name := "x.jsonl"
		if packed {
			name += ".zst"
		}
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, content, 0o644))
		var joined []byte
		rejected := 0
		require.NoError(t, feed.Reader{
			Entry: func(e ledger.Entry) error {
				if bytes.IndexByte(e.Bytes, '\n') >= 0 || len(bytes.TrimSpace(e.Bytes)) == 0 {
					t.Fatalf("not a line: %q", e.Bytes)
				}
				joined = append(joined, e.Bytes...)
				return nil
			},
			Reject: func(ledger.Rejection) error { rejected++; return nil },
		}.Read(t.Context(), path))
		if !packed && rejected == 0 {
			squeeze := func(b []byte) string { return strings.Join(strings.Fields(string(b)), "") }
			require.Equal(t, squeeze(content), squeeze(joined), "bytes were lost")
		}
	})
}

// A link to a folder that is walked anyway is left out; one to a folder that is
// not walked is said.
func TestLinksToFolders(t *testing.T) {
	dir := tree(t, map[string]string{"seen/a.json": "1", ".store/b.json": "2"})
	require.NoError(t, os.Symlink("seen", filepath.Join(dir, "again")))
	require.NoError(t, os.Symlink(".store", filepath.Join(dir, "advisories")))
	require.NoError(t, os.Symlink(".", filepath.Join(dir, "loop")))
	entries, rejections := read(t, feed.Reader{}, dir)
	require.Len(t, entries, 1)
	require.Equal(t, []string{"top folder/advisories||a link to a hidden folder, which is not read; name the folder itself"}, rejections)
}
