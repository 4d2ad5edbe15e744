package mirrordelta

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/delta"
)

// results writes every entry of the target that whoever has the base can neither take
// from there nor make of documents.
func (m *making) results() error {
	has := map[string]bundle.Digest{}
	for _, e := range others(m.in.Base) {
		has[e.Path] = e.Digest
	}
	lines := &cut{making: m, name: bundle.ResultShardPath}
	for _, e := range others(m.in.Target) {
		if has[e.Path] == e.Digest {
			continue
		}
		if err := m.result(lines, e); err != nil {
			return fmt.Errorf("%s of the target: %w", e.Path, err)
		}
	}
	return lines.close(nil)
}

// others are the entries of a mirror that are neither evidence nor originals nor lists
// of these, in order of path.
func others(of *adapters.Mirrored) []adapters.Entry {
	entries := slices.Clone(of.Documents)
	for _, f := range of.Payload {
		if !bundle.IsEvidence(f.Path) && !bundle.IsOriginalsIndex(f.Path) {
			entries = append(entries, adapters.Entry{Path: f.Path, Digest: f.Digest, Size: f.Bytes, Open: f.Open})
		}
	}
	slices.SortFunc(entries, func(a, b adapters.Entry) int { return strings.Compare(a.Path, b.Path) })
	return entries
}

func (m *making) result(lines *cut, e adapters.Entry) error {
	source, err := e.Open(m.ctx)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(source)
	if err = errors.Join(err, source.Close()); err != nil {
		return err
	}
	if bundle.DigestOf(content) != e.Digest {
		return fmt.Errorf("%w: %s", bundle.ErrRotten, e.Digest)
	}
	text, err := delta.Result{Path: e.Path, Content: content}.Encode()
	if err != nil {
		return err
	}
	return lines.line(e.Path, int64(len(text)), text)
}
