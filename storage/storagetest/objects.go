package storagetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Objects runs the suite of blob stores. open gives an empty store; the suite
// calls it once per case.
func Objects(t *testing.T, open func(t *testing.T) storage.Objects) {
	t.Helper()
	cases := []struct {
		name string
		run  func(t *testing.T, s storage.Objects)
	}{
		{"what is published is read back", readBack},
		{"any range is read", readRanges},
		{"publishing the same bytes again changes nothing", publishTwice},
		{"many publish the same bytes at once", publishTogether},
		{"an unpublished blob is not there", unpublished},
		{"a staged blob ends once", endsOnce},
		{"a cancelled publish publishes nothing", cancelledPublish},
		{"an absent blob is not found", absent},
		{"deleting", deleting},
		{"what is stored", stored},
		{"an eraser that may not erases nothing", refusedErase},
		{"an eraser that is stopped holds up the next, and nobody else", stoppedErase},
		{"who relies on an unmarked blob waits for its eraser", stoppedUnmarked},
		{"an open blob outlives its deletion", openOutlivesDelete},
		{"a tenant is a wall", tenantWall},
		{"names that are no tenant are refused", badTenants},
		{"check", func(t *testing.T, s storage.Objects) { require.NoError(t, s.Check(t.Context())) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// Put publishes content in one go and gives its digest.
func Put(t testing.TB, s storage.Objects, tenant string, content []byte) bundle.Digest {
	t.Helper()
	staged, err := s.Stage(t.Context(), tenant)
	require.NoError(t, err)
	_, err = staged.Write(content)
	require.NoError(t, err)
	digest, size := staged.Digest()
	require.Equal(t, bundle.DigestOf(content), digest)
	require.Equal(t, int64(len(content)), size)
	require.NoError(t, staged.Publish(t.Context()))
	return digest
}

// Get reads a whole blob.
func Get(t testing.TB, s storage.Objects, tenant string, digest bundle.Digest) []byte {
	t.Helper()
	blob, err := s.Open(t.Context(), tenant, digest)
	require.NoError(t, err)
	defer func() { require.NoError(t, blob.Close()) }()
	content, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
	require.NoError(t, err)
	return content
}

func readBack(t *testing.T, s storage.Objects) {
	for _, size := range []int{0, 1, 511, 64 << 10, 3<<20 + 7} {
		content := pattern(size)
		require.True(t, bytes.Equal(content, Get(t, s, "acme", Put(t, s, "acme", content))), "size %d", size)
	}
	staged, err := s.Stage(t.Context(), "acme")
	require.NoError(t, err)
	for _, part := range []string{"written ", "in ", "", "parts"} {
		_, err := io.WriteString(staged, part)
		require.NoError(t, err)
	}
	require.NoError(t, staged.Publish(t.Context()))
	require.Equal(t, "written in parts", string(Get(t, s, "acme", bundle.DigestOf([]byte("written in parts")))))
}

func readRanges(t *testing.T, s storage.Objects) {
	content := pattern(10_000)
	blob, err := s.Open(t.Context(), "acme", Put(t, s, "acme", content))
	require.NoError(t, err)
	defer blob.Close() //nolint:errcheck // read only
	require.Equal(t, int64(10_000), blob.Size())
	for _, r := range []struct{ off, length int }{{0, 1}, {0, 10_000}, {9_999, 1}, {1_234, 4_321}, {5_000, 0}} {
		part := make([]byte, r.length)
		n, err := blob.ReadAt(part, int64(r.off))
		require.True(t, err == nil || errors.Is(err, io.EOF) && r.off+r.length == 10_000, "%v: %v", r, err)
		require.Equal(t, r.length, n)
		require.True(t, bytes.Equal(content[r.off:r.off+r.length], part), "%v", r)
	}
	n, err := blob.ReadAt(make([]byte, 20), 9_990)
	require.Equal(t, 10, n)
	require.ErrorIs(t, err, io.EOF)
	_, err = blob.ReadAt(make([]byte, 1), 10_000)
	require.ErrorIs(t, err, io.EOF)
}

func publishTwice(t *testing.T, s storage.Objects) {
	content := pattern(1_000)
	first := Put(t, s, "acme", content)
	require.Equal(t, first, Put(t, s, "acme", content))
	require.True(t, bytes.Equal(content, Get(t, s, "acme", first)))
}

func publishTogether(t *testing.T, s storage.Objects) {
	content := pattern(100_000)
	var group sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		group.Go(func() { errs[i] = publish(t.Context(), s, content) })
	}
	group.Wait()
	require.NoError(t, errors.Join(errs...))
	require.True(t, bytes.Equal(content, Get(t, s, "acme", bundle.DigestOf(content))))
}

func publish(ctx context.Context, s storage.Objects, content []byte) error {
	staged, err := s.Stage(ctx, "acme")
	if err != nil {
		return err
	}
	if _, err := staged.Write(content); err != nil {
		return errors.Join(err, staged.Discard())
	}
	return staged.Publish(ctx)
}

func unpublished(t *testing.T, s storage.Objects) {
	staged, err := s.Stage(t.Context(), "acme")
	require.NoError(t, err)
	_, err = io.WriteString(staged, "draft")
	require.NoError(t, err)
	requireAbsent(t, s, "acme", bundle.DigestOf([]byte("draft")))
	require.NoError(t, staged.Discard())
	requireAbsent(t, s, "acme", bundle.DigestOf([]byte("draft")))
}

func endsOnce(t *testing.T, s storage.Objects) {
	staged, err := s.Stage(t.Context(), "acme")
	require.NoError(t, err)
	_, err = io.WriteString(staged, "final")
	require.NoError(t, err)
	require.NoError(t, staged.Publish(t.Context()))
	require.NoError(t, staged.Discard(), "after Publish it does nothing")
	require.Equal(t, "final", string(Get(t, s, "acme", bundle.DigestOf([]byte("final")))))
	_, err = io.WriteString(staged, "more")
	require.Error(t, err)
	require.Error(t, staged.Publish(t.Context()))

	dropped, err := s.Stage(t.Context(), "acme")
	require.NoError(t, err)
	require.NoError(t, dropped.Discard())
	require.NoError(t, dropped.Discard())
	require.Error(t, dropped.Publish(t.Context()))
	requireAbsent(t, s, "acme", bundle.DigestOf(nil))
}

func cancelledPublish(t *testing.T, s storage.Objects) {
	staged, err := s.Stage(t.Context(), "acme")
	require.NoError(t, err)
	_, err = io.WriteString(staged, "late")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, staged.Publish(ctx), context.Canceled)
	requireAbsent(t, s, "acme", bundle.DigestOf([]byte("late")))
	require.NoError(t, staged.Discard())
	_, err = s.Stage(ctx, "acme")
	require.ErrorIs(t, err, context.Canceled)
}

func absent(t *testing.T, s storage.Objects) {
	requireAbsent(t, s, "acme", bundle.DigestOf([]byte("nothing")))
	requireAbsent(t, s, "acme", bundle.Digest{})
}

func deleting(t *testing.T, s storage.Objects) {
	gone := Put(t, s, "acme", []byte("gone"))
	stays := Put(t, s, "acme", []byte("stays"))
	require.NoError(t, s.Delete(t.Context(), "acme", gone, mayErase))
	requireAbsent(t, s, "acme", gone)
	require.NoError(t, s.Delete(t.Context(), "acme", gone, mayErase), "absent is not an error")
	require.Equal(t, "stays", string(Get(t, s, "acme", stays)))
	require.Equal(t, gone, Put(t, s, "acme", []byte("gone")), "it can come back")
	require.Equal(t, "gone", string(Get(t, s, "acme", gone)))
}

// mayErase is the answer to an eraser that holds the blob.
func mayErase(context.Context) error { return nil }

func stored(t *testing.T, s storage.Objects) {
	digest := Put(t, s, "acme", []byte("here"))
	for _, c := range []struct {
		tenant string
		digest bundle.Digest
		size   int64
		want   bool
	}{
		{"acme", digest, 4, true}, {"acme", digest, 5, false}, {"globex", digest, 4, false},
		{"acme", bundle.DigestOf([]byte("not")), 3, false}, {"acme", bundle.DigestOf(nil), 0, false},
	} {
		got, err := s.Stored(t.Context(), c.tenant, c.digest, c.size)
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%+v", c)
	}
	require.NoError(t, s.Delete(t.Context(), "acme", digest, mayErase))
	got, err := s.Stored(t.Context(), "acme", digest, 4)
	require.NoError(t, err)
	require.False(t, got)
}

func refusedErase(t *testing.T, s storage.Objects) {
	digest := Put(t, s, "acme", []byte("another's"))
	gone := errors.New("the transaction has ended")
	refuse := func(context.Context) error { return gone }
	require.ErrorIs(t, s.Delete(t.Context(), "acme", digest, refuse), gone)
	require.ErrorIs(t, s.DeleteUnmarked(t.Context(), "acme", digest, refuse), gone)
	require.Equal(t, "another's", string(Get(t, s, "acme", digest)))
	require.NoError(t, s.DeleteUnmarked(t.Context(), "acme", digest, mayErase), "it holds nobody up")
	requireAbsent(t, s, "acme", digest)
	require.NoError(t, s.Delete(t.Context(), "acme", digest, mayErase))
	require.NoError(t, s.DeleteUnmarked(t.Context(), "stranger", digest, mayErase), "where no blob has ever been")
}

// Stopped starts an eraser that stops when it has its proof; goOn lets it
// remove the blob, and waits for that.
func Stopped(t testing.TB, erase func(context.Context, string, bundle.Digest, storage.Still) error, tenant string, digest bundle.Digest) (goOn func() error) {
	t.Helper()
	reached, wake, ended := make(chan bool), make(chan bool), make(chan error, 1)
	go func() {
		ended <- erase(t.Context(), tenant, digest, func(context.Context) error { close(reached); <-wake; return nil })
	}()
	select {
	case <-reached:
	case err := <-ended:
		require.Fail(t, "it has not asked whether it may", "%v", err)
	}
	return func() error { close(wake); return <-ended }
}

// requireWait sees that something waits for an eraser that is stopped.
func requireWait(t *testing.T, something func(ctx context.Context) error) {
	t.Helper()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, something(short), context.DeadlineExceeded)
}

func stoppedErase(t *testing.T, s storage.Objects) {
	digest := Put(t, s, "acme", []byte("doomed"))
	goOn := Stopped(t, s.Delete, "acme", digest)
	asked := false
	requireWait(t, func(ctx context.Context) error {
		return s.Delete(ctx, "acme", digest, func(context.Context) error { asked = true; return nil })
	})
	require.False(t, asked)
	require.Equal(t, digest, Put(t, s, "acme", []byte("doomed")), "who publishes waits for nobody")
	there, err := s.Stored(t.Context(), "acme", digest, 6)
	require.NoError(t, err)
	require.True(t, there)
	require.Equal(t, "doomed", string(Get(t, s, "acme", digest)))

	second := make(chan error, 1)
	go func() { second <- s.Delete(t.Context(), "acme", digest, mayErase) }()
	require.NoError(t, errors.Join(goOn(), <-second))
	requireAbsent(t, s, "acme", digest)
}

func stoppedUnmarked(t *testing.T, s storage.Objects) {
	digest := Put(t, s, "acme", []byte("left over"))
	goOn := Stopped(t, s.DeleteUnmarked, "acme", digest)
	requireWait(t, func(ctx context.Context) error { return s.DeleteUnmarked(ctx, "acme", digest, mayErase) })
	requireWait(t, func(ctx context.Context) error { _, err := s.Stored(ctx, "acme", digest, 9); return err })
	staged, err := s.Stage(t.Context(), "acme")
	require.NoError(t, err)
	_, err = io.WriteString(staged, "left over")
	require.NoError(t, err)
	requireWait(t, staged.Publish)
	require.Equal(t, "left over", string(Get(t, s, "acme", digest)), "readers wait for nobody")

	published := make(chan error, 1)
	go func() { published <- staged.Publish(t.Context()) }()
	require.NoError(t, errors.Join(goOn(), <-published))
	there, err := s.Stored(t.Context(), "acme", digest, 9)
	require.NoError(t, err)
	require.True(t, there, "stored anew")
}

func openOutlivesDelete(t *testing.T, s storage.Objects) {
	digest := Put(t, s, "acme", []byte("still read"))
	blob, err := s.Open(t.Context(), "acme", digest)
	require.NoError(t, err)
	defer blob.Close() //nolint:errcheck // read only
	require.NoError(t, s.Delete(t.Context(), "acme", digest, mayErase))
	content, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
	require.NoError(t, err)
	require.Equal(t, "still read", string(content))
}

func tenantWall(t *testing.T, s storage.Objects) {
	digest := Put(t, s, "acme", []byte("of acme"))
	requireAbsent(t, s, "globex", digest)
	require.NoError(t, s.Delete(t.Context(), "globex", digest, mayErase))
	require.Equal(t, "of acme", string(Get(t, s, "acme", digest)), "another tenant's delete reaches nothing")
	Put(t, s, "globex", []byte("of acme"))
	require.NoError(t, s.Delete(t.Context(), "acme", digest, mayErase))
	require.Equal(t, "of acme", string(Get(t, s, "globex", digest)), "equal bytes are kept once per tenant")
}

func badTenants(t *testing.T, s storage.Objects) {
	for _, tenant := range []string{"", ".", "..", "../b", "a/b", "A", "a\x00b", "а", "_", "-a", string(make([]byte, 1000))} {
		_, err := s.Stage(t.Context(), tenant)
		require.Equal(t, export.CodeTenantRequired, export.CodeOf(err), "%q", tenant)
		_, err = s.Open(t.Context(), tenant, bundle.Digest{})
		require.Equal(t, export.CodeTenantRequired, export.CodeOf(err), "%q", tenant)
		require.Equal(t, export.CodeTenantRequired, export.CodeOf(s.Delete(t.Context(), tenant, bundle.Digest{}, mayErase)), "%q", tenant)
		require.Equal(t, export.CodeTenantRequired, export.CodeOf(s.DeleteUnmarked(t.Context(), tenant, bundle.Digest{}, mayErase)), "%q", tenant)
		_, err = s.Stored(t.Context(), tenant, bundle.Digest{}, 0)
		require.Equal(t, export.CodeTenantRequired, export.CodeOf(err), "%q", tenant)
	}
}

func requireAbsent(t *testing.T, s storage.Objects, tenant string, digest bundle.Digest) {
	t.Helper()
	_, err := s.Open(t.Context(), tenant, digest)
	require.ErrorIs(t, err, storage.ErrNotFound)
}

// pattern makes size bytes that differ from place to place.
func pattern(size int) []byte {
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i*31 + i>>8*17)
	}
	return content
}
