package postgres

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config says how to reach the database, one connection string per role.
type Config struct {
	// App is the service's role.
	App string
	// Dispatch is the dispatcher's role; "" when this process does not dispatch.
	Dispatch string
	// MaxConns bounds the service's pool; 0 = 16.
	MaxConns int32
	// DoorConns bounds the pool for what every call waits for at the door, used proofs
	// and the audit record; 0 = 4.
	DoorConns int32
	// Silence is how long a process may say nothing in the middle of a transaction
	// before PostgreSQL ends it; 0 = 10 s. See silent.
	Silence time.Duration
}

// silent: a process that is stopped, swapped out or cut off in the middle of a
// transaction goes on holding the locks on a run's rows, and keeps whoever does
// its work by now waiting. In the middle of a transaction that writes we wait for
// nothing but, while it erases, the blob store; so this is as long as a worker may
// be without a heartbeat. One that erases may end while the blob store is at work,
// which is why that asks once more before each blob (storage.Still). Transactions
// that only read hold nobody up; they stream to others, who may be slow, and get
// longer (patientTenant).
const silent = 10 * time.Second

// DB is the database as the service sees it. Its pools are not exported:
// WithTenant is the way in.
type DB struct {
	app *pgxpool.Pool
	// door is the same role's, for used proofs and the audit record alone: they do not
	// wait behind tenants' reads, nor those behind them.
	door     *pgxpool.Pool
	dispatch *pgxpool.Pool // nil without Config.Dispatch
	notifier *notifier
}

// Open connects and proves that the database answers.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if cfg.App == "" {
		return nil, errors.New("open database: no connection string for the service's role")
	}
	cfg = cfg.withDefaults()
	if cfg.Silence == 0 {
		cfg.Silence = silent
	}
	app, err := newPool(ctx, cfg.App, "exportcenter", cfg.MaxConns, cfg.Silence)
	if err != nil {
		return nil, fmt.Errorf("open database as the service: %w", err)
	}
	db := &DB{app: app, notifier: newNotifier(app)}
	if err := cfg.fits(ctx, app); err != nil {
		db.Close()
		return nil, err
	}
	if db.door, err = newPool(ctx, cfg.App, "exportcenter-door", cfg.DoorConns, cfg.Silence); err != nil {
		db.Close()
		return nil, fmt.Errorf("open database as the service: %w", err)
	}
	if cfg.Dispatch != "" {
		if db.dispatch, err = newPool(ctx, cfg.Dispatch, "exportcenter-dispatch", dispatchConns, cfg.Silence); err != nil {
			db.Close()
			return nil, fmt.Errorf("open database as the dispatcher: %w", err)
		}
	}
	return db, nil
}

// What a process opens beside its two pools: the dispatcher's connections, and the
// one that hears of events.
const (
	dispatchConns = 2
	listenConns   = 1
)

func (c Config) withDefaults() Config {
	if c.MaxConns == 0 {
		c.MaxConns = 16
	}
	if c.DoorConns == 0 {
		c.DoorConns = 4
	}
	return c
}

// Connections is how many a process opens at most.
func (c Config) Connections() int {
	c = c.withDefaults()
	return int(c.MaxConns+c.DoorConns) + dispatchConns + listenConns
}

// fits refuses pools that the server has no room for: their calls would fail when it
// is busy, and not before.
func (c Config) fits(ctx context.Context, pool *pgxpool.Pool) error {
	var room int
	err := pool.QueryRow(ctx, `select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int`).Scan(&room)
	if err != nil {
		return classify("ask how many connections there may be", err)
	}
	if wanted := c.Connections(); wanted > room {
		return fmt.Errorf("open database: this process may open %d connections and PostgreSQL takes %d from all; "+
			"lower database.connections and database.doorConnections, or raise its max_connections", wanted, room)
	}
	return nil
}

// Close ends all connections, after their transactions have ended.
func (db *DB) Close() {
	db.notifier.close()
	db.app.Close()
	if db.door != nil {
		db.door.Close()
	}
	if db.dispatch != nil {
		db.dispatch.Close()
	}
}

// Check proves that the database answers; for readiness.
func (db *DB) Check(ctx context.Context) error {
	return classify("check database", db.app.Ping(ctx))
}

// readAhead is how much is read from a connection at once: PostgreSQL sends 8 KiB
// at a time, which would be a system call for each.
const readAhead = 64 << 10

func newPool(ctx context.Context, dsn, name string, maxConns int32, silence time.Duration) (*pgxpool.Pool, error) {
	pc, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		// The parser's message may hold the connection string.
		return nil, errors.New("the connection string cannot be parsed")
	}
	if pc.ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol {
		return nil, errors.New("default_query_exec_mode=simple_protocol is refused: parameters must never become SQL text")
	}
	pc.MaxConns = maxConns
	pc.MaxConnIdleTime = 5 * time.Minute
	pc.ConnConfig.ConnectTimeout = 5 * time.Second
	pc.ConnConfig.DialFunc = dial
	pc.ConnConfig.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(bufio.NewReaderSize(r, readAhead), w)
	}
	params := pc.ConnConfig.RuntimeParams
	params["application_name"] = name
	params["timezone"] = "UTC"
	// A waiter behind a stuck transaction gives up and tries again.
	params["lock_timeout"] = "30s"
	params["idle_in_transaction_session_timeout"] = strconv.FormatInt(silence.Milliseconds(), 10)
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, classify("connect", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, classify("connect", err)
	}
	return pool, nil
}
