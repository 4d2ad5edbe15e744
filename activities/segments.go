package activities

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/storage"
)

func newHash() hash.Hash { return sha256.New() }

// Entries begins a segment of originals.
func (a *assembly) Entries(ctx context.Context, path string) (adapters.Entries, error) {
	if _, _, err := bundle.ParseOriginalPath(path); err != nil {
		return nil, err
	}
	staged, ordinal, err := a.begin(ctx, path)
	if err != nil {
		return nil, err
	}
	a.lines = append(a.lines, staged)
	buffered := a.gather(staged)
	return &segmentFile{a: a, ctx: ctx, staged: staged, buffered: buffered, ordinal: ordinal, path: path, entries: bundle.NewEntryWriter(buffered)}, nil
}

// segmentBuffer is how much of a segment is written at once.
const segmentBuffer = 128 << 10

// gather gives a buffer in front of a segment: the one before's, when that is complete.
func (a *assembly) gather(staged storage.Staged) *bufio.Writer {
	buffered := a.spare
	if a.spare = nil; buffered == nil {
		return bufio.NewWriterSize(staged, segmentBuffer)
	}
	buffered.Reset(staged)
	return buffered
}

// segmentFile is a segment being written.
type segmentFile struct {
	a        *assembly
	ctx      context.Context
	staged   storage.Staged
	buffered *bufio.Writer
	ordinal  int
	path     string
	entries  *bundle.EntryWriter
	info     bundle.PayloadInfo
}

// Original adds an original that is what its name says.
func (s *segmentFile) Original(o bundle.Original, content io.Reader) error {
	if s.info.Records == 0 && o.Path != s.path {
		return fmt.Errorf("the segment %s begins with %s", s.path, o.Path)
	}
	_, want, err := bundle.ParseOriginalPath(o.Path)
	if err != nil {
		return err
	}
	h := sha256.New()
	if err := s.entries.Entry(o.Path, o.Bytes, io.TeeReader(stopping{s.ctx, content, s.a.beat}, h)); err != nil {
		return err
	}
	if got := bundle.Digest(h.Sum(nil)); got != want {
		return fmt.Errorf("%s: %w: its content has the digest %s", o.Path, bundle.ErrRotten, got)
	}
	s.info.Records++
	s.info.ContentSize += o.Bytes
	return nil
}

// Close completes the segment and stores it.
func (s *segmentFile) Close() error {
	if s.info.Records == 0 {
		return fmt.Errorf("the segment %s has no originals", s.path)
	}
	if err := s.buffered.Flush(); err != nil {
		return fmt.Errorf("write %s: %w", s.path, err)
	}
	s.a.spare = s.buffered
	return s.a.keep(s.ctx, s.staged, s.ordinal, s.path, s.info)
}

// TakeOver makes a segment of an earlier mirror one of this run: pinned first, then
// looked at (ARCHITECTURE D4).
func (a *assembly) TakeOver(ctx context.Context, of adapters.Segment) (bool, error) {
	if _, _, err := bundle.ParseOriginalPath(of.Path); err != nil {
		return false, err
	}
	if a.paths[of.Path] {
		return false, fmt.Errorf("%s is built twice", of.Path)
	}
	tenant := a.claim.Ref.Tenant
	if err := a.Execution.Pin(ctx, a.claim, of.Digest, of.Size); err != nil {
		return false, fmt.Errorf("pin %s: %w", of.Digest, err)
	}
	there, err := a.Objects.Stored(ctx, tenant, of.Digest, of.Size)
	if err != nil || !there {
		return false, err
	}
	a.paths[of.Path] = true
	a.files = append(a.files, storage.File{Path: of.Path, Digest: of.Digest, Size: of.Size, Entries: true, Ordinal: len(a.files),
		Records: of.Count, ContentSize: of.Content})
	a.beat.tick(int64(len(a.files)))
	return true, nil
}
