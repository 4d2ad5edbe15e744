package fsck_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/fsck"
	"github.com/stella-ops/exportcenter/storage"
)

// rotten is a column whose bytes rot.
type rotten struct {
	name, table, column, where string
	kinds                      []string // one of them is named, whatever else is
	unread                     bool     // nothing reads it but fsck
}

var rottens = []rotten{
	{name: "records", table: "ledger_blocks", column: "data", where: "block % 2 = 0", kinds: []string{"document-bytes", "document-canonical"}},
	{name: "originals", table: "ledger_blocks", column: "data", where: "block % 2 = 1", kinds: []string{"document-bytes"}},
	{name: "terms", table: "ledger_terms", column: "data", where: "axis <> 'alias'", kinds: []string{"terms-bytes"}},
	{name: "aliases", table: "ledger_terms", column: "data", where: "axis = 'alias'", kinds: []string{"terms-bytes"}, unread: true},
	{name: "places", table: "export_shards", column: "places", where: "true", kinds: []string{"places-differ"}},
}

// looksEach is how many deep looks are taken at each kind of rows; with FAULTS=all
// twenty times as many. Before each, one bit flips of one of these rows, and one of
// every blob.
const looksEach = 40

// A bit that flips on disk is found by a deep look, and what has it is refused: a
// blob by the reader behind every download, documents, terms and places by whatever
// reads them. A flip that nobody names changes nothing that is read: compressed
// bytes can say the same in two ways.
func TestBitRotIsFoundAndRefused(t *testing.T) {
	random, looks := seeded(t), looksEach
	if os.Getenv("FAULTS") == "all" {
		looks *= 20
	}
	for _, kind := range rottens {
		seed := random.Uint64()
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			w, random := newWorld(t), rand.New(rand.NewPCG(seed, 0))
			good := w.readings(t)
			for name, r := range good {
				require.NoError(t, r.err, name)
			}
			blobs, named := 0, 0
			for range looks {
				rot := w.rotBlobs(t, random)
				back := w.rotRow(t, random, kind)
				_, found := w.look(t, true)
				w.requireRefusedAndNamed(t, rot, found)
				if w.requireRefusedOrSame(t, kind, good, found) {
					named++
				}
				back()
				blobs += w.restore(t, rot)
			}
			t.Logf("%d flips in blobs, all named and refused; %d of %d in %s, the others changed nothing", blobs, named, looks, kind.name)
			require.Positive(t, named)
			_, found := w.look(t, true)
			require.Empty(t, found, "all bits are back")
		})
	}
}

// seeded gives chance with a seed that is logged; SEED repeats it.
func seeded(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// flip gives bytes with one other bit.
func flip(random *rand.Rand, good []byte) []byte {
	bad := bytes.Clone(good)
	bit := random.IntN(8 * len(bad))
	bad[bit/8] ^= 1 << (bit % 8)
	return bad
}

// rotBlobs flips one bit of every blob of acme, and gives what they were, by path.
func (w *world) rotBlobs(t *testing.T, random *rand.Rand) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(w.dir, storage.Namespace(acme), "sha256", "*", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	was := map[string][]byte{}
	for _, path := range paths {
		was[path], err = os.ReadFile(path)
		require.NoError(t, err)
		w.write(t, path, string(flip(random, was[path])))
	}
	return was
}

func (w *world) restore(t *testing.T, was map[string][]byte) int {
	t.Helper()
	for path, good := range was {
		w.write(t, path, string(good))
	}
	return len(was)
}

// rotRow flips one bit of one of acme's rows; back flips it back.
func (w *world) rotRow(t *testing.T, random *rand.Rand, kind rotten) (back func()) {
	t.Helper()
	rows, err := w.admin(t).Query(t.Context(), "select "+kind.column+" from "+kind.table+
		" where tenant = 'acme' and "+kind.where+" order by 1")
	require.NoError(t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	require.NoError(t, err)
	good := all[random.IntN(len(all))]
	bad := flip(random, good)
	change := func(from, to []byte) {
		w.sql(t, "update "+kind.table+" set "+kind.column+" = $2 where tenant = 'acme' and "+kind.column+" = $1", from, to)
	}
	change(good, bad)
	return func() { change(bad, good) }
}

// requireRefusedAndNamed: each of these blobs is refused by what downloads read it
// with, and named, and no other.
func (w *world) requireRefusedAndNamed(t *testing.T, rot map[string][]byte, found []fsck.Divergence) {
	t.Helper()
	var want, named []string
	for path, good := range rot {
		digest, err := bundle.ParseDigest("sha256:" + filepath.Base(path))
		require.NoError(t, err)
		want = append(want, digest.String())
		blob, err := storage.OpenVerified(t.Context(), w.objects, acme, digest, int64(len(good)))
		require.ErrorIs(t, err, storage.ErrCorrupt, "%s", digest)
		require.Nil(t, blob)
	}
	for _, d := range found {
		if d.Kind == "blob-bytes" {
			require.Equal(t, acme, d.Tenant)
			named = append(named, d.Subject)
		}
	}
	slices.Sort(want)
	slices.Sort(named)
	require.Equal(t, want, named)
}

// requireRefusedOrSame: what is read is refused, and fsck names the rot, or it is
// what was stored. It reports whether fsck named it.
func (w *world) requireRefusedOrSame(t *testing.T, kind rotten, good map[string]reading, found []fsck.Divergence) bool {
	t.Helper()
	refused := false
	for name, r := range w.readings(t) {
		if r.err == nil {
			require.Equal(t, good[name].text, r.text, "%s was read wrongly, and not refused", name)
			continue
		}
		require.True(t, wrongBytes(r.err), "%s: %v", name, r.err)
		refused = true
	}
	named, right := false, false
	for _, d := range found {
		if d.Kind != "blob-bytes" {
			require.Equal(t, acme, d.Tenant)
			named, right = true, right || slices.Contains(kind.kinds, d.Kind)
		}
	}
	require.Equal(t, named, right, "%v: none is one of %v", short(found), kind.kinds)
	if kind.unread {
		require.False(t, refused, "it is read now: it must be refused too")
		return named
	}
	require.Equal(t, refused, named, "refused but not named, or named but read: %v", short(found))
	return named
}
