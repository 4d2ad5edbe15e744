package bundle

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParseOriginal: what is read has one form.
func FuzzParseOriginal(f *testing.F) {
	f.Add([]byte(`{"bytes":12,"path":"data/original/advisory/` + strings.Repeat("0a", 32) + `"}`))
	f.Add([]byte(`{"bytes":-1,"path":"data/original/advisory/x"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		o, err := ParseOriginal(line)
		if err != nil {
			return
		}
		require.Equal(t, string(line), string(o.Append(nil)))
		kind, digest, err := ParseOriginalPath(o.Path)
		require.NoError(t, err)
		require.Equal(t, o.Path, OriginalPath(kind, digest))
		require.True(t, IsOriginal(o.Path) && !IsPayload(o.Path))
	})
}

// FuzzEachEntry: entries that are read are those that are written.
func FuzzEachEntry(f *testing.F) {
	var two bytes.Buffer
	w := NewEntryWriter(&two)
	require.NoError(f, w.Entry("a", 3, strings.NewReader("abc")))
	require.NoError(f, w.Entry("b/c", 0, strings.NewReader("")))
	f.Add(two.Bytes())
	f.Add(two.Bytes()[:600])
	f.Fuzz(func(t *testing.T, raw []byte) {
		var again bytes.Buffer
		w := NewEntryWriter(&again)
		err := EachEntry(bytes.NewReader(raw), func(path string, size int64, content io.Reader) error {
			if size > int64(len(raw)) {
				return io.ErrUnexpectedEOF
			}
			return w.Entry(path, size, content)
		})
		if err == nil {
			require.Equal(t, raw, append([]byte{}, again.Bytes()...))
		}
	})
}

// FuzzDeltaOf: what is read has one form.
func FuzzDeltaOf(f *testing.F) {
	end := DeltaEnd{ExportID: "019a0000-0000-7000-8000-000000000001", Generation: 1, ManifestDigest: DigestOf(nil), PayloadDigest: DigestOf(nil),
		ContentRoot: DigestOf(nil), ArchiveDigest: DigestOf(nil), ArchiveBytes: 1}
	good, err := Delta{Base: end, Target: end}.Encode()
	require.NoError(f, err)
	f.Add(good)
	f.Fuzz(func(t *testing.T, text []byte) {
		if d, err := DeltaOf(text); err == nil {
			again, err := d.Encode()
			require.NoError(t, err)
			require.Equal(t, string(text), string(again))
		}
	})
}
