package bundletest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/signing"
)

// Seal makes the last entry anew over the entries as they are.
func (b *Bundle) Seal(t testing.TB, signer signing.Signer, payloadType string, change func(*bundle.Seal)) {
	t.Helper()
	b.Remove(bundle.SealPath)
	hash, err := bundle.HashArchive(context.Background(), b.members(), b.open)
	require.NoError(t, err)
	digest, size := hash.Prefix()
	seal := bundle.NewSeal(b.Manifest, digest, size)
	if change != nil {
		change(&seal)
	}
	payload, err := seal.Encode()
	require.NoError(t, err)
	b.SealText(t, signer, payloadType, payload)
}

// SealText makes the last entry anew: a signed envelope of whatever payload is.
func (b *Bundle) SealText(t testing.TB, signer signing.Signer, payloadType string, payload []byte) {
	t.Helper()
	b.Remove(bundle.SealPath)
	envelope, err := signing.SignEnvelope(context.Background(), signer, payloadType, payload)
	require.NoError(t, err)
	b.Entries = append(b.Entries, Entry{bundle.SealPath, envelope})
}

// Sum makes checksums.txt anew over the entries as they are.
func (b *Bundle) Sum(t testing.TB) {
	t.Helper()
	var listed []bundle.Listed
	for _, e := range b.Entries {
		if e.Path != bundle.ChecksumsPath && e.Path != bundle.SealPath && !bundle.IsOriginal(e.Path) {
			listed = append(listed, bundle.Listed{Path: e.Path, Digest: bundle.DigestOf(e.Data)})
		}
	}
	b.Replace(t, bundle.ChecksumsPath, bundle.Checksums(listed))
}

// Clone gives a bundle whose entries may be replaced without touching b's.
func (b *Bundle) Clone() *Bundle {
	return &Bundle{Manifest: b.Manifest, Signer: b.Signer, Entries: slices.Clone(b.Entries)}
}

// WriteTo writes the archive without holding it in memory as a whole.
func (b *Bundle) WriteTo(w io.Writer) (int64, error) {
	view, err := bundle.NewView(b.members(), b.open)
	if err != nil {
		return 0, err
	}
	defer view.Close()
	return io.Copy(w, view)
}

// Remove takes out the entry at path.
func (b *Bundle) Remove(path string) {
	b.Entries = slices.DeleteFunc(b.Entries, func(e Entry) bool { return e.Path == path })
}

// Data gives the entry at path.
func (b *Bundle) Data(t testing.TB, path string) []byte {
	t.Helper()
	for _, e := range b.Entries {
		if e.Path == path {
			return e.Data
		}
	}
	t.Fatalf("bundle has no entry %s", path)
	return nil
}

// Replace puts data in place of the entry at path.
func (b *Bundle) Replace(t testing.TB, path string, data []byte) {
	t.Helper()
	for i := range b.Entries {
		if b.Entries[i].Path == path {
			b.Entries[i].Data = data
			return
		}
	}
	t.Fatalf("bundle has no entry %s", path)
}

// Bytes gives the archive, through the view a download uses.
func (b *Bundle) Bytes(t testing.TB) []byte {
	t.Helper()
	view, err := bundle.NewView(b.members(), b.open)
	require.NoError(t, err)
	defer view.Close()
	archive, err := io.ReadAll(view)
	require.NoError(t, err)
	return archive
}

// Raw gives the archive with the entries in the order they are in, in the one
// header form but otherwise unchecked.
func (b *Bundle) Raw(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, e := range b.Entries {
		header, err := bundle.Header(e.Path, int64(len(e.Data)))
		require.NoError(t, err)
		out.Write(header[:])
		out.Write(e.Data)
		out.Write(make([]byte, int(bundle.EntrySize(int64(len(e.Data))))-bundle.BlockSize-len(e.Data)))
	}
	out.Write(make([]byte, bundle.TrailerSize))
	return out.Bytes()
}

func (b *Bundle) members() []bundle.Member {
	var members []bundle.Member
	for _, e := range b.Entries {
		members = append(members, bundle.Member{Path: e.Path, Size: int64(len(e.Data)), Digest: bundle.DigestOf(e.Data)})
	}
	return members
}

func (b *Bundle) open(m bundle.Member) (bundle.Source, error) {
	for _, e := range b.Entries {
		if e.Path == m.Path {
			return memory{bytes.NewReader(e.Data)}, nil
		}
	}
	return nil, fmt.Errorf("no entry %s", m.Path)
}

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }
