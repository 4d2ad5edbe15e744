package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// For tests in postgres_test.
var (
	MigrateDown = migrateDown
	Classify    = classify
	State       = state
	KeptTables  = keptTables
)

// NewestMigration is the version of the newest migration.
func NewestMigration() (newest int64, err error) {
	err = withProvider("dbname=none", func(p *goose.Provider) error { // it is never connected
		for _, source := range p.ListSources() {
			newest = max(newest, source.Version)
		}
		return nil
	})
	return newest, err
}

// GiveRuns is the second half of Claim: what it does when it was found that there
// is something to give out.
func (db *DB) GiveRuns(ctx context.Context, tenant string, slots int, at time.Time) (given []storage.Waiting, err error) {
	err = db.WithTenant(ctx, tenant, func(tx pgx.Tx) error {
		given, err = giveRuns(ctx, tx, tenant, slots, at)
		return err
	})
	return given, err
}

// HasMigration says whether there is a migration of this number.
func HasMigration(version int64) (there bool, err error) {
	err = withProvider("dbname=none", func(p *goose.Provider) error {
		for _, source := range p.ListSources() {
			there = there || source.Version == version
		}
		return nil
	})
	return there, err
}

// MigrateUp brings the schema up to version and no further.
func MigrateUp(ctx context.Context, ownerDSN string, version int64) error {
	return withProvider(ownerDSN, func(p *goose.Provider) error {
		_, err := p.UpTo(ctx, version)
		return err
	})
}

// Places gives where the documents numbered seqs are; what is not there is
// nowhere.
func Places(ctx context.Context, store ledger.Store, tenant string, seqs []int64) (places []ledger.Place, err error) {
	err = store.(*Ledger).db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select coalesce(o.block, -2), coalesce(o.slot, 0)
			from unnest($2::bigint[]) with ordinality as w (seq, n)
			left join ledger_observations o on o.tenant = $1 and o.seq = w.seq order by w.n`, tenant, seqs)
		if err != nil {
			return err
		}
		places, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ledger.Place])
		return err
	})
	return places, err
}

// Removals gives the removals that are recorded, by sequence.
func Removals(ctx context.Context, store ledger.Store, tenant string) (map[int64]ledger.Removal, error) {
	removals := map[int64]ledger.Removal{}
	err := store.(*Ledger).db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select seq, project, kind, source, stream, upstream_id, modified, reason, said_by
			from ledger_removals where tenant = $1`, tenant)
		if err != nil {
			return err
		}
		var seq int64
		var modified string
		var r ledger.Removal
		_, err = pgx.ForEachRow(rows, []any{&seq, &r.Project, &r.Kind, &r.Source, &r.Stream, &r.UpstreamID, &modified, &r.Reason, &r.By}, func() (err error) {
			r.Time, err = time.Parse(ledger.ModifiedLayout, modified)
			removals[seq] = r
			return err
		})
		return err
	})
	return removals, err
}

// Bound makes the catalog work in small steps, as it does on a large ledger.
func (c *Catalog) Bound(window int64, few int, step int64) *Catalog {
	c.window, c.few, c.step = window, few, step
	return c
}

// ReadOnce is readOnce.
func (db *DB) ReadOnce(ctx context.Context, tenant string, collect func(pgx.Rows) error, sql string, args ...any) error {
	return db.readOnce(ctx, tenant, collect, sql, args...)
}

// SaidTenant is the tenant that a connection believes in outside of any
// transaction of ours.
func (db *DB) SaidTenant(ctx context.Context) (said string, err error) {
	err = db.app.QueryRow(ctx, "select coalesce(current_setting('app.current_tenant', true), '')").Scan(&said)
	return said, err
}

// ReadTenant is readTenant.
func (db *DB) ReadTenant(ctx context.Context, tenant string, fn func(pgx.Tx) error) error {
	return db.readTenant(ctx, tenant, fn)
}

// NoticeText and ParseNotice write and read notifications.
var (
	NoticeText  = noticeText
	ParseNotice = parseNotice
)

// ListenSilence shortens how long a listener bears silence, for a test.
func ListenSilence(t interface{ Cleanup(func()) }, d time.Duration) {
	before := listenSilence
	listenSilence = d
	t.Cleanup(func() { listenSilence = before })
}

// HoldDoor takes n connections of the door's pool until the function it gives is called.
func (db *DB) HoldDoor(t interface {
	Context() context.Context
	Fatal(...any)
}, n int) (end func()) {
	var ends []func()
	for range n {
		conn, err := db.door.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, conn.Release)
	}
	return func() {
		for _, end := range ends {
			end()
		}
	}
}
