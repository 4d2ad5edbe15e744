package mirrorfull

import (
	"bufio"
	"context"
	"io"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
)

// prior walks through the originals of the mirror before, in archive order.
type prior struct {
	ctx     context.Context
	of      *adapters.Prior
	lists   []adapters.MirrorFile
	lines   *bufio.Scanner
	content io.Closer
	segment int   // that the next one is in
	in      int64 // how many of the segment were passed
	offset  int64 // in the segment's blob
	current place
	there   bool
}

// place is where an original of the mirror before is.
type place struct {
	bundle.Original
	segment int
	offset  int64 // of its header
}

func newPrior(ctx context.Context, of *adapters.Prior) *prior {
	p := &prior{ctx: ctx, of: of}
	if of != nil {
		p.lists = of.Lists
		p.step()
	}
	return p
}

// find gives the original at path, which rises from call to call.
func (p *prior) find(path string) (place, bool) {
	for p.there && p.current.Path < path {
		p.step()
	}
	if !p.there || p.current.Path != path {
		return place{}, false
	}
	return p.current, true
}

// step goes on by one. What cannot be read ends the walk: the rest comes from the ledger.
func (p *prior) step() {
	p.there = false
	o, more, err := p.next()
	if err != nil || !more {
		return
	}
	for p.segment < len(p.of.Segments) && p.in == p.of.Segments[p.segment].Count {
		p.segment, p.in, p.offset = p.segment+1, 0, 0
	}
	if p.segment == len(p.of.Segments) {
		return // its indexes list what no segment has
	}
	p.current, p.there = place{Original: o, segment: p.segment, offset: p.offset}, true
	p.in, p.offset = p.in+1, p.offset+bundle.EntrySize(o.Bytes)
}

// next reads the next line of the indexes.
func (p *prior) next() (bundle.Original, bool, error) {
	for {
		if p.lines != nil {
			if p.lines.Scan() {
				o, err := bundle.ParseOriginal(p.lines.Bytes())
				return o, true, err
			}
			if err := p.lines.Err(); err != nil {
				return bundle.Original{}, false, err
			}
		}
		p.close()
		if len(p.lists) == 0 {
			return bundle.Original{}, false, nil
		}
		content, err := p.lists[0].Open(p.ctx)
		if err != nil {
			return bundle.Original{}, false, err
		}
		p.lists = p.lists[1:]
		p.content, p.lines = content, bufio.NewScanner(content)
		p.lines.Split(bundle.SplitLines)
	}
}

func (p *prior) close() {
	if p.content != nil {
		p.content.Close()
	}
	p.content, p.lines = nil, nil
}
