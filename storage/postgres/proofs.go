package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/storage"
)

// installation is the tenant of rows that belong to none; no tenant can have the
// name (export.ValidTenant).
const installation = "_"

const (
	// proofsAtOnce bounds what one statement records.
	proofsAtOnce = 256
	// proofsWaiting bounds how many wait: more would be answered too late.
	proofsWaiting = 16 * proofsAtOnce
	// proofPatience bounds the wait for the database. A client's proof would not
	// outlive much more.
	proofPatience = 3 * time.Second
	// proofSweep is how often a process removes expired proofs, and proofsSwept how
	// many at most: more than 1,000 requests a second leave.
	proofSweep  = 10 * time.Second
	proofsSwept = 100_000
)

// Proofs is the memory of used DPoP proofs that all API processes share. Requests
// that come while a statement is under way are recorded together by the next one, so
// a busy server pays one round trip for many.
type Proofs struct {
	db *DB

	mu      sync.Mutex
	waiting []*proofUse
	busy    bool
	swept   time.Time
}

var _ storage.Proofs = (*Proofs)(nil)

// NewProofs makes the memory of this process.
func NewProofs(db *DB) *Proofs { return &Proofs{db: db} }

// proofUse is a request that waits for its answer.
type proofUse struct {
	proof storage.Proof
	now   time.Time
	done  chan error // of one
}

var errProofsWaiting = errors.New("too many proofs wait to be recorded")

// Use implements storage.Proofs.
func (p *Proofs) Use(ctx context.Context, proof storage.Proof, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, proofPatience)
	defer cancel()
	use := &proofUse{proof: proof, now: now, done: make(chan error, 1)}
	p.mu.Lock()
	if len(p.waiting) >= proofsWaiting {
		p.mu.Unlock()
		return errProofsWaiting
	}
	p.waiting = append(p.waiting, use)
	if !p.busy {
		p.busy = true
		go p.work()
	}
	p.mu.Unlock()
	select {
	case err := <-use.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// work records until nobody waits.
func (p *Proofs) work() {
	for {
		p.mu.Lock()
		n := min(len(p.waiting), proofsAtOnce)
		batch := slices.Clone(p.waiting[:n])
		p.waiting = slices.Delete(p.waiting, 0, n)
		p.busy = n > 0
		p.mu.Unlock()
		if n == 0 {
			return
		}
		p.record(batch)
		p.sweepIfDue(batch[n-1].now)
	}
}

// record answers all of batch. Of two with one id one is the first.
func (p *Proofs) record(batch []*proofUse) {
	ctx, cancel := context.WithTimeout(context.Background(), proofPatience)
	defer cancel()
	// In one order everywhere, so that two processes never wait for each other in a circle.
	slices.SortStableFunc(batch, func(a, b *proofUse) int { return bytes.Compare(a.proof.ID[:], b.proof.ID[:]) })
	answer, err := p.insert(ctx, batch)
	for _, use := range batch {
		switch _, fresh := answer.recorded[use.proof.ID]; {
		case err != nil:
			use.done <- err
		case answer.amnesia && use.proof.Nonce != answer.nonce:
			use.done <- &storage.NonceError{Nonce: answer.nonce}
		case !fresh:
			use.done <- storage.ErrProofUsed
		default:
			delete(answer.recorded, use.proof.ID)
			use.done <- nil
		}
	}
}

// proofAnswer is what the database says to a batch.
type proofAnswer struct {
	nonce    string
	amnesia  bool // only proofs with the nonce were looked at
	recorded map[[32]byte]struct{}
}

const insertProofs = `
with epoch as (
  select nonce, clock_timestamp() < since + $4::interval as amnesia from dpop_epochs where tenant = '_'
), used as (
  insert into dpop_proofs (tenant, id, expires_at)
  select '_', asked.id, clock_timestamp() + $3::interval from unnest($1::bytea[], $2::text[]) asked (id, nonce), epoch
  where not epoch.amnesia or asked.nonce = epoch.nonce
  on conflict do nothing returning id
)
select epoch.nonce, epoch.amnesia, array(select id from used) from epoch`

// newEpoch notes that the memory was lost. Of two processes one is the first.
const newEpoch = `insert into dpop_epochs (tenant, nonce, since) values ('_', $1, clock_timestamp()) on conflict do nothing`

func (p *Proofs) insert(ctx context.Context, batch []*proofUse) (proofAnswer, error) {
	ids, nonces := make([][]byte, len(batch)), make([]string, len(batch))
	for i, use := range batch {
		ids[i], nonces[i] = use.proof.ID[:], use.proof.Nonce
	}
	for {
		var answer proofAnswer
		err := p.db.installationOnce(ctx, insertProofs, func(row pgx.Row) error {
			var recorded [][]byte
			if err := row.Scan(&answer.nonce, &answer.amnesia, &recorded); err != nil {
				return err
			}
			answer.recorded = make(map[[32]byte]struct{}, len(recorded))
			for _, id := range recorded {
				answer.recorded[[32]byte(id)] = struct{}{}
			}
			return nil
		}, ids, nonces, storage.ProofKept, storage.ProofAmnesia)
		if !errors.Is(err, pgx.ErrNoRows) {
			return answer, err
		}
		if err := p.db.installationOnce(ctx, newEpoch, nil, rand.Text()); err != nil {
			return answer, err
		}
	}
}

// sweepIfDue removes what has expired. A failure is the next sweep's work: what
// stays too long does no harm.
func (p *Proofs) sweepIfDue(now time.Time) {
	p.mu.Lock()
	due := now.Sub(p.swept).Abs() >= proofSweep
	if due {
		p.swept = now
	}
	p.mu.Unlock()
	if !due {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), proofPatience)
		defer cancel()
		p.db.installationOnce(ctx, sweepProofs, nil, proofsSwept) //nolint:errcheck // tried again
	}()
}

// The database's clock decides what has expired, as it does for how long a proof is
// kept: a process whose clock is ahead must not forget for all others. One process
// sweeps at a time: two could wait for each other in a circle.
const sweepProofs = `
with mine as materialized (select pg_try_advisory_xact_lock(1685090160) as turn)
delete from dpop_proofs where (select turn from mine) and tenant = '_' and id = any (array(
  select id from dpop_proofs where tenant = '_' and expires_at < clock_timestamp() order by expires_at limit $1))`

// installationOnce runs one statement on the installation's own rows, in a
// transaction of its own and one round trip. scan gets the one row, when it is set.
// The commit does not wait for the disk: these tables have nothing there.
func (db *DB) installationOnce(ctx context.Context, sql string, scan func(pgx.Row) error, args ...any) error {
	conn, err := db.door.Acquire(ctx)
	if err != nil {
		return classify("database", err)
	}
	defer conn.Release()
	var scanned error
	batch := &pgx.Batch{} // without begin it is one transaction (PostgreSQL protocol, pipelining)
	batch.Queue("select set_config('app.current_tenant', '" + installation + "', true), set_config('synchronous_commit', 'off', true)")
	statement := batch.Queue(sql, args...)
	if scan != nil {
		statement.QueryRow(func(row pgx.Row) error {
			scanned = scan(row)
			return nil
		})
	}
	if err := conn.Conn().SendBatch(ctx, batch).Close(); err != nil {
		return classify("database", err)
	}
	return scanned
}
