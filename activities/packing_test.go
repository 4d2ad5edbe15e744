package activities

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// yard is a blob store and the rows of a run; it counts what is open.
type yard struct {
	storage.Objects
	storage.Execution

	mu     sync.Mutex
	open   int
	most   int
	saved  map[int]storage.File
	pinned map[bundle.Digest]bool
}

func (y *yard) Stage(context.Context, string) (storage.Staged, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.open++
	y.most = max(y.most, y.open)
	return &yardBlob{yard: y}, nil
}

func (y *yard) PinAll(_ context.Context, _ storage.Claim, blobs []storage.Sized) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, b := range blobs {
		y.pinned[b.Digest] = true
	}
	return nil
}

func (y *yard) SaveShards(_ context.Context, _ storage.Claim, shards []storage.Shard, _ time.Time) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, s := range shards {
		y.saved[s.Ordinal] = *s.Result
	}
	return nil
}

type yardBlob struct {
	bytes.Buffer
	yard  *yard
	ended bool
}

func (b *yardBlob) Digest() (bundle.Digest, int64) { return bundle.DigestOf(b.Bytes()), int64(b.Len()) }

func (b *yardBlob) Publish(context.Context) error {
	digest, _ := b.Digest()
	b.yard.mu.Lock()
	pinned := b.yard.pinned[digest]
	b.yard.mu.Unlock()
	if !pinned {
		return errors.New("published before it was pinned")
	}
	return b.Discard()
}

func (b *yardBlob) Discard() error {
	b.yard.mu.Lock()
	defer b.yard.mu.Unlock()
	if !b.ended {
		b.ended, b.yard.open = true, b.yard.open-1
	}
	return nil
}

// failing is a shelf that breaks at its nth reading.
type failing struct {
	shelf
	left *atomic.Int64
}

var errShelf = errors.New("the shelf broke")

func (f failing) Lines(ctx context.Context, tenant string, seqs []int64, yield func(ledger.Line) error) error {
	if f.left.Add(-1) < 0 {
		return errShelf
	}
	return f.shelf.Lines(ctx, tenant, seqs, yield)
}

// packAllOf packs all in the environment of an activity, which heartbeats need.
func packAllOf(t *testing.T, all []ledger.Row, store ledger.Store, done map[int]storage.File) (*yard, []storage.Shard, error) {
	t.Helper()
	var plan bytes.Buffer
	planner := newPlanner(&plan)
	for _, row := range all {
		require.NoError(t, planner.add(row))
	}
	require.NoError(t, planner.finish())
	for ordinal, file := range done {
		planner.shards[ordinal].Result = &file
	}
	y := &yard{saved: map[int]storage.File{}, pinned: map[bundle.Digest]bool{}}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	pack := func(ctx context.Context) error {
		p := &packing{Export: &Export{Ledger: store, Objects: y, Execution: y, Clock: time.Now}, adapter: jsonraw.Adapter{},
			claim: storage.Claim{Ref: export.Ref{Tenant: "demo"}}, shards: planner.shards, beat: newHeartbeat(ctx)}
		defer p.discard()
		return p.packAll(ctx, bytes.NewReader(plan.Bytes()))
	}
	env.RegisterActivity(pack)
	_, err := env.ExecuteActivity(pack)
	return y, planner.shards, err
}

func TestEveryShardIsPackedOnceWhateverIsDone(t *testing.T) {
	all := rows(1500, 60_000)
	store := shelf{rows: all}
	y, shards, err := packAllOf(t, all, store, nil)
	require.NoError(t, err)
	require.Greater(t, len(shards), 2*saveEvery)
	require.Len(t, y.saved, len(shards))
	require.Zero(t, y.open, "nothing stays staged")
	require.LessOrEqual(t, y.most, (1+packersAtOnce())*saveEvery, "staged at once")

	half := map[int]storage.File{}
	for i := 0; i < len(shards); i += 2 {
		half[i] = y.saved[i]
	}
	again, _, err := packAllOf(t, all, store, half)
	require.NoError(t, err)
	require.Len(t, again.saved, len(shards)-len(half), "what was packed before is not packed again")
	for i, file := range again.saved {
		require.Equal(t, y.saved[i], file)
	}
}

func TestAShardThatFailsEndsThePacking(t *testing.T) {
	all := rows(1500, 60_000)
	var left atomic.Int64
	left.Store(20)
	y, shards, err := packAllOf(t, all, failing{shelf{rows: all}, &left}, nil)
	require.ErrorContains(t, err, errShelf.Error())
	require.Less(t, len(y.saved), len(shards))
	require.Zero(t, y.open, "nothing stays staged")
}
