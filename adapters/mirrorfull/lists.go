package mirrorfull

import (
	"context"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
)

// listWriter writes indexes/originals-*: a line per original, cut as shards are.
type listWriter struct {
	out   adapters.Output
	lines adapters.Lines // nil before the first, and once closed
	begun bool
	text  []byte
}

func (l *listWriter) add(ctx context.Context, o bundle.Original) error {
	l.text = o.Append(l.text[:0])
	if first := !l.begun; first || bundle.CutBefore([]byte(o.Path), int64(len(l.text)+1)) {
		if err := l.close(); err != nil {
			return err
		}
		var err error
		if l.lines, err = l.out.Lines(ctx, bundle.OriginalsIndexPath(o.Path, first)); err != nil {
			return err
		}
		l.begun = true
	}
	return l.lines.WriteLine(l.text)
}

func (l *listWriter) close() error {
	if l.lines == nil {
		return nil
	}
	lines := l.lines
	l.lines = nil
	return lines.Close()
}
