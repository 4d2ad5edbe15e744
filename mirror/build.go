package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/delta"
)

// building is the tree of a delta's target being made, of the tree of its base.
type building struct {
	ctx   context.Context
	disk  *disk
	o     Options
	base  *tree
	delta *opened
	dir   string // of the tree that is made

	target bundle.Manifest
	listed []bundle.Listed // of the target's checksums.txt
	// repacked reports that a file came out in other bytes than the target's.
	repacked bool
}

// build makes the tree: the entries that the delta carries, the shards and the
// originals, and what else the base has.
func (b *building) build() error {
	for _, step := range []func() error{b.results, b.outline, b.documents, b.originals, b.rest} {
		if err := errors.Join(b.ctx.Err(), step()); err != nil {
			return err
		}
	}
	return nil
}

func (b *building) path(entry string) string { return filepath.Join(b.dir, filepath.FromSlash(entry)) }

// carriedLines reads payload files of the delta as one list of lines.
func (b *building) carriedLines(wanted func(bundle.Content) bool) *delta.Files {
	return b.delta.files(b.ctx, inOrder(b.delta.manifest, wanted))
}

// results writes the entries that the delta carries.
func (b *building) results() error {
	return eachResult(b.ctx, b.delta, func(r delta.Result) error {
		if bundle.IsEvidence(r.Path) || bundle.IsOriginal(r.Path) || bundle.IsOriginalsIndex(r.Path) {
			return refuse(ReasonContent, "%s: carries %s, which is made of documents", b.delta.name, r.Path)
		}
		return b.disk.write(b.path(r.Path), bytes.NewReader(r.Content))
	})
}

// outline reads what the target is: its manifest, which is the one that the delta
// names, and its list of entries.
func (b *building) outline() error {
	text, err := b.own(bundle.ManifestPath)
	if err != nil {
		return err
	}
	if b.target, err = bundle.ParseManifest(text); err != nil {
		return refuse(ReasonContent, "%s: the target's %w", b.delta.name, err)
	}
	says := b.delta.manifest.Delta.Target
	if bundle.DigestOf(text) != says.ManifestDigest || bundle.ContentRoot(b.target.Contents) != says.ContentRoot {
		return refuse(ReasonContent, "%s: carries the manifest of another mirror than its target", b.delta.name)
	}
	if err := targetFits(b.delta, b.target); err != nil {
		return err
	}
	if text, err = b.own(bundle.ChecksumsPath); err != nil {
		return err
	}
	if b.listed, err = bundle.ParseChecksums(text); err != nil {
		return refuse(ReasonContent, "%s: the target's %w", b.delta.name, err)
	}
	return nil
}

// own reads an entry that is in the tree already, or else in the base.
func (b *building) own(entry string) ([]byte, error) {
	text, err := readBounded(b.path(entry), bundle.MaxDocumentBytes)
	if errors.Is(err, os.ErrNotExist) {
		return b.base.document(entry)
	}
	return text, err
}

// rest links what the target has as the base has it.
func (b *building) rest() error {
	listed := append(slices.Clone(b.listed), bundle.Listed{Path: bundle.ChecksumsPath}, bundle.Listed{Path: bundle.SealPath})
	for _, l := range listed {
		if _, err := os.Lstat(b.path(l.Path)); err == nil {
			continue
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if was, there := b.base.listed[l.Path]; !there || was != l.Digest {
			return refuse(ReasonContent, "%s: the target's %s is neither in the delta nor in the base", b.delta.name, l.Path)
		}
		if err := b.disk.link(b.base.path(l.Path), b.path(l.Path)); err != nil {
			return absent(b.base.dir, l.Path, err)
		}
	}
	return nil
}

// documents makes the shards of evidence: those that the base has are linked, the
// others packed of the base's documents and the delta's.
func (b *building) documents() error {
	types := map[string]bool{}
	for _, c := range slices.Concat(b.base.manifest.Contents, b.target.Contents) {
		if bundle.IsEvidence(c.Path) {
			types[c.Type()] = true
		}
	}
	for _, payloadType := range slices.Sorted(maps.Keys(types)) {
		if err := b.documentsOf(payloadType); err != nil {
			return fmt.Errorf("%s: %w", payloadType, err)
		}
	}
	return nil
}

func (b *building) documentsOf(payloadType string) error {
	of := func(c bundle.Content) bool { return bundle.IsEvidence(c.Path) && c.Type() == payloadType }
	before, after, err := b.linkShared(of)
	if err != nil {
		return err
	}
	base := delta.NewDocuments(b.base.files(before))
	changed := delta.NewDocuments(b.carriedLines(of))
	removed := delta.NewRemovals(b.carriedLines(func(c bundle.Content) bool { return bundle.IsRemovedShard(c.Path, payloadType) }))
	shards := &repacking{building: b, files: after}
	err = delta.Apply(base, changed, removed, func(line *delta.Line) error { return shards.line(line.Text) })
	return errors.Join(shards.end(b.misfit(err)), base.Close(), changed.Close(), removed.Close())
}

// linkShared links the files that base and target share, by their content, and gives
// the others of each: what both have in common is in neither of these.
func (b *building) linkShared(wanted func(bundle.Content) bool) (before, after []bundle.Content, err error) {
	has := map[bundle.Digest]bundle.Content{}
	for _, c := range inOrder(b.base.manifest, wanted) {
		has[c.ContentDigest] = c
	}
	for _, c := range inOrder(b.target, wanted) {
		was, shared := has[c.ContentDigest]
		if !shared {
			after = append(after, c)
			continue
		}
		if err := errors.Join(b.ctx.Err(), b.disk.link(b.base.path(was.Path), b.path(c.Path))); err != nil {
			return nil, nil, absent(b.base.dir, was.Path, err)
		}
		delete(has, c.ContentDigest)
	}
	for _, c := range inOrder(b.base.manifest, wanted) {
		if _, rest := has[c.ContentDigest]; rest {
			before = append(before, c)
		}
	}
	return before, after, nil
}

// misfit gives what does not fit together its reason.
func (b *building) misfit(err error) error {
	if errors.Is(err, delta.ErrOtherBase) || errors.Is(err, delta.ErrLine) {
		return refuse(ReasonContent, "%s: %w", b.delta.name, err)
	}
	return err
}

// repacking writes lines into files of the target, which has them in order.
type repacking struct {
	*building
	files []bundle.Content // those to come
	file  *output
	open  packer
	lines int64
}

// line writes the next line.
func (r *repacking) line(text []byte) error {
	if len(r.files) == 0 {
		return refuse(ReasonContent, "%s: base and delta have more than the target: %.80q", r.delta.name, text)
	}
	if r.open == nil {
		if err := errors.Join(r.ctx.Err(), r.begin()); err != nil {
			return err
		}
	}
	if err := r.open.WriteLine(text); err != nil {
		return err
	}
	if r.lines++; r.lines < r.files[0].Records {
		return nil
	}
	return r.finish()
}

func (r *repacking) begin() (err error) {
	if r.file, err = r.disk.create(r.path(r.files[0].Path)); err != nil {
		return err
	}
	r.lines = 0
	r.open, err = r.o.packer(struct{ io.Writer }{r.file})
	return err
}

// finish completes a file, whose lines must be the target's.
func (r *repacking) finish() error {
	want := r.files[0]
	info, err := r.open.Close()
	err = errors.Join(err, r.file.Close())
	r.open, r.file, r.files = nil, nil, r.files[1:]
	if err != nil {
		return err
	}
	if info.ContentDigest != want.ContentDigest {
		return refuse(ReasonContent, "%s: base and delta give %s other lines than the target has: the base has changed on this disk, or the delta is not right", r.delta.name, want.Path)
	}
	r.repacked = r.repacked || info.Digest != want.Digest
	return nil
}

// end wants all files of the target to be there, unless something failed before.
func (r *repacking) end(failed error) error {
	if r.file != nil {
		failed = errors.Join(failed, r.file.Close())
	}
	if failed == nil && len(r.files) > 0 {
		return r.short()
	}
	return failed
}

func (r *repacking) short() error {
	return refuse(ReasonContent, "%s: base and delta have less than the target's %s", r.delta.name, r.files[0].Path)
}
