package mirrorfull

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
)

// originals writes the originals: lists and segments. In a first pass, in archive order,
// every original is listed, segments that the mirror before has are taken over, and of
// the others is noted where each original comes from. Those that only the ledger has are
// fetched in the ledger's order. A second pass writes what is left.
type originals struct {
	in  adapters.Input
	out adapters.Output

	prior *prior
	list  listWriter
	fetch *fetch
	plan  *bufio.Writer
	open  []source // the segment at work
}

// source is an original, and where it comes from.
type source struct {
	document
	prior bool // from a segment of the mirror before,
	at    place
}

func (o *originals) write(ctx context.Context, seen *survey) (err error) {
	plan, err := os.Create(filepath.Join(o.in.Scratch, "originals.plan"))
	if err != nil {
		return fmt.Errorf("plan originals: %w", err)
	}
	defer func() { err = errors.Join(err, plan.Close()) }()
	o.plan = bufio.NewWriterSize(plan, 256<<10)
	o.list = listWriter{out: o.out}
	if o.fetch, err = newFetch(o.in.Scratch); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.fetch.close()) }()
	o.prior = newPrior(ctx, o.in.Prior)
	defer o.prior.close()

	err = seen.each(ctx, func(d document) error { return o.add(ctx, d) })
	if err == nil {
		err = o.endSegment(ctx)
	}
	if err = errors.Join(err, o.list.close()); err != nil {
		return err
	}
	if err := o.plan.Flush(); err != nil {
		return fmt.Errorf("plan originals: %w", err)
	}
	if err := o.fetch.read(ctx, o.in.Shards); err != nil {
		return err
	}
	if _, err := plan.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("plan originals: %w", err)
	}
	return o.writePlanned(ctx, bufio.NewReaderSize(plan, 256<<10))
}

// add takes the next original.
func (o *originals) add(ctx context.Context, d document) error {
	if err := o.list.add(ctx, d.Original); err != nil {
		return err
	}
	if len(o.open) > 0 && cutBefore(d.Original) {
		if err := o.endSegment(ctx); err != nil {
			return err
		}
	}
	s := source{document: d}
	s.at, s.prior = o.prior.find(d.Path)
	o.open = append(o.open, s)
	return nil
}

// cutBefore reports whether a segment begins with o: by its path and size alone.
func cutBefore(o bundle.Original) bool {
	return bundle.CutBefore([]byte(o.Path), bundle.EntrySize(o.Bytes))
}

// endSegment takes the segment over, or plans it.
func (o *originals) endSegment(ctx context.Context) error {
	if len(o.open) == 0 {
		return nil
	}
	defer func() { o.open = o.open[:0] }()
	if of, same := o.same(); same {
		taken, err := o.out.TakeOver(ctx, of)
		if err != nil {
			return fmt.Errorf("take over originals from %s: %w", of.Path, err)
		}
		if taken {
			return nil
		}
		for i := range o.open {
			o.open[i].prior = false // its blob is gone
		}
	}
	for i, s := range o.open {
		if !s.prior {
			if err := o.fetch.want(s.document); err != nil {
				return err
			}
		}
		if err := s.writeTo(o.plan, i == 0); err != nil {
			return fmt.Errorf("plan originals: %w", err)
		}
	}
	return nil
}

// same gives the segment of the mirror before that has exactly the originals of the one
// at work.
func (o *originals) same() (adapters.Segment, bool) {
	first := o.open[0]
	if !first.prior || first.at.offset != 0 {
		return adapters.Segment{}, false
	}
	of := o.in.Prior.Segments[first.at.segment]
	if of.Count != int64(len(o.open)) {
		return adapters.Segment{}, false
	}
	for _, s := range o.open {
		if !s.prior || s.at.segment != first.at.segment {
			return adapters.Segment{}, false
		}
	}
	return of, true
}

// writeTo writes s to the plan.
func (s source) writeTo(w *bufio.Writer, begins bool) error {
	var head [1 + 2 + 8 + 4 + 8]byte
	if begins {
		head[0] |= 1
	}
	if s.prior {
		head[0] |= 2
	}
	binary.BigEndian.PutUint16(head[1:], uint16(len(s.Path)))
	binary.BigEndian.PutUint64(head[3:], uint64(s.Bytes))
	binary.BigEndian.PutUint32(head[11:], uint32(s.at.segment))
	binary.BigEndian.PutUint64(head[15:], uint64(s.at.offset))
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	_, err := w.WriteString(s.Path)
	return err
}

// readSource reads what writeTo wrote; io.EOF at the end.
func readSource(r io.Reader) (s source, begins bool, err error) {
	var head [1 + 2 + 8 + 4 + 8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return s, false, err
	}
	path := make([]byte, binary.BigEndian.Uint16(head[1:]))
	if _, err := io.ReadFull(r, path); err != nil {
		return s, false, errors.Join(err, io.ErrUnexpectedEOF)
	}
	s.Original = bundle.Original{Path: string(path), Bytes: int64(binary.BigEndian.Uint64(head[3:]))}
	s.prior = head[0]&2 != 0
	s.at.segment, s.at.offset = int(binary.BigEndian.Uint32(head[11:])), int64(binary.BigEndian.Uint64(head[15:]))
	return s, head[0]&1 != 0, nil
}

// writePlanned writes the segments of the plan.
func (o *originals) writePlanned(ctx context.Context, plan io.Reader) (err error) {
	from := &supply{ctx: ctx, prior: o.in.Prior}
	defer from.close()
	next, stop := o.fetch.fetched(ctx)
	defer stop()
	var segment adapters.Entries
	for {
		s, begins, err := readSource(plan)
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("plan originals: %w", err)
		}
		if begins {
			if segment != nil {
				if err := segment.Close(); err != nil {
					return err
				}
			}
			if segment, err = o.out.Entries(ctx, s.Path); err != nil {
				return err
			}
		}
		content, err := o.content(s, from, next)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Path, err)
		}
		if err := segment.Original(s.Original, content); err != nil {
			return err
		}
	}
	if segment == nil {
		return nil
	}
	return segment.Close()
}

// content is where an original is read.
func (o *originals) content(s source, from *supply, next func() (io.Reader, error)) (io.Reader, error) {
	if s.prior {
		return from.at(s.at.segment, s.at.offset+bundle.BlockSize, s.Bytes)
	}
	return next()
}
