package frontend

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

const (
	// outlineFiles is how many files the remembered outlines have together: about
	// 30 MB.
	outlineFiles = 200_000
	// outlineTimeout bounds the reading of an outline, which goes on when the
	// request that began it has ended.
	outlineTimeout = 30 * time.Second
)

// outlines remembers the offset tables of archives, so that a range does not read
// the whole list of files (ARCHITECTURE D4). A table is found under the run and the
// digest of its archive: what has that digest never changes. Who may have it is not
// decided here: the run's row is read for every request.
type outlines struct {
	files  func(ctx context.Context, ref export.Ref) ([]storage.File, error)
	recent *recent[outlineKey, *bundle.Table]

	mu      sync.Mutex
	loading map[outlineKey]*outlineLoad
}

// outlineKey names an archive. Every table under it makes one of so many bytes.
type outlineKey struct {
	ref    export.Ref
	digest string
	bytes  int64
}

// outlineLoad is a reading under way; its result is there once done is closed.
type outlineLoad struct {
	done  chan struct{}
	table *bundle.Table
	err   error
}

// newOutlines makes a memory for tables that have no more than limit files together.
func newOutlines(limit int, files func(context.Context, export.Ref) ([]storage.File, error)) *outlines {
	return &outlines{files: files, recent: newRecent[outlineKey, *bundle.Table](limit), loading: map[outlineKey]*outlineLoad{}}
}

// of gives the outline of the archive of a run that has one. Many who ask at once
// wait for one reading; a reading that fails is not remembered.
func (o *outlines) of(ctx context.Context, run export.Run) (*bundle.Table, error) {
	key := outlineKey{ref: run.Ref(), digest: run.Result.ArchiveDigest, bytes: run.Result.ArchiveBytes}
	load := o.begin(ctx, key)
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-load.done:
		return load.table, load.err
	}
}

// ready is the done of a load that nobody has to wait for.
var ready = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// begin finds the table, joins a reading of it, or starts one. Under the lock there
// is no moment between the end of a reading and its place in the memory.
func (o *outlines) begin(ctx context.Context, key outlineKey) *outlineLoad {
	o.mu.Lock()
	defer o.mu.Unlock()
	if table, ok := o.recent.get(key); ok {
		return &outlineLoad{done: ready, table: table}
	}
	if load, ok := o.loading[key]; ok {
		return load
	}
	load := &outlineLoad{done: make(chan struct{})}
	o.loading[key] = load
	go o.load(context.WithoutCancel(ctx), key, load)
	return load
}

func (o *outlines) load(ctx context.Context, key outlineKey, load *outlineLoad) {
	ctx, cancel := context.WithTimeout(ctx, outlineTimeout)
	defer cancel()
	load.table, load.err = o.read(ctx, key)
	o.mu.Lock()
	defer o.mu.Unlock()
	if load.err == nil {
		o.recent.put(key, load.table, load.table.Len())
	}
	delete(o.loading, key)
	close(load.done)
}

// read makes the table of the run's files, which must be an archive as long as the
// run's row says.
func (o *outlines) read(ctx context.Context, key outlineKey) (*bundle.Table, error) {
	files, err := o.files(ctx, key.ref)
	if err != nil {
		return nil, fmt.Errorf("list files of run %s: %w", key.ref.RunID, err)
	}
	members := make([]bundle.Member, 0, len(files))
	for _, f := range files {
		members = append(members, f.Member())
	}
	table, err := bundle.NewTable(members)
	if err != nil {
		return nil, fmt.Errorf("archive of run %s: %w", key.ref.RunID, err)
	}
	if table.Size() != key.bytes {
		return nil, fmt.Errorf("archive of run %s has %d bytes, its row says %d", key.ref.RunID, table.Size(), key.bytes)
	}
	return table, nil
}
