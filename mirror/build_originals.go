package mirror

import (
	"context"
	"errors"
	"io"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/delta"
)

// originals makes the originals and their lists: those that the base has are linked.
func (b *building) originals() error {
	isList := func(c bundle.Content) bool { return bundle.IsOriginalsIndex(c.Path) }
	before, after, err := b.linkShared(isList)
	if err != nil {
		return err
	}
	if err := b.linkListed(isList, after); err != nil {
		return err
	}
	base := delta.NewOriginals(b.base.files(before))
	came := &arrivals{carried: b.delta.carried()}
	went := delta.NewOriginals(b.carriedLines(func(c bundle.Content) bool { return bundle.IsRemovedShard(c.Path, bundle.RemovedOriginals) }))
	lists := &repacking{building: b, files: after}
	err = delta.ApplyOriginals(base, came, went, func(o *bundle.Original, comes bool) error {
		var err error
		if comes {
			err = b.disk.write(b.path(o.Path), came.content)
		} else if err = b.disk.link(b.base.path(o.Path), b.path(o.Path)); err != nil {
			err = absent(b.base.dir, o.Path, err)
		}
		return errors.Join(b.ctx.Err(), err, lists.line(o.Append(nil)))
	})
	return errors.Join(lists.end(b.misfit(err)), base.Close(), went.Close())
}

// linkListed links the originals of the lists that base and target share.
func (b *building) linkListed(isList func(bundle.Content) bool, but []bundle.Content) error {
	made := map[string]bool{}
	for _, c := range but {
		made[c.Path] = true
	}
	shared := inOrder(b.target, func(c bundle.Content) bool { return isList(c) && !made[c.Path] })
	list := delta.NewOriginals((&tree{dir: b.dir}).files(shared))
	defer list.Close() //nolint:errcheck // it was read
	for {
		o, err := list.Next()
		if err != nil {
			return unlisted(err)
		}
		if o == nil {
			return nil
		}
		if err := errors.Join(b.ctx.Err(), b.disk.link(b.base.path(o.Path), b.path(o.Path))); err != nil {
			return absent(b.base.dir, o.Path, err)
		}
	}
}

// arrivals are the originals that a delta carries, as a list.
type arrivals struct {
	*carried
	at      bundle.Original
	content io.Reader
}

// Next is delta.List's.
func (a *arrivals) Next() (*bundle.Original, error) {
	path, content, size, err := a.next()
	if err != nil || path == "" {
		return nil, err
	}
	a.at, a.content = bundle.Original{Path: path, Bytes: size}, content
	return &a.at, nil
}

// Place is delta.List's.
func (a *arrivals) Place() (string, error) { return a.at.Path, nil }

// eachResult gives the entries that a delta carries, one at a time.
func eachResult(ctx context.Context, of *opened, each func(delta.Result) error) error {
	lines := of.files(ctx, inOrder(of.manifest, func(c bundle.Content) bool { return bundle.IsResultShard(c.Path) }))
	defer lines.Close() //nolint:errcheck // it was read
	for {
		line, err := lines.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		result, err := delta.ParseResult(line)
		if err != nil {
			return refuse(ReasonContent, "%s: %s: %w", of.name, lines.Where(), err)
		}
		if err := each(result); err != nil {
			return err
		}
	}
}

// files reads payload files of a bundle as one list of lines.
func (o *opened) files(ctx context.Context, of []bundle.Content) *delta.Files {
	return delta.NewFiles(func(i int) string { return of[i].Path }, func(i int) (io.ReadCloser, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if i >= len(of) {
			return nil, io.EOF
		}
		return o.lines(of[i])
	})
}
