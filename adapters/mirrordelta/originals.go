package mirrordelta

import (
	"errors"
	"fmt"
	"io"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/delta"
)

// originals writes the originals that came, their list, and the list of those that went.
func (m *making) originals() error {
	isList := func(c bundle.Content) bool { return bundle.IsOriginalsIndex(c.Path) }
	base := delta.NewOriginals(m.lists(inOrder(m.in.Base, isList)))
	target := &placed{Originals: delta.NewOriginals(m.lists(inOrder(m.in.Target, isList)))}
	defer base.Close()   //nolint:errcheck // it was read
	defer target.Close() //nolint:errcheck // it was read
	came := &segments{making: m, stored: &stored{making: m, segments: m.in.Target.Segments}}
	list := &cut{making: m, name: bundle.OriginalsIndexPath}
	gone := &cut{making: m, name: func(path string, first bool) string {
		return bundle.RemovedShardPath(bundle.RemovedOriginals, path, first)
	}}
	err := delta.CompareOriginals(base, target, func(was, is *bundle.Original) error {
		if is == nil {
			return gone.original(*was)
		}
		return errors.Join(came.add(*is, target.at), list.original(*is))
	})
	err = errors.Join(err, came.close(err), list.close(err), gone.close(err))
	return errors.Join(err, came.stored.close())
}

// placed is a mirror's list of originals, and where in its segments the last one is.
type placed struct {
	*delta.Originals
	at, next int64
}

// Next is delta.List's.
func (p *placed) Next() (*bundle.Original, error) {
	o, err := p.Originals.Next()
	if err == nil && o != nil {
		p.at = p.next
		p.next += bundle.EntrySize(o.Bytes)
	}
	return o, err
}

// segments writes originals into segments, cut as shards are.
type segments struct {
	*making
	stored *stored
	open   adapters.Entries
}

// add writes an original, whose header is at a place of the target's segments.
func (s *segments) add(o bundle.Original, at int64) error {
	if s.open == nil || bundle.CutBefore([]byte(o.Path), bundle.EntrySize(o.Bytes)) {
		if err := s.close(nil); err != nil {
			return err
		}
		open, err := s.out.Entries(s.ctx, o.Path)
		if err != nil {
			return err
		}
		s.open = open
	}
	content, err := s.stored.content(o, at)
	if err != nil {
		return err
	}
	return s.open.Original(o, content) // which checks that it is what its name says
}

func (s *segments) close(failed error) error {
	if s.open == nil || failed != nil {
		return nil
	}
	err := s.open.Close()
	s.open = nil
	return err
}

// stored reads the segments of a mirror from front to back.
type stored struct {
	*making
	segments []adapters.Segment
	from     int64 // where the first of segments begins
	open     bundle.Source
}

// content gives the original whose header is at a place; places rise.
func (s *stored) content(o bundle.Original, at int64) (io.Reader, error) {
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	for len(s.segments) > 0 && at >= s.from+s.segments[0].Size {
		if err := s.close(); err != nil {
			return nil, err
		}
		s.from += s.segments[0].Size
		s.segments = s.segments[1:]
	}
	if len(s.segments) == 0 {
		return nil, fmt.Errorf("%s: %w: it is behind the mirror's originals", o.Path, bundle.ErrRotten)
	}
	if s.open == nil {
		source, err := s.segments[0].Open(s.ctx)
		if err != nil {
			return nil, err
		}
		s.open = source
	}
	return io.NewSectionReader(s.open, at-s.from+bundle.BlockSize, o.Bytes), nil
}

func (s *stored) close() error {
	if s.open == nil {
		return nil
	}
	err := s.open.Close()
	s.open = nil
	return err
}
