package activities

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// canaries tells of each canary whether a document that gives records has it as its id
// or alias. Shards are read until all are found.
func (e *Export) canaries(ctx context.Context, run export.Run, shards []storage.Shard) ([]export.GuardCanary, error) {
	if run.Guard == nil || len(run.Guard.Canaries) == 0 {
		return nil, nil
	}
	missing := map[string]bool{}
	for _, id := range run.Guard.Canaries {
		missing[id] = true
	}
	for doc, err := range e.documents(ctx, run.Tenant, shards, documentOf) {
		if err != nil {
			return nil, fmt.Errorf("look for canaries: %w", err)
		}
		if doc.Records == 0 {
			continue
		}
		delete(missing, doc.ID)
		for _, alias := range doc.Aliases {
			delete(missing, alias)
		}
		if len(missing) == 0 {
			break
		}
	}
	canaries := make([]export.GuardCanary, len(run.Guard.Canaries))
	for i, id := range run.Guard.Canaries {
		canaries[i] = export.GuardCanary{ID: id, Found: !missing[id]}
	}
	return canaries, nil
}

// disappeared lists the documents that gave records in the last run and give none now.
// Shards with the same lines in both runs have the same documents, so only the others
// are read, side by side, in the order of the documents' keys: nothing is held.
func (e *Export) disappeared(ctx context.Context, run, last export.Run, shards []storage.Shard) (export.Disappeared, error) {
	_, before, err := e.Execution.Plan(ctx, last.Ref())
	if errors.Is(err, storage.ErrNotFound) || err == nil && slices.ContainsFunc(before, unpacked) {
		return export.Disappeared{Unknown: "what the last run packed is not kept any more"}, nil
	}
	if err != nil {
		return export.Disappeared{}, fmt.Errorf("load the plan of run %s: %w", last.ID, err)
	}
	var gone goneList
	for _, source := range sourcesOf(before) {
		err := e.missing(ctx, run.Tenant, without(before, shards, source), without(shards, before, source), gone.add)
		if errors.Is(err, errLastRun) && damaged(err) {
			// The list helps whoever decides; what is compared are counts.
			e.log(run, export.PhaseGuard).Warn("what disappeared cannot be told", "error", err.Error())
			return export.Disappeared{Unknown: "what the last run packed cannot be read any more; exportcenter fsck --deep says more"}, nil
		}
		if err != nil {
			return export.Disappeared{}, fmt.Errorf("look for what disappeared since run %s: %w", last.ID, err)
		}
	}
	return gone.Disappeared, nil
}

// damaged reports that bytes are gone or not those that were stored; what else may go
// wrong is worth another try.
func damaged(err error) bool {
	return errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrCorrupt) || errors.Is(err, bundle.ErrRotten)
}

// errLastRun is wrapped when what the last run packed cannot be read.
var errLastRun = errors.New("of the last run")

func unpacked(s storage.Shard) bool { return s.Result == nil }

// sourcesOf are whose evidence the shards have, in the order of the plan.
func sourcesOf(shards []storage.Shard) (sources []string) {
	for _, s := range shards {
		if !slices.Contains(sources, s.Source) {
			sources = append(sources, s.Source)
		}
	}
	return sources
}

// without gives the shards of a source whose lines no shard of others has, in order.
func without(shards, others []storage.Shard, source string) (left []storage.Shard) {
	there := map[bundle.Digest]bool{}
	for _, s := range others {
		if s.Source == source && s.Result != nil {
			there[s.Result.ContentDigest] = true
		}
	}
	for _, s := range shards {
		if s.Source == source && s.Result != nil && !there[s.Result.ContentDigest] {
			left = append(left, s)
		}
	}
	return left
}

// missing calls add with every document of before that gives records, and none in now.
func (e *Export) missing(ctx context.Context, tenant string, before, now []storage.Shard, add func(adapters.Document, bool)) error {
	next, stop := iter.Pull2(e.documents(ctx, tenant, now, namedBy))
	defer stop()
	current, err, more := next()
	for old, oldErr := range e.documents(ctx, tenant, before, namedBy) {
		if oldErr != nil {
			return fmt.Errorf("%w: %w", errLastRun, oldErr)
		}
		for more && err == nil && current.Key < old.Key {
			current, err, more = next()
		}
		if err != nil {
			return err
		}
		if there := more && current.Key == old.Key; old.Records > 0 && (!there || current.Records == 0) {
			add(old, there)
		}
	}
	return nil
}

// goneList keeps the first of the documents that disappeared, and counts all.
type goneList struct {
	export.Disappeared
	bytes int
}

func (g *goneList) add(doc adapters.Document, there bool) {
	g.Total++
	if g.bytes += len(doc.ID) + len(doc.Source); len(g.Documents) < export.MaxDisappeared && g.bytes <= export.MaxDisappearedBytes {
		g.Documents = append(g.Documents, export.GoneDocument{ID: doc.ID, Source: doc.Source, Withdrawn: there})
	}
}

// namedBy is documentOf without aliases: of evidence, only the end of the line is read.
func namedBy(kind ledger.Kind, line []byte) (adapters.Document, bool, error) {
	if !bytes.HasPrefix(line, []byte(adapters.RawStart)) {
		return adapters.DocumentOf(line)
	}
	e, err := adapters.ReadEnvelope(line)
	return adapters.Document{Key: e.Key(kind), ID: e.UpstreamID, Records: 1, Source: e.Source}, true, err
}

// documentOf reads the document of a line of a shard of a kind: of evidence, or a
// document line of a builder's own.
func documentOf(_ ledger.Kind, line []byte) (adapters.Document, bool, error) {
	if !bytes.HasPrefix(line, []byte(adapters.RawStart)) {
		return adapters.DocumentOf(line)
	}
	l, err := adapters.ReadRawLine(line)
	return adapters.Document{Key: l.Key(), ID: l.UpstreamID, Aliases: l.Linkset.Aliases, Records: 1, Source: l.Source}, true, err
}

// documents gives the documents of shards, in order. A shard that has not as many
// as documents were planned, or has them in another order, was packed wrongly, and is
// an error: nothing can be said about it.
func (e *Export) documents(ctx context.Context, tenant string, shards []storage.Shard,
	of func(kind ledger.Kind, line []byte) (doc adapters.Document, there bool, err error),
) iter.Seq2[adapters.Document, error] {
	return func(yield func(adapters.Document, error) bool) {
		last := ""
		for _, shard := range shards {
			n := int64(0)
			goOn := true
			err := e.lines(ctx, tenant, shard, func(line []byte) (bool, error) {
				doc, there, err := of(ledger.Kind(shard.Kind), line)
				if err != nil || !there {
					return err == nil, err
				}
				if n++; doc.Key <= last {
					return false, fmt.Errorf("document %.200q stands behind %.200q: %w", doc.Key, last, storage.ErrCorrupt)
				}
				last = doc.Key
				goOn = yield(doc, nil)
				return goOn, nil
			})
			if !goOn {
				return
			}
			if err == nil && n != shard.Count {
				err = fmt.Errorf("it has %d document lines for %d documents: %w", n, shard.Count, storage.ErrCorrupt)
			}
			if err != nil {
				yield(adapters.Document{}, fmt.Errorf("%s: %w", shard.Name, err))
				return
			}
		}
	}
}

// maxLine bounds a line of a packed shard, in bytes: a document of the greatest size,
// whose canonical form may be longer, and what an export tells about it.
const maxLine = 512 << 20

// lines calls fn with the lines of a packed shard until it says false.
func (e *Export) lines(ctx context.Context, tenant string, shard storage.Shard, fn func(line []byte) (bool, error)) error {
	content, err := e.packedShard(tenant, shard).Open(ctx)
	if err != nil {
		return err
	}
	defer content.Close()
	in := bufio.NewScanner(content)
	in.Buffer(make([]byte, 0, 64<<10), maxLine)
	for in.Scan() {
		if more, err := fn(in.Bytes()); err != nil || !more {
			return err
		}
	}
	return errors.Join(in.Err(), ctx.Err())
}
