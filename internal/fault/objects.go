package fault

import (
	"context"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/storage"
)

// Objects passes what is done to blobs to inner through its point.
func (i *Injector) Objects(inner storage.Objects) storage.Objects { return &objects{i, inner} }

type objects struct {
	injector *Injector
	inner    storage.Objects
}

func (o *objects) Stage(ctx context.Context, tenant string) (storage.Staged, error) {
	inner, err := answer(ctx, o.injector, Stage, func(ctx context.Context) (storage.Staged, error) { return o.inner.Stage(ctx, tenant) })
	if err != nil {
		return nil, err
	}
	return &staged{o.injector, inner, ctx}, nil
}

func (o *objects) Open(ctx context.Context, tenant string, digest bundle.Digest) (storage.Blob, error) {
	inner, err := read(o.injector, func() (storage.Blob, error) { return o.inner.Open(ctx, tenant, digest) })
	if err != nil {
		return nil, err
	}
	return &blob{o.injector, inner}, nil
}

func (o *objects) Stored(ctx context.Context, tenant string, digest bundle.Digest, size int64) (bool, error) {
	return read(o.injector, func() (bool, error) { return o.inner.Stored(ctx, tenant, digest, size) })
}

func (o *objects) Delete(ctx context.Context, tenant string, digest bundle.Digest, still storage.Still) error {
	return o.injector.At(ctx, Delete, func(ctx context.Context) error { return o.inner.Delete(ctx, tenant, digest, still) })
}

func (o *objects) DeleteUnmarked(ctx context.Context, tenant string, digest bundle.Digest, still storage.Still) error {
	return o.injector.At(ctx, Delete, func(ctx context.Context) error { return o.inner.DeleteUnmarked(ctx, tenant, digest, still) })
}

// Check leaves nothing behind, so it counts as a read.
func (o *objects) Check(ctx context.Context) error {
	_, err := read(o.injector, func() (struct{}, error) { return struct{}{}, o.inner.Check(ctx) })
	return err
}

// staged is a blob being written by the attempt whose context ctx is: its
// methods without one wait as long as that attempt may.
type staged struct {
	injector *Injector
	inner    storage.Staged
	ctx      context.Context
}

func (s *staged) Write(p []byte) (n int, err error) {
	err = s.injector.At(s.ctx, Write, func(context.Context) (err error) {
		n, err = s.inner.Write(p)
		return err
	})
	return n, err
}

func (s *staged) Digest() (bundle.Digest, int64) { return s.inner.Digest() }

func (s *staged) Publish(ctx context.Context) error {
	return s.injector.At(ctx, Publish, s.inner.Publish)
}

func (s *staged) Discard() error {
	return s.injector.At(s.ctx, Discard, func(context.Context) error { return s.inner.Discard() })
}

type blob struct {
	injector *Injector
	inner    storage.Blob
}

func (b *blob) ReadAt(p []byte, off int64) (int, error) {
	return read(b.injector, func() (int, error) { return b.inner.ReadAt(p, off) })
}

func (b *blob) Close() error { return b.inner.Close() }

func (b *blob) Size() int64 { return b.inner.Size() }
