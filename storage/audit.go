package storage

import (
	"context"
	"time"

	"github.com/stella-ops/exportcenter/audit"
)

// AuditFilter narrows a list of audit entries.
type AuditFilter struct {
	After     int64     // only entries behind this number
	From, To  time.Time // only at or after, only before; zero = no bound
	Subject   string    // "" = any
	Operation string    // "" = any
	Event     audit.Event
	Project   string // "" = any
	Limit     int    // 1..500
}

// AuditRow is an entry of a chain as it was written.
type AuditRow struct {
	audit.Link
	Line []byte // the entry, canonical JSON; Link.Hash is its hash
}

// SignedCheckpoint is a checkpoint of a chain and its envelope.
type SignedCheckpoint struct {
	audit.Link
	Envelope []byte
}

// Audit is the record of who did what. The tenant of each call may be
// audit.Installation.
type Audit interface {
	// Append numbers entries behind the last one of the tenant's chain, in order,
	// in one transaction. Two callers never get the same number.
	Append(ctx context.Context, tenant string, entries []audit.Entry) error
	// Entries gives a page in the order of the chain. One that is full may have
	// more behind its last entry; fewer than Limit are all there are, unless
	// scanned says that the look ended earlier: then continue behind it.
	Entries(ctx context.Context, tenant string, f AuditFilter) (rows []AuditRow, scanned int64, err error)
	// Checkpoint gives the last checkpoint; ErrNotFound when there is none yet.
	Checkpoint(ctx context.Context, tenant string) (SignedCheckpoint, error)
}

// Notary is what signing checkpoints needs.
type Notary interface {
	// Unsigned lists up to limit chains, bytewise behind after, that have entries
	// behind their last checkpoint.
	Unsigned(ctx context.Context, after string, limit int) ([]string, error)
	// End gives the place of a chain's last entry.
	End(ctx context.Context, tenant string) (audit.Link, error)
	// KeepCheckpoint stores a checkpoint unless the chain has one as far already.
	KeepCheckpoint(ctx context.Context, tenant string, c SignedCheckpoint) error
}
