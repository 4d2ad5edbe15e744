package storage

import (
	"fmt"
	"time"
)

// Limits bound the runs of one tenant. The zero value of Active and Pending is their
// default.
type Limits struct {
	// Active runs hold a slot: they were given to Temporal and have not ended.
	// One that waits for an approval holds none (CONTRACT ruling 7).
	Active int
	// Pending runs wait for a slot. Past that number a request is refused.
	Pending int
	// RunsPerDay may be asked for on a day, and bundles of Bytes be kept; 0 is no bound.
	// An administrator may say otherwise of a tenant (export.TenantQuotas).
	RunsPerDay int
	Bytes      int64
}

// Defaults of Limits (CONTRACT section 2, ruling 7).
const (
	DefaultActive  = 4
	DefaultPending = 100
)

// What a tenant may keep for ever, as nothing of it is removed. These are far more than
// anybody needs, and few enough that no tenant fills the database.
const (
	MaxProfiles  = 1000    // of a tenant, archived ones included
	MaxRevisions = 10_000  // of all its profiles; approvals can be withdrawn beyond it
	MaxRecords   = 1 << 30 // bytes of its records of exports (OrchestratorExports)

	MaxSnapshots     = 1000      // policy snapshots of a tenant, archived ones included
	MaxSnapshotBytes = 512 << 20 // of all their packs
)

// OrDefault gives l with defaults where it says nothing.
func (l Limits) OrDefault() Limits {
	if l.Active == 0 {
		l.Active = DefaultActive
	}
	if l.Pending == 0 {
		l.Pending = DefaultPending
	}
	return l
}

// QueueFull is why a run is not taken: so many wait already.
type QueueFull struct{ Limit int }

func (q *QueueFull) Error() string {
	return fmt.Sprintf("%d runs of the tenant wait for a slot", q.Limit)
}

// QuotaReached is why a run is not taken, or does not begin: what may be used is used.
type QuotaReached struct {
	Limit int64
	// After is when it is worth asking again; 0 = nobody knows.
	After time.Duration
}

func (q *QuotaReached) Error() string { return fmt.Sprintf("a quota of %d is used up", q.Limit) }
