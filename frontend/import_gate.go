package frontend

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/exportcenter/export"
)

// What imports may hold of this process at once. A record may have
// ledger.MaxDocument bytes, and is there several times while it is decoded.
const (
	maxImports       = 16 // under way, each with small records, a batch that is read and one that is recorded
	maxTenantImports = 8  // of those by one tenant: it cannot shut out the others
	maxLargeRecords  = 1  // records of more than largeRecord bytes
	largeRecord      = 4 << 20
	// hugeDocument is what a document has in memory, canonical form included,
	// whose remains are collected before the next large one is read.
	hugeDocument = 32 << 20
	// maxHeld is what the batches of all imports may have together. Beyond it
	// an import records what it has before it reads on.
	maxHeld = 64 << 20
	// largePatience is how long a large record waits for its turn, and how long
	// it may then take to come.
	largePatience = 2 * time.Minute
)

// importGate bounds the memory of all imports of a process.
type importGate struct {
	mu    sync.Mutex
	open  map[string]int // by tenant
	total int
	held  atomic.Int64  // bytes
	large chan struct{} // holds a token per large record
}

func newImportGate() *importGate {
	return &importGate{open: map[string]int{}, large: make(chan struct{}, maxLargeRecords)}
}

// enter lets an import of tenant begin; leave must follow.
func (g *importGate) enter(tenant string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.total >= maxImports || g.open[tenant] >= maxTenantImports {
		return export.Errorf(export.CodeUnavailable, "too many imports are under way; try again later")
	}
	g.total++
	g.open[tenant]++
	return nil
}

func (g *importGate) leave(tenant string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.total--
	if g.open[tenant]--; g.open[tenant] == 0 {
		delete(g.open, tenant)
	}
}

// hold adds size bytes to what is held, unless that is too much.
func (g *importGate) hold(size int64) bool {
	if g.held.Add(size) <= maxHeld {
		return true
	}
	g.held.Add(-size)
	return false
}

// insist adds them all the same: for the only document that an import holds.
func (g *importGate) insist(size int64) { g.held.Add(size) }

// release gives back what was held.
func (g *importGate) release(size int64) { g.held.Add(-size) }

// enterLarge waits for the turn of a large record; leaveLarge must follow.
func (g *importGate) enterLarge(ctx context.Context) error {
	patience := time.NewTimer(largePatience)
	defer patience.Stop()
	select {
	case g.large <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-patience.C:
		return export.Errorf(export.CodeUnavailable, "too many large documents are being imported; try again later")
	}
}

func (g *importGate) leaveLarge() { <-g.large }
