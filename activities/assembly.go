package activities

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// shardOf is a shard as a builder reads it.
func (e *Export) shardOf(run export.Run, s storage.Shard) adapters.Shard {
	shard := e.packedShard(run.Tenant, s)
	shard.Originals = func(ctx context.Context, lines []int32, yield func(int32, []byte) error) error {
		return e.originalsOf(ctx, run, s, lines, yield)
	}
	return shard
}

// packedShard is a shard that is read as it was packed.
func (e *Export) packedShard(tenant string, s storage.Shard) adapters.Shard {
	file := *s.Result
	return adapters.Shard{
		Path: s.Name, Kind: ledger.Kind(s.Kind), Records: file.Records,
		ContentDigest: file.ContentDigest, ContentBytes: file.ContentSize,
		Open: func(ctx context.Context) (io.ReadCloser, error) {
			blob, err := storage.OpenExact(ctx, e.Objects, tenant, file.Digest, file.Size)
			if err != nil {
				return nil, fmt.Errorf("open %s: %w", s.Name, err)
			}
			stored := &storedBytes{r: io.NewSectionReader(blob, 0, blob.Size())}
			content, err := bundle.OpenPayload(stored)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("open %s: %w", s.Name, err), blob.Close())
			}
			return &packedLines{name: s.Name, want: file.ContentDigest, hash: sha256.New(), stored: stored, content: content, blob: blob}, nil
		},
	}
}

// storedBytes remembers that the store could not be read: that is no rot.
type storedBytes struct {
	r   io.Reader
	err error
}

func (s *storedBytes) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// packedLines gives the lines of a shard, and io.EOF only behind exactly those
// that were packed.
type packedLines struct {
	name    string
	want    bundle.Digest
	hash    hash.Hash
	stored  *storedBytes
	content io.ReadCloser
	blob    io.Closer
}

func (p *packedLines) Read(b []byte) (int, error) {
	n, err := p.content.Read(b)
	p.hash.Write(b[:n])
	switch {
	case p.stored.err != nil:
		err = fmt.Errorf("read %s: %w", p.name, p.stored.err)
	case err == io.EOF && bundle.Digest(p.hash.Sum(nil)) != p.want:
		err = fmt.Errorf("%s: %w", p.name, bundle.ErrRotten)
	case err != nil && err != io.EOF:
		err = fmt.Errorf("%s: %w: %w", p.name, bundle.ErrRotten, err)
	}
	return n, err
}

func (p *packedLines) Close() error {
	err := p.content.Close()
	if blobErr := p.blob.Close(); err == nil {
		err = blobErr
	}
	return err
}

// assembly takes the files that a builder makes and stores them. It is
// adapters.Output for one attempt.
type assembly struct {
	*Export
	claim storage.Claim
	beat  *heartbeat
	ships bool           // the shards are files of the bundle
	files []storage.File // in the order in which they were begun
	paths map[string]bool
	lines []storage.Staged // of files of lines, which may be left open
	spare *bufio.Writer    // of segments (gather)
}

// discard destroys what was begun and not completed.
func (a *assembly) discard() (err error) {
	for _, s := range a.lines {
		err = errors.Join(err, s.Discard()) // a no-op after Publish
	}
	return err
}

// stored are the digests of the files that were stored.
func (a *assembly) stored() (digests []bundle.Digest) {
	for _, f := range a.files {
		if !f.Digest.IsZero() {
			digests = append(digests, f.Digest)
		}
	}
	return digests
}

// keep publishes a staged file and notes it.
func (a *assembly) keep(ctx context.Context, staged storage.Staged, ordinal int, path string, info bundle.PayloadInfo) error {
	digest, err := a.publish(ctx, a.claim, staged)
	if err != nil {
		return fmt.Errorf("store %s: %w", path, err)
	}
	_, size := staged.Digest()
	original := bundle.IsOriginal(path)
	a.files[ordinal] = storage.File{Path: path, Digest: digest, Size: size, Payload: !original, Entries: original, Ordinal: ordinal,
		Records: info.Records, ContentDigest: info.ContentDigest, ContentSize: info.ContentSize}
	a.beat.tick(int64(len(a.files)))
	return nil
}

// begin takes the next place for a file at path.
func (a *assembly) begin(ctx context.Context, path string) (storage.Staged, int, error) {
	if !a.mayBuild(path) {
		return nil, 0, fmt.Errorf("%.200q is no path for a file that is built", path)
	}
	if a.paths[path] {
		return nil, 0, fmt.Errorf("%s is built twice", path)
	}
	staged, err := a.Objects.Stage(ctx, a.claim.Ref.Tenant)
	if err != nil {
		return nil, 0, fmt.Errorf("stage %s: %w", path, err)
	}
	a.paths[path] = true
	a.files = append(a.files, storage.File{Path: path})
	return staged, len(a.files) - 1, nil
}

// mayBuild reports whether a builder may make a file at path. Shards that go into the
// bundle are not its.
func (a *assembly) mayBuild(path string) bool {
	if bundle.CheckPath(path) != nil {
		return false
	}
	return bundle.IsOriginal(path) || bundle.IsPayload(path) && !(a.ships && bundle.IsEvidence(path))
}

// Document stores content as it is.
func (a *assembly) Document(ctx context.Context, path string, content []byte, records int64) error {
	staged, ordinal, err := a.begin(ctx, path)
	if err != nil {
		return err
	}
	defer staged.Discard() //nolint:errcheck // a no-op after Publish
	if _, err := staged.Write(content); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return a.keep(ctx, staged, ordinal, path,
		bundle.PayloadInfo{Records: records, ContentDigest: bundle.DigestOf(content), ContentSize: int64(len(content))})
}

// Layer stores a database beside its metadata.
func (a *assembly) Layer(ctx context.Context, path string, layer adapters.Layer) error {
	size, err := layer.Database.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = layer.Database.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", layer.Name, err)
	}
	staged, ordinal, err := a.begin(ctx, path)
	if err != nil {
		return err
	}
	defer staged.Discard() //nolint:errcheck // a no-op after Publish
	written, err := bundle.WriteLayer(staged, layer.Metadata, layer.Name, stopping{ctx, layer.Database, a.beat}, size)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return a.keep(ctx, staged, ordinal, path,
		bundle.PayloadInfo{Records: layer.Records, ContentDigest: written.Content, ContentSize: written.Size})
}

// stopping is a reader that ends with its context, and beats while it is read.
type stopping struct {
	ctx  context.Context
	r    io.Reader
	beat *heartbeat
}

func (s stopping) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	s.beat.tick(0)
	return s.r.Read(p)
}

// Lines begins a file of JSON lines.
func (a *assembly) Lines(ctx context.Context, path string) (adapters.Lines, error) {
	staged, ordinal, err := a.begin(ctx, path)
	if err != nil {
		return nil, err
	}
	payload, err := bundle.NewPayloadWriter(staged)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", path, err), staged.Discard())
	}
	a.lines = append(a.lines, staged)
	return &lineFile{PayloadWriter: payload, a: a, ctx: ctx, staged: staged, ordinal: ordinal, path: path}, nil
}

// lineFile is a file of lines being written.
type lineFile struct {
	*bundle.PayloadWriter
	a       *assembly
	ctx     context.Context
	staged  storage.Staged
	ordinal int
	path    string
}

// Close completes the file and stores it.
func (l *lineFile) Close() error {
	info, err := l.PayloadWriter.Close()
	if err != nil {
		return fmt.Errorf("write %s: %w", l.path, err)
	}
	return l.a.keep(l.ctx, l.staged, l.ordinal, l.path, info)
}
