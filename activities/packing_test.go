package activities

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// shelf is a ledger of rows whose documents are all {}. It breaks at its
// failAt-th reading, if that is not 0.
type shelf struct {
	ledger.Store
	rows   []ledger.Row
	failAt int
	read   int
}

var errShelf = errors.New("the shelf broke")

func (s *shelf) Lines(_ context.Context, _ string, places []ledger.Place, yield func(ledger.Line) error) error {
	if s.read++; s.read == s.failAt {
		return errShelf
	}
	for _, place := range places {
		i := slices.IndexFunc(s.rows, func(r ledger.Row) bool { return r.Place == place })
		if err := yield(ledger.Line{Row: s.rows[i], Format: "osv", Canonical: []byte("{}")}); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) Originals(_ context.Context, _ string, places []ledger.Place, yield func(ledger.Place, []byte) error) error {
	if s.read++; s.read == s.failAt {
		return errShelf
	}
	for _, place := range places {
		if err := yield(place, []byte("{}")); err != nil {
			return err
		}
	}
	return nil
}

func (s *shelf) Current(_ context.Context, _, _ string, _ int64, _ export.Selectors, keys ledger.KeyRange, yield func(ledger.Row) error) error {
	for _, r := range s.rows {
		if keys.Contains(r.Key()) {
			if err := yield(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// yard is a blob store and the rows of a run; it counts what is open.
type yard struct {
	storage.Objects
	storage.Execution

	mu         sync.Mutex
	open, most int
	plan       []storage.Shard
	places     map[bundle.Digest][]byte
	saved      map[int]storage.File
	pinned     map[bundle.Digest]bool
	published  map[bundle.Digest][]byte
}

func newYard() *yard {
	return &yard{places: map[bundle.Digest][]byte{}, saved: map[int]storage.File{},
		pinned: map[bundle.Digest]bool{}, published: map[bundle.Digest][]byte{}}
}

func (y *yard) keep(shards []storage.ShardPlaces) error {
	for _, s := range shards {
		y.places[s.Hash] = s.Places
	}
	return nil
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

func (y *yard) Places(_ context.Context, _ export.Ref, keys []bundle.Digest) ([][]byte, error) {
	kept := make([][]byte, len(keys))
	for hash, places := range y.places {
		if at := slices.Index(keys, storage.PlacesKey("", hash)); at >= 0 {
			kept[at] = places
		}
	}
	return kept, nil
}

func (y *yard) Plan(context.Context, export.Ref) (bundle.Digest, []storage.Shard, error) {
	return bundle.Digest{}, y.plan, nil
}

func (y *yard) SaveShards(_ context.Context, _ storage.Claim, _ bundle.Digest, shards []storage.Shard, _ time.Time) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, s := range shards {
		if y.published[s.Result.Digest] == nil {
			return errors.New("recorded before it was published")
		}
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
	b.yard.published[digest] = bytes.Clone(b.Bytes())
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

// packInto packs shards in the environment of an activity, which heartbeats need.
func packInto(t *testing.T, y *yard, store ledger.Store, shards []storage.Shard) error {
	t.Helper()
	return packRunInto(t, y, store, shards, export.Run{})
}

// packRunInto packs shards of a run.
func packRunInto(t *testing.T, y *yard, store ledger.Store, shards []storage.Shard, run export.Run) error {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	pack := func(ctx context.Context) error {
		p := &packing{Export: &Export{Ledger: store, Objects: y, Execution: y, Clock: time.Now}, packer: packer(t, nil),
			run: run, claim: storage.Claim{Ref: export.Ref{Tenant: "demo"}}, beat: newHeartbeat(ctx)}
		return p.packAll(ctx, slices.Clone(shards))
	}
	env.RegisterActivity(pack)
	_, err := env.ExecuteActivity(pack)
	return err
}

// planned plans all into y.
func planned(t *testing.T, y *yard, all []ledger.Row) []storage.Shard {
	t.Helper()
	p := newPlanner(y.keep)
	for _, row := range all {
		require.NoError(t, p.add(row))
	}
	require.NoError(t, p.end())
	y.plan = p.shards
	return p.shards
}

func TestEveryShardIsPackedOnceWhateverIsDone(t *testing.T) {
	all := rows(1500, 60_000)
	store := &shelf{rows: all}
	y := newYard()
	shards := planned(t, y, all)
	require.NoError(t, packInto(t, y, store, shards))
	require.Greater(t, len(shards), 40)
	require.Len(t, y.saved, len(shards))
	require.Zero(t, y.open, "nothing stays staged")
	require.Less(t, store.read, len(shards)/4, "neighbours are read together")
	require.LessOrEqual(t, int64(store.read), int64(1500*60_000/groupBytes)*2, "and not all at once")

	again := newYard()
	half := slices.Clone(planned(t, again, all))
	for i := 0; i < len(half); i += 2 {
		file := y.saved[i]
		half[i].Result = &file
	}
	require.NoError(t, packInto(t, again, store, half))
	require.Len(t, again.saved, len(shards)/2, "what was packed before is not packed again")
	for i, file := range again.saved {
		require.Equal(t, y.saved[i], file)
	}
}

// A shard of any size is read in portions.
func TestALongShardIsReadInPortions(t *testing.T) {
	all := rows(3000, 60_000)
	y := newYard()
	shards := planned(t, y, all)
	long := storage.Shard{Source: storage.OwnSource(), Name: shards[0].Name, Kind: shards[0].Kind, Cursor: shards[0].Cursor}
	h, previous := sha256.New(), ledger.Place{}
	var places []byte
	for _, row := range all {
		h.Write(endLine(row.AppendKey(nil), row.Digest))
		places = storage.AppendPlace(places, previous, row.Place)
		previous = row.Place
		long.Count, long.Bytes = long.Count+1, long.Bytes+row.CanonicalBytes
	}
	long.Hash = bundle.Digest(h.Sum(nil))
	y.places[long.Hash] = places
	store := &shelf{rows: all}
	require.NoError(t, packInto(t, y, store, []storage.Shard{long}))
	require.Len(t, y.saved, 1)
	require.Equal(t, int64(3000), y.saved[0].Records)
	require.GreaterOrEqual(t, store.read, 3000*60_000/groupBytes)
}

func TestAGroupThatFailsLeavesTheOnesBefore(t *testing.T) {
	all := rows(1500, 60_000)
	y := newYard()
	shards := planned(t, y, all)
	err := packInto(t, y, &shelf{rows: all, failAt: 3}, shards)
	require.ErrorContains(t, err, errShelf.Error())
	require.NotEmpty(t, y.saved)
	require.Less(t, len(y.saved), len(shards))
	require.Zero(t, y.open, "nothing stays staged")
}

// A plan that was made before places were kept, or whose places are lost, is
// packed all the same.
func TestLostPlacesAreListedAgain(t *testing.T) {
	all := rows(300, 60_000)
	vex := all[0]
	vex.Kind, vex.Place = ledger.KindVEX, ledger.Place{Block: 1 << 40}
	all = append(all, vex)
	whole := newYard()
	store := &shelf{rows: all}
	require.NoError(t, packInto(t, whole, store, planned(t, whole, all)))
	y := newYard()
	shards := planned(t, y, all)
	clear(y.places)
	require.NoError(t, packInto(t, y, store, shards))
	require.Equal(t, whole.saved, y.saved)
}

// Places that name other documents than the run's rows must not put them in
// place of the right ones.
func TestWrongPlacesPackNothing(t *testing.T) {
	all := rows(10, 100)
	for name, damage := range map[string]func(places []byte) []byte{
		"another document": func(places []byte) []byte {
			var other []byte
			previous := ledger.Place{}
			for i := range 9 {
				row := all[i]
				if i == 3 {
					row = all[9]
				}
				other = storage.AppendPlace(other, previous, row.Place)
				previous = row.Place
			}
			return other
		},
		"one fewer":  func(places []byte) []byte { return places[:len(places)-2] },
		"cut":        func(places []byte) []byte { return places[:len(places)-1] },
		"one more":   func(places []byte) []byte { return append(bytes.Clone(places), 2, 2) },
		"no end":     func([]byte) []byte { return bytes.Repeat([]byte{0xff}, 40) },
		"no numbers": func([]byte) []byte { return []byte{} },
	} {
		t.Run(name, func(t *testing.T) {
			y := newYard()
			shards := planned(t, y, all[:9])
			require.Len(t, shards, 1)
			y.places[shards[0].Hash] = damage(y.places[shards[0].Hash])
			err := packInto(t, y, &shelf{rows: all}, shards)
			require.ErrorContains(t, err, storage.ErrCorrupt.Error())
			require.Empty(t, y.saved)
			require.Zero(t, y.open)
		})
	}
}

func TestRangesShareTheWorkOut(t *testing.T) {
	shards := make([]storage.Shard, 1000)
	for i := range shards {
		shards[i] = storage.Shard{Ordinal: i, Bytes: int64(1 + i%7)}
	}
	for _, left := range [][]storage.Shard{nil, shards[:1], shards[3:10], shards, {shards[2], shards[500], shards[999]}} {
		ranges := rangesOf(left)
		require.LessOrEqual(t, len(ranges), maxRanges)
		if len(left) >= maxRanges*minShards {
			require.Len(t, ranges, maxRanges)
		}
		var total, most int64
		for _, s := range left {
			n := 0
			for _, r := range ranges {
				if r.From <= s.Ordinal && s.Ordinal < r.To {
					n++
				}
			}
			require.Equal(t, 1, n, "shard %d", s.Ordinal)
			total += s.Bytes
		}
		for _, r := range ranges {
			var size int64
			for _, s := range left {
				if r.From <= s.Ordinal && s.Ordinal < r.To {
					size += s.Bytes
				}
			}
			most = max(most, size)
		}
		require.LessOrEqual(t, most, total/int64(max(len(ranges), 1))+14)
	}
}
