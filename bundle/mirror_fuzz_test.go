package bundle

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParseOriginal: what is read has one form, and the short way to it takes what the
// decoder takes, and nothing else.
func FuzzParseOriginal(f *testing.F) {
	const path = `,"path":"data/original/advisory/`
	name := strings.Repeat("0a", 32) + `"}`
	for _, bytes := range []string{"12", "0", "012", "00", "-0", "-1", "+1", "1e3", "1.0", "", " 1", "67108864", "67108865", "100000000", "99999999999999999999"} {
		f.Add([]byte(`{"bytes":` + bytes + path + name))
	}
	f.Add([]byte(`{"bytes":-1,"path":"data/original/advisory/x"}`))
	f.Add([]byte(`{"bytes":1` + path + strings.ToUpper(name)))
	f.Add([]byte(`{"bytes":1` + path + name + " "))
	f.Add([]byte(`{"bytes":1` + path + `\u0030a` + name[2:]))
	f.Fuzz(func(t *testing.T, line []byte) {
		o, err := ParseOriginal(line)
		slow, refused := explainOriginal(line)
		require.Equal(t, refused, err)
		require.Equal(t, slow, o)
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
