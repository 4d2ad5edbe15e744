// Package mirrordelta is the adapter of profile mirror:delta: what leads from one full
// mirror to a later one. docs/formats/mirror-delta.md describes the files.
//
// It reads two published mirrors and no ledger: of evidence those shards alone that the
// other mirror has not, of originals the lists, and those that came.
package mirrordelta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/delta"
	"github.com/stella-ops/exportcenter/export"
)

// Version of the files.
const Version = "1"

// Adapter makes deltas.
type Adapter struct{}

var _ adapters.Mirrors = Adapter{}

// Profile is mirror:delta.
func (Adapter) Profile() (kind, variant string) { return "mirror", "delta" }

// Version of the files.
func (Adapter) Version() string { return Version }

// PackedAs: lines are json:raw's. A run packs none: its plan is empty.
func (Adapter) PackedAs() string { return "json:raw" }

// Ships reports that what evidence a delta has is built.
func (Adapter) Ships() bool { return false }

// Guarded reports that a small delta is not suspicious; the mirrors were looked at.
func (Adapter) Guarded() bool { return false }

// ReadsMirrors reports that base and target are read.
func (Adapter) ReadsMirrors() bool { return true }

// Packer is never asked: there is nothing to pack.
func (Adapter) Packer(export.Options) (adapters.Packer, error) {
	return nil, errors.New("shards of mirror:delta are packed as json:raw")
}

// Build compares base and target, and writes what leads from one to the other.
func (Adapter) Build(ctx context.Context, in adapters.Input, out adapters.Output) (adapters.Built, error) {
	if in.Base == nil || in.Target == nil {
		return adapters.Built{}, export.Errorf(export.CodeBaseManifest, "options.baseRunId: a delta lies between two full mirrors; name the base")
	}
	m := &making{ctx: ctx, in: in, out: out, says: bundle.Delta{Base: in.Base.End, Target: in.Target.End, Reused: reused(in)}}
	for _, step := range []func() error{m.documents, m.originals, m.results, m.end} {
		if err := step(); err != nil {
			return adapters.Built{}, err
		}
	}
	return adapters.Built{}, nil
}

// making is a delta being made.
type making struct {
	ctx  context.Context
	in   adapters.Input
	out  adapters.Output
	says bundle.Delta
	read int
}

// reused counts the payload files of the target whose bytes the base has.
func reused(in adapters.Input) (r bundle.Reused) {
	has := map[bundle.Digest]bool{}
	for _, f := range in.Base.Payload {
		has[f.Digest] = true
	}
	for _, f := range in.Target.Payload {
		if has[f.Digest] {
			r.Files, r.Bytes = r.Files+1, r.Bytes+f.Bytes
		}
	}
	return r
}

// end writes what the delta says of itself.
func (m *making) end() error {
	text, err := m.says.Encode()
	if err != nil {
		return err
	}
	return m.out.Document(m.ctx, bundle.DeltaPath, text, 1)
}

// lists reads payload files of a mirror as one list of lines.
func (m *making) lists(of []adapters.MirrorFile) *delta.Files {
	return delta.NewFiles(func(i int) string { return of[i].Path }, func(i int) (io.ReadCloser, error) {
		if err := m.ctx.Err(); err != nil {
			return nil, err
		}
		if i >= len(of) {
			return nil, io.EOF
		}
		m.read++
		m.in.Progress(m.read)
		return of[i].Open(m.ctx)
	})
}

// inOrder are the files of a mirror that are wanted, in its own order.
func inOrder(of *adapters.Mirrored, wanted func(bundle.Content) bool) (found []adapters.MirrorFile) {
	for _, f := range of.Payload {
		if wanted(f.Content) {
			found = append(found, f)
		}
	}
	slices.SortFunc(found, func(a, b adapters.MirrorFile) int { return a.Order - b.Order })
	return found
}

// differing gives the files of two lists that the other has not, by their content: what
// both have is the same in both, so what differs is in the others.
func differing(base, target []adapters.MirrorFile) (onlyBase, onlyTarget []adapters.MirrorFile) {
	without := func(files, other []adapters.MirrorFile) (rest []adapters.MirrorFile) {
		has := map[bundle.Digest]bool{}
		for _, f := range other {
			has[f.ContentDigest] = true
		}
		for _, f := range files {
			if !has[f.ContentDigest] {
				rest = append(rest, f)
			}
		}
		return rest
	}
	return without(base, target), without(target, base)
}

// documents writes, of each type of evidence, the lines of documents that were added or
// changed, and a tombstone for each that went.
func (m *making) documents() error {
	types := map[string]bool{}
	for _, f := range slices.Concat(m.in.Base.Payload, m.in.Target.Payload) {
		if bundle.IsEvidence(f.Path) {
			types[f.Type()] = true
		}
	}
	for _, payloadType := range sortedKeys(types) {
		if err := m.documentsOf(payloadType); err != nil {
			return fmt.Errorf("compare %s: %w", payloadType, err)
		}
	}
	return nil
}

func (m *making) documentsOf(payloadType string) error {
	of := func(c bundle.Content) bool { return bundle.IsEvidence(c.Path) && c.Type() == payloadType }
	before, after := differing(inOrder(m.in.Base, of), inOrder(m.in.Target, of))
	lines := &cut{making: m, name: func(key string, first bool) string { return bundle.ShardPath(payloadType, key, first) }}
	tombstones := &cut{making: m, name: func(key string, first bool) string { return bundle.RemovedShardPath(payloadType, key, first) }}
	base, target := delta.NewDocuments(m.lists(before)), delta.NewDocuments(m.lists(after))
	defer base.Close()   //nolint:errcheck // it was read
	defer target.Close() //nolint:errcheck // it was read
	err := delta.Compare(base, target, func(was, is *delta.Line) error {
		switch {
		case is == nil:
			m.says.Removed++
			return tombstones.removal(was)
		case was == nil:
			m.says.Added++
		default:
			m.says.Changed++
		}
		return lines.document(is)
	})
	return errors.Join(err, lines.close(err), tombstones.close(err))
}
