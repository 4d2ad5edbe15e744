package boltpages

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// content is what a bucket holds: texts, and buckets inside.
type content map[string]any

func write(t require.TestingT, dir string, c content) (path string) {
	file, err := os.CreateTemp(dir, "*.db")
	require.NoError(t, err)
	defer file.Close()
	w := New(file)
	put(t, w, c)
	require.NoError(t, w.Close())
	return file.Name()
}

func put(t require.TestingT, w *Writer, c content) {
	for _, key := range slices.Sorted(maps.Keys(c)) {
		switch value := c[key].(type) {
		case string:
			require.NoError(t, w.Put([]byte(key), []byte(value)))
		case content:
			require.NoError(t, w.Begin([]byte(key)))
			put(t, w, value)
			require.NoError(t, w.End())
		}
	}
}

func read(t require.TestingT, b *bolt.Bucket) content {
	c := content{}
	require.NoError(t, b.ForEach(func(k, v []byte) error {
		if v != nil {
			c[string(k)] = string(v)
		} else {
			c[string(k)] = read(t, b.Bucket(k))
		}
		return nil
	}))
	return c
}

// readBack reads a database with bbolt and has bbolt check it.
func readBack(t require.TestingT, path string) (c content) {
	db, err := bolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			require.NoError(t, err, "bbolt's own check")
		}
		c = read(t, tx.Cursor().Bucket())
		return nil
	}))
	return c
}

// anyContent draws nested content: few and many keys, short and long ones,
// values that are inline, that share a page, and that take several.
func anyContent(depth int) *rapid.Generator[content] {
	return rapid.Custom(func(t *rapid.T) content {
		c := content{}
		size := rapid.SampledFrom([]int{0, 1, 3, 40, 400}).Draw(t, "size")
		if depth < 2 {
			size = min(size, 40)
		}
		keyLength := rapid.SampledFrom([]int{1, 8, 60, 1500, maxKey}).Draw(t, "key length")
		valueLength := rapid.SampledFrom([]int{0, 5, 100, 1100, 9000}).Draw(t, "value length")
		if keyLength == maxKey {
			size = min(size, 5)
		}
		for i := range size {
			key := fmt.Sprintf("%0*d", 1+i%keyLength, rapid.IntRange(0, 1<<30).Draw(t, "key"))
			if depth > 0 && rapid.IntRange(0, 9).Draw(t, "kind") == 0 {
				c[key] = anyContent(depth-1).Draw(t, "inner")
			} else {
				c[key] = strings.Repeat("v", rapid.IntRange(0, valueLength).Draw(t, "length"))
			}
		}
		return c
	})
}

// TestBboltReadsWhatWasWritten: any sorted content reads back equal, bbolt's
// own check finds nothing, the file takes an update, and the same content gives
// the same bytes.
func TestBboltReadsWhatWasWritten(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		c := anyContent(2).Draw(t, "content")
		path := write(t, dir, c)
		again := write(t, dir, c)
		defer os.Remove(path)
		defer os.Remove(again)
		first, err := os.ReadFile(path)
		require.NoError(t, err)
		second, err := os.ReadFile(again)
		require.NoError(t, err)
		require.True(t, bytes.Equal(first, second), "two writes, two files")
		require.Equal(t, c, readBack(t, path))
		update(t, path, c)
		require.Equal(t, c, readBack(t, path))
	})
}

// update changes the file with bbolt, and c in the same way.
func update(t require.TestingT, path string, c content) {
	db, err := bolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Update(func(tx *bolt.Tx) error {
		names := slices.Sorted(maps.Keys(c))
		for i, name := range names {
			inner, nested := c[name].(content)
			switch {
			case !nested:
			case i%2 == 0:
				delete(c, name)
				require.NoError(t, tx.DeleteBucket([]byte(name)))
			default:
				b := tx.Bucket([]byte(name))
				for key, value := range inner {
					if _, text := value.(string); text && len(key)%2 == 0 {
						delete(inner, key)
						require.NoError(t, b.Delete([]byte(key)))
					}
				}
				inner["new"] = "value"
				require.NoError(t, b.Put([]byte("new"), []byte("value")))
			}
		}
		return nil
	}))
}

// TestManyPages fills several levels of branches.
func TestManyPages(t *testing.T) {
	c := content{"bucket": content{}}
	for i := range 60_000 {
		c["bucket"].(content)[fmt.Sprintf("key %08d with some more text", i)] = "value"
	}
	require.Equal(t, c, readBack(t, write(t, t.TempDir(), c)))
}

// TestKeysMustBeSorted: what comes in another order is named, and the writer
// takes nothing more.
func TestKeysMustBeSorted(t *testing.T) {
	begin := func(t *testing.T) *Writer {
		file, err := os.Create(filepath.Join(t.TempDir(), "db"))
		require.NoError(t, err)
		t.Cleanup(func() { file.Close() })
		w := New(file)
		require.NoError(t, w.Begin([]byte("npm::a")))
		require.NoError(t, w.Begin([]byte("lodash")))
		require.NoError(t, w.Put([]byte("CVE-2"), nil))
		return w
	}
	t.Run("lower", func(t *testing.T) {
		w := begin(t)
		require.ErrorContains(t, w.Put([]byte("CVE-1"), nil), `the root / "npm::a" / "lodash" / "CVE-1" does not come after "CVE-2"`)
		require.Error(t, w.End())
		require.Error(t, w.Close())
	})
	t.Run("equal", func(t *testing.T) {
		require.ErrorContains(t, begin(t).Put([]byte("CVE-2"), nil), "does not come after")
	})
	t.Run("a bucket", func(t *testing.T) {
		w := begin(t)
		require.NoError(t, w.End())
		require.ErrorContains(t, w.Begin([]byte("lodash")), `"npm::a" / "lodash" does not come after "lodash"`)
	})
	t.Run("empty", func(t *testing.T) {
		require.ErrorContains(t, begin(t).Put(nil, nil), "is empty")
	})
	t.Run("too long", func(t *testing.T) {
		require.ErrorContains(t, begin(t).Put(bytes.Repeat([]byte("z"), maxKey+1), nil), "bbolt takes at most 32768")
	})
	t.Run("not ended", func(t *testing.T) {
		require.ErrorContains(t, begin(t).Close(), `bucket "lodash" is not ended`)
	})
	t.Run("ended twice", func(t *testing.T) {
		w := begin(t)
		require.NoError(t, w.End())
		require.NoError(t, w.End())
		require.ErrorContains(t, w.End(), "no bucket to end")
	})
}

// full is a disk without room.
type full struct{}

func (full) WriteAt(p []byte, at int64) (int, error) { return 0, fmt.Errorf("no room at %d", at) }

func TestAFullDiskIsAnError(t *testing.T) {
	w := New(full{})
	require.NoError(t, w.Put([]byte("a"), []byte("b")))
	require.ErrorContains(t, w.Close(), "no room at")
	require.ErrorContains(t, w.Put([]byte("c"), nil), "no room at", "it stays so")
}

// TestMemoryIsAPagePerLevel writes a hundred times what it may hold.
func TestMemoryIsAPagePerLevel(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "db"))
	require.NoError(t, err)
	defer file.Close()
	w := New(file)
	value := bytes.Repeat([]byte("v"), 500)
	require.NoError(t, w.Begin([]byte("bucket")))
	before := heap()
	for i := range 200_000 {
		require.NoError(t, w.Put(fmt.Appendf(nil, "%08d", i), value))
	}
	require.Less(t, heap()-before, int64(1<<20), "bytes held after 100 MB")
	require.NoError(t, w.End())
	require.NoError(t, w.Close())
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestInlineBuckets: a bucket is inline exactly where bbolt itself would have
// made it so.
func TestInlineBuckets(t *testing.T) {
	c := content{}
	for size := 960; size < 1030; size++ {
		c[fmt.Sprintf("bucket %d", size)] = content{"key": strings.Repeat("v", size)}
	}
	theirs := filepath.Join(t.TempDir(), "theirs.db")
	db, err := bolt.Open(theirs, 0o600, &bolt.Options{PageSize: pageSize})
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bolt.Tx) error {
		for name, inner := range c {
			b, err := tx.CreateBucket([]byte(name))
			require.NoError(t, err)
			require.NoError(t, b.Put([]byte("key"), []byte(inner.(content)["key"].(string))))
		}
		return nil
	}))
	require.NoError(t, db.Close())
	ours := inlineBuckets(t, write(t, t.TempDir(), c))
	require.NotEmpty(t, ours)
	require.Less(t, len(ours), len(c))
	require.Equal(t, inlineBuckets(t, theirs), ours)
}

func inlineBuckets(t *testing.T, path string) (inline []string) {
	db, err := bolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			if b.Stats().InlineBucketN == 1 {
				inline = append(inline, string(name))
			}
			return nil
		})
	}))
	return inline
}
