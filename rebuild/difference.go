package rebuild

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// difference says where the two of a pair that are not the same part.
func (p pair) difference(ctx context.Context) (d export.RebuildDifference, err error) {
	d.Path, d.What = p.path(), "bytes"
	switch {
	case p.again == nil:
		d.What = "missing"
		return d, nil
	case p.recorded == nil:
		d.What = "additional"
		return d, nil
	}
	d.SameContent = !p.recorded.ContentDigest.IsZero() && p.recorded.ContentDigest == p.again.ContentDigest
	if p.recorded.Open == nil || p.again.Open == nil {
		d.What = "digest"
		return d, nil
	}
	d.Offset, err = p.offset(ctx, stored)
	if err != nil || d.SameContent {
		return d, err
	}
	if p.recorded.Segment {
		return d, p.within(ctx, &d)
	}
	switch {
	case strings.HasSuffix(d.Path, ".jsonl.zst"):
		if d.Line, err = p.line(ctx); err == nil {
			d.Document, err = p.document(ctx, d.Line)
		}
	case strings.HasSuffix(d.Path, ".json"):
		d.Member, err = p.member(ctx)
	}
	return d, err
}

// within names the entry of a segment that the difference is in.
func (p pair) within(ctx context.Context, d *export.RebuildDifference) error {
	blob, err := stored(ctx, p.recorded)
	if err != nil {
		return err
	}
	defer blob.Close()
	at, begin := d.Offset, int64(0)
	return bundle.EachEntry(blob, func(path string, size int64, _ io.Reader) error {
		if end := begin + bundle.EntrySize(size); begin <= at && at < end {
			d.Path, d.Offset = path, max(at-begin-bundle.BlockSize, 0)
		}
		begin += bundle.EntrySize(size)
		return ctx.Err()
	})
}

// opener opens an entry in some form.
type opener func(context.Context, *Entry) (io.ReadCloser, error)

func stored(ctx context.Context, e *Entry) (io.ReadCloser, error) {
	r, err := e.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", e.Path, err)
	}
	return r, nil
}

// lines opens the content of a file of lines.
func lines(ctx context.Context, e *Entry) (io.ReadCloser, error) {
	blob, err := stored(ctx, e)
	if err != nil {
		return nil, err
	}
	content, err := bundle.OpenPayload(blob)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", e.Path, err), blob.Close())
	}
	return &both{content, blob}, nil
}

// both closes what is read and what it is read from.
type both struct {
	io.ReadCloser
	under io.Closer
}

func (b *both) Close() error { return errors.Join(b.ReadCloser.Close(), b.under.Close()) }

// walk reads both sides beside each other, and calls seen with what is the same, until
// they part or end: n is where.
func (p pair) walk(ctx context.Context, open opener, seen func(same []byte)) (n int64, err error) {
	a, err := open(ctx, p.recorded)
	if err != nil {
		return 0, err
	}
	defer a.Close()
	b, err := open(ctx, p.again)
	if err != nil {
		return 0, err
	}
	defer b.Close()
	var x, y [64 << 10]byte
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		i, errA := io.ReadFull(a, x[:])
		j, errB := io.ReadFull(b, y[:])
		for _, err := range []error{errA, errB} {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return n, fmt.Errorf("compare %s: %w", p.path(), err)
			}
		}
		same := 0
		for same < min(i, j) && x[same] == y[same] {
			same++
		}
		seen(x[:same])
		n += int64(same)
		if same < max(i, j) || errA != nil {
			return n, nil
		}
	}
}

// offset is the first byte that differs.
func (p pair) offset(ctx context.Context, open opener) (int64, error) {
	return p.walk(ctx, open, func([]byte) {})
}

// line is the first line that differs, from 1.
func (p pair) line(ctx context.Context) (int64, error) {
	line := int64(1)
	_, err := p.walk(ctx, lines, func(same []byte) { line += int64(bytes.Count(same, []byte("\n"))) })
	return line, err
}

// document says what a line is about: on the recorded side, or on the other one where
// that has ended.
func (p pair) document(ctx context.Context, number int64) (string, error) {
	for _, side := range []*Entry{p.recorded, p.again} {
		line, err := lineOf(ctx, side, number)
		if err != nil || len(line) > 0 {
			return about(line), err
		}
	}
	return "", nil
}

// lineOf gives one line of a file; nothing when it has ended before.
func lineOf(ctx context.Context, e *Entry, number int64) ([]byte, error) {
	content, err := lines(ctx, e)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	r := bufio.NewReaderSize(content, 64<<10)
	for ; number > 1; number-- {
		for {
			_, err := r.ReadSlice('\n')
			if err == nil {
				break
			}
			if !errors.Is(err, bufio.ErrBufferFull) {
				return nil, ended(e.Path, err)
			}
		}
	}
	line, err := r.ReadBytes('\n')
	return line, ended(e.Path, err)
}

func ended(path string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("read %s: %w", path, err)
}

// about names what a line is about: "advisory github/npm GHSA-...", or the id that a
// line of another form has.
func about(line []byte) string {
	var of struct {
		Kind, Source, Stream, UpstreamID string
		ID, Path, Component, Key         string
	}
	if json.Unmarshal(line, &of) != nil {
		return ""
	}
	if of.UpstreamID != "" {
		return fmt.Sprintf("%s %s/%s %s", of.Kind, of.Source, of.Stream, of.UpstreamID)
	}
	for _, word := range []string{of.ID, of.Path, of.Key, of.Component} {
		if word != "" {
			return word
		}
	}
	return ""
}

// maxObject bounds an entry that is read whole to find a member.
const maxObject = 64 << 20

// member is the first member, in the order of names, that two objects have differently.
func (p pair) member(ctx context.Context) (string, error) {
	var objects [2]map[string]json.RawMessage
	for i, e := range []*Entry{p.recorded, p.again} {
		if e.Size > maxObject {
			return "", nil
		}
		r, err := stored(ctx, e)
		if err != nil {
			return "", err
		}
		raw, err := io.ReadAll(io.LimitReader(r, maxObject))
		if err = errors.Join(err, r.Close()); err != nil {
			return "", fmt.Errorf("read %s: %w", e.Path, err)
		}
		if json.Unmarshal(raw, &objects[i]) != nil {
			return "", nil
		}
	}
	var names []string
	for _, object := range objects {
		for name := range object {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if !bytes.Equal(objects[0][name], objects[1][name]) {
			return name, nil
		}
	}
	return "", nil
}
