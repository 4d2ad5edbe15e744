package activities

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"iter"

	"golang.org/x/sync/errgroup"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// packing is one attempt at packing a range of a run's shards, one after the
// other. What a shard's file holds depends on its documents alone.
type packing struct {
	*Export
	claim  storage.Claim
	run    export.Run
	packer adapters.Packer
	// evidence: the lines are evidence, and must be the ledger's.
	evidence bool
	recipe   bundle.Digest
	beat     *heartbeat
	total    PhaseResult
	places   []ledger.Place
	sizes    []shardSize    // of the group, as places has its documents
	from     export.Reading // whose documents the group has
}

// groupBytes bounds the documents that are read together: evidence lies in the
// order it came in, so the documents of one shard are in as many blocks, and
// those of its neighbours in the same. It bounds the memory of a packer too.
const groupBytes = 20 << 20

// publishAtOnce bounds the files of a group that are made durable at once.
const publishAtOnce = 8

// packAll packs the shards that have no result, group by group. A group is
// pinned, published and recorded together: it is what a crash makes us pack again.
func (p *packing) packAll(ctx context.Context, shards []storage.Shard) error {
	var group []storage.Shard
	var size int64
	for _, shard := range shards {
		if shard.Result != nil {
			p.note(*shard.Result)
			continue
		}
		if len(group) > 0 && (size+shard.Bytes > groupBytes || shard.Source != group[0].Source) {
			if err := p.packGroup(ctx, group); err != nil {
				return err
			}
			group, size = group[:0], 0
		}
		group, size = append(group, shard), size+shard.Bytes
	}
	if len(group) == 0 {
		return nil
	}
	return p.packGroup(ctx, group)
}

// note counts a shard that is packed, now or by an earlier attempt.
func (p *packing) note(file storage.File) {
	p.total.Shards++
	p.total.Records += file.Records
	p.total.Bytes += file.Size
	p.beat.tick(int64(p.total.Shards))
}

// packGroup packs, stores and records a group of shards, all of one source.
func (p *packing) packGroup(ctx context.Context, group []storage.Shard) (err error) {
	if p.from, err = readingOf(p.run, group[0].Source); err != nil {
		return err
	}
	if p.from.Tenant != p.run.Tenant {
		if err := p.mayRead(ctx, p.run); err != nil {
			return err
		}
	}
	if err := p.findPlaces(ctx, group); err != nil {
		return err
	}
	w := &groupWriter{packing: p, group: group}
	defer func() { err = errors.Join(err, w.discard()) }() // a no-op after Publish
	for places := range p.portions() {
		if err := p.readPortion(ctx, places, w); err != nil {
			return err
		}
	}
	if err := w.end(); err != nil {
		return err
	}
	return p.save(ctx, group, w.staged)
}

// readPortion reads documents of the group that are held together.
func (p *packing) readPortion(ctx context.Context, places []ledger.Place, w *groupWriter) error {
	arrived := p.beat.wait()
	defer arrived()
	return p.Ledger.Lines(ctx, p.from.Tenant, places, func(doc ledger.Line) error {
		arrived()
		return w.write(ctx, doc)
	})
}

// portions gives the group's places in parts of at most groupBytes, as far as
// the mean size of each shard's documents tells: one shard alone may have more,
// if somebody chose the documents' ids so that no cut is among them.
func (p *packing) portions() iter.Seq[[]ledger.Place] {
	return func(yield func([]ledger.Place) bool) {
		rest, size, taken := p.places, int64(0), 0
		for _, shard := range p.sizes {
			mean := max(shard.bytes/max(shard.count, 1), 1)
			for range shard.count {
				if size += mean; size > groupBytes && taken > 0 {
					if !yield(rest[:taken]) {
						return
					}
					rest, size, taken = rest[taken:], mean, 0
				}
				taken++
			}
		}
		if taken > 0 {
			yield(rest[:taken])
		}
	}
}

// shardSize is what a shard of the group has, as far as its documents were found.
type shardSize struct{ count, bytes int64 }

// findPlaces finds out where the documents of a group are.
func (p *packing) findPlaces(ctx context.Context, group []storage.Shard) error {
	keys := make([]bundle.Digest, len(group))
	for i, shard := range group {
		keys[i] = storage.PlacesKey(p.run.Project, shard.Hash)
	}
	kept, err := p.Execution.Places(ctx, p.claim.Ref, keys)
	if err != nil {
		return fmt.Errorf("find the documents of %d shards: %w", len(group), err)
	}
	p.places, p.sizes = p.places[:0], p.sizes[:0]
	for i, shard := range group {
		before := len(p.places)
		if kept[i] == nil { // planned by a version that kept them elsewhere
			err = p.listAgain(ctx, shard)
		} else {
			p.places, err = storage.ReadPlaces(p.places, kept[i], shard.Count)
		}
		if err != nil {
			return fmt.Errorf("find the documents of %s: %w", shard.Name, err)
		}
		p.sizes = append(p.sizes, shardSize{int64(len(p.places) - before), shard.Bytes})
	}
	return nil
}

// listAgain lists a shard's documents. That they are the planned ones is
// checked where they are written.
func (p *packing) listAgain(ctx context.Context, shard storage.Shard) error {
	_, all, err := p.Execution.Plan(ctx, p.claim.Ref)
	if err != nil {
		return err
	}
	var kind []storage.Shard
	at := -1
	for _, s := range all {
		if s.Ordinal == shard.Ordinal {
			at = len(kind)
		}
		if s.Kind == shard.Kind && s.Source == shard.Source {
			kind = append(kind, s)
		}
	}
	if at < 0 {
		return fmt.Errorf("shard %d is not in the plan: %w", shard.Ordinal, storage.ErrConflict)
	}
	return p.Ledger.Current(ctx, p.from.Tenant, p.from.Project, p.from.AsOf, p.run.Selectors, shardRange(kind, at, at+1),
		func(row ledger.Row) error {
			p.places = append(p.places, row.Place)
			return nil
		})
}

// save pins the files of packed shards, makes them durable and records them.
func (p *packing) save(ctx context.Context, group []storage.Shard, staged []storage.Staged) error {
	blobs, digests := make([]storage.Sized, len(group)), make([]bundle.Digest, len(group))
	for i, s := range staged {
		blobs[i].Digest, blobs[i].Size = s.Digest()
		digests[i] = blobs[i].Digest
	}
	// In this order: ARCHITECTURE D4, as in publish.
	if err := p.Execution.PinAll(ctx, p.claim, blobs); err != nil {
		return fmt.Errorf("pin %d packed shards: %w", len(blobs), err)
	}
	// At the same time: a disk makes several files durable in the time of one.
	publishing, within := errgroup.WithContext(ctx)
	publishing.SetLimit(publishAtOnce)
	for i, s := range staged {
		publishing.Go(func() error {
			if err := s.Publish(within); err != nil {
				return fmt.Errorf("publish %s: %w", group[i].Name, err)
			}
			return nil
		})
	}
	err := publishing.Wait()
	if err == nil {
		if err = p.Execution.SaveShards(ctx, p.claim, p.recipe, group, p.Clock()); err != nil {
			err = fmt.Errorf("save %d packed shards: %w", len(group), err)
		}
	}
	if err != nil {
		p.takeBack(ctx, p.claim.Ref.Tenant, digests...)
		return err
	}
	for _, shard := range group {
		p.note(*shard.Result)
	}
	return nil
}

// groupWriter writes the documents of a group, which come one after the other,
// into a staged file per shard.
type groupWriter struct {
	*packing
	group  []storage.Shard
	staged []storage.Staged // of the shards that are complete
	at     int              // the shard being written

	open      storage.Staged
	payload   *bundle.PayloadWriter
	lines     *documentWriter
	documents hash.Hash
	line      []byte
	count     int64
}

func (w *groupWriter) write(ctx context.Context, doc ledger.Line) error {
	if w.at == len(w.group) {
		return fmt.Errorf("there are more documents than %d shards have: %w", len(w.group), storage.ErrCorrupt)
	}
	if err := w.begin(ctx); err != nil {
		return err
	}
	w.line = endLine(doc.AppendKey(w.line[:0]), doc.Digest)
	w.documents.Write(w.line)
	if err := w.lines.write(doc); err != nil {
		return fmt.Errorf("pack %s: %w", w.group[w.at].Name, err)
	}
	if w.count++; w.count < w.group[w.at].Count {
		if w.count%beatEvery == 0 {
			w.beat.tick(int64(w.total.Shards))
		}
		return nil
	}
	return w.finish()
}

// beatEvery is how many documents of a shard are written between two looks at
// the clock.
const beatEvery = 256

// begin begins the shard's file, unless that is done.
func (w *groupWriter) begin(ctx context.Context) (err error) {
	if w.open != nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.open, err = w.Objects.Stage(ctx, w.claim.Ref.Tenant); err != nil {
		return fmt.Errorf("stage %s: %w", w.group[w.at].Name, err)
	}
	if w.payload, err = bundle.NewPayloadWriter(w.open); err != nil {
		return fmt.Errorf("pack %s: %w", w.group[w.at].Name, err)
	}
	w.lines = newDocumentWriter(w.payload, w.packer, w.evidence, w.run.Options.Redaction)
	w.documents, w.count = newListHash(w.group[w.at].Source), 0
	return nil
}

// finish completes the shard's file. The provenance names the documents by
// their hash: others must not be signed in their place.
func (w *groupWriter) finish() error {
	shard := &w.group[w.at]
	info, err := w.payload.Close()
	if err != nil {
		return fmt.Errorf("pack %s: %w", shard.Name, err)
	}
	if packed := bundle.Digest(w.documents.Sum(nil)); packed != shard.Hash {
		return fmt.Errorf("pack %s: %d documents were planned (%s), the ledger gave %d others (%s): %w",
			shard.Name, shard.Count, shard.Hash, info.Records, packed, storage.ErrCorrupt)
	}
	tally, err := w.lines.counted()
	if err != nil {
		return fmt.Errorf("pack %s: %w", shard.Name, err)
	}
	shard.Result = &storage.File{
		Path: shard.Name, Digest: info.Digest, Size: info.Size, Payload: true, Tally: tally,
		Records: info.Records, ContentDigest: info.ContentDigest, ContentSize: info.ContentSize,
	}
	w.staged = append(w.staged, w.open)
	w.open, w.payload = nil, nil
	w.at++
	w.beat.tick(int64(w.total.Shards))
	return nil
}

// end is called behind the last document.
func (w *groupWriter) end() error {
	if w.open != nil || w.at < len(w.group) {
		return fmt.Errorf("pack %s: %d of %d documents are there: %w",
			w.group[w.at].Name, w.count, w.group[w.at].Count, storage.ErrCorrupt)
	}
	return nil
}

// discard destroys the files that were written, and the one being written.
func (w *groupWriter) discard() (err error) {
	for _, s := range w.staged {
		err = errors.Join(err, s.Discard())
	}
	if w.open != nil {
		err = errors.Join(err, w.open.Discard())
	}
	return err
}
