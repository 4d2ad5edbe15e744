package fsck

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// Records is what the database says, tenant by tenant.
type Records interface {
	// Tenants lists every tenant, sorted.
	Tenants(ctx context.Context) ([]string, error)
	// RunRecords gives up to limit runs after the given id, by id.
	RunRecords(ctx context.Context, tenant, after string, limit int) ([]storage.RunRecord, error)
	// BlobRecords gives up to limit blobs after the given one, by digest.
	BlobRecords(ctx context.Context, tenant string, after *bundle.Digest, limit int) ([]storage.BlobRecord, error)
	// BlobRecord gives one blob as it is now, nil without a row.
	BlobRecord(ctx context.Context, tenant string, digest bundle.Digest) (*storage.BlobRecord, error)
	// LostEntries yields entries and plans without a blob of their size.
	LostEntries(ctx context.Context, tenant string, yield func(storage.EntryRecord) error) error
	// LostPacked yields what is kept of packed shards and does not fit its blob.
	LostPacked(ctx context.Context, tenant string, yield func(storage.PackedRecord) error) error
	// KeptPlaces yields the places that are kept of shards' documents.
	KeptPlaces(ctx context.Context, tenant string, yield func(storage.ShardRecord) error) error
	// QueueRecord counts the tenant's runs.
	QueueRecord(ctx context.Context, tenant string) (storage.QueueRecord, error)
	// UsageRecords count what the tenant and each of its profiles use.
	UsageRecords(ctx context.Context, tenant string) ([]storage.UsageRecord, error)
	// Misfits yields what tables say of each other and does not fit.
	Misfits(ctx context.Context, tenant string, yield func(storage.MisfitRecord) error) error
	// PolicyPacks yields the packs of policy snapshots, hashed.
	PolicyPacks(ctx context.Context, tenant string, yield func(storage.PackRecord) error) error
	// DepartureRecord says how far a tenant's offboarding is.
	DepartureRecord(ctx context.Context, tenant string) (storage.DepartureRecord, error)
	// ChainRecord counts an audit record, of a tenant or audit.Installation; ChainEntries
	// yields its entries in order, Checkpoints its checkpoints, each with the hash of the
	// entry it is about.
	ChainRecord(ctx context.Context, chain string) (storage.ChainRecord, error)
	ChainEntries(ctx context.Context, chain string, yield func(seq int64, line []byte) error) error
	Checkpoints(ctx context.Context, chain string, yield func(storage.SignedCheckpoint) error) error
	LedgerRecord(ctx context.Context, tenant string) (storage.LedgerRecord, error)
	// LostObservations yields observations without a document.
	LostObservations(ctx context.Context, tenant string, yield func(seq int64, digest bundle.Digest) error) error
	// Overtaken yields revisions that the ledger says wrongly of when they were
	// overtaken.
	Overtaken(ctx context.Context, tenant string, yield func(storage.OvertakenRecord) error) error
	// Terms yields what documents can be selected by and have not, and the like.
	Terms(ctx context.Context, tenant string, yield func(storage.TermRecord) error) error
	// Lines yields documents by their places; one that is not there or not what
	// was stored is storage.ErrNotFound or storage.ErrCorrupt.
	Lines(ctx context.Context, tenant string, places []ledger.Place, yield func(ledger.Line) error) error
	// Documents yields every document's bytes.
	Documents(ctx context.Context, tenant string, yield func(storage.DocumentRecord) error) error
}

// Files is what the blob store has, namespace by namespace.
type Files interface {
	Namespaces(ctx context.Context) ([]string, error)
	// Blobs yields published blobs by digest.
	Blobs(ctx context.Context, namespace string, yield func(storage.BlobFile) error) error
	// Stat gives a blob's size as it is now; false when it is not there.
	Stat(ctx context.Context, namespace string, digest bundle.Digest) (size int64, there bool, err error)
	Open(ctx context.Context, namespace string, digest bundle.Digest) (storage.Blob, error)
	// Staged yields files that are being written, of all namespaces.
	Staged(ctx context.Context, yield func(storage.BlobFile) error) error
	// Foreign yields what the store has not made.
	Foreign(ctx context.Context, yield func(storage.BlobFile) error) error
}

// DefaultPatience is how long something may be on its way.
const DefaultPatience = time.Hour

// Check is one look at an installation.
type Check struct {
	Records Records
	Files   Files
	Clock   clock.Clock
	// Patience is how long something may be on its way before it is told. Zero
	// suits an installation at rest: then nothing may be.
	Patience time.Duration
	// Deep reads all bytes and hashes them.
	Deep bool
	// Limits are those of the installation.
	Limits storage.Limits
	// Repairs mends what can be mended safely; nil changes nothing.
	Repairs Repairs
}

// Divergence is one thing that is not as it must be.
type Divergence struct {
	Kind    string `json:"kind"`
	Tenant  string `json:"tenant"`  // "" when it belongs to none
	Run     string `json:"run"`     // "" when it is about none
	Subject string `json:"subject"` // digest, path, namespace or sequence
	Message string `json:"message"`
	Action  string `json:"action"`
	// Repaired: it was so, and is not any more.
	Repaired bool `json:"repaired"`
}

// Looked counts what was looked at.
type Looked struct {
	Runs      int64 `json:"runs"`
	Blobs     int64 `json:"blobs"` // with a row, a file or both
	Documents int64 `json:"documents"`
}

// Run looks at everything and reports each divergence as it is found. An error
// means that it could not look at everything; what was reported holds.
func (c *Check) Run(ctx context.Context, report func(Divergence) error) (Looked, error) {
	l := &look{Check: c, report: report}
	tenants, err := c.Records.Tenants(ctx)
	if err != nil {
		return l.looked, err
	}
	for _, tenant := range tenants {
		if err := l.tenant(ctx, tenant); err != nil {
			return l.looked, err
		}
	}
	if err := l.chain(ctx, audit.Installation); err != nil {
		return l.looked, err
	}
	return l.looked, l.store(ctx)
}

// look is a Check under way.
type look struct {
	*Check
	report func(Divergence) error
	looked Looked
	newest time.Time // last sign of life in the journals of the tenant
}

func (l *look) tenant(ctx context.Context, tenant string) error {
	if leaves, err := l.departure(ctx, tenant); err != nil || leaves {
		return err
	}
	for _, step := range []func(context.Context, string) error{l.runs, l.blobs, l.entries, l.packed, l.places, l.ledger, l.selection, l.documents, l.packs, l.misfits, l.chain} {
		if err := step(ctx, tenant); err != nil {
			return err
		}
	}
	return nil
}

// tell reports a divergence; d says what it is about.
func (l *look) tell(k Kind, d Divergence, format string, args ...any) error {
	d.Kind, d.Message = k.Code, fmt.Sprintf(format, args...)
	d.Action = k.Action
	if d.Run != "" {
		d.Action = strings.ReplaceAll(d.Action, "RUN", d.Run)
	}
	return l.report(d)
}

// longAgo: what was on its way at t should have arrived.
func (l *look) longAgo(t time.Time) bool { return !t.Add(l.Patience).After(l.Clock()) }
