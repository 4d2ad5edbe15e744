package postgres

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// evidence makes documents of very different sizes, each other with terms.
func evidence(n int) []*ledger.Observation {
	rng := rand.New(rand.NewPCG(4, 2))
	all := make([]*ledger.Observation, n)
	for i := range all {
		o := &ledger.Observation{Kind: ledger.KindAdvisory, Format: "osv", Source: "s", Stream: "t", UpstreamID: fmt.Sprintf("E-%d", i),
			Subject: "pkg:npm/x", Canonical: fmt.Appendf(nil, `{"id":"%d","text":%q}`, i, strings.Repeat("x", rng.IntN(3000)))}
		if o.Raw = o.Canonical; i%3 == 0 {
			o.Raw = append([]byte("  "), o.Canonical...)
		}
		switch i {
		case n / 2:
			o.Canonical = fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("y", 3*blockBytes))
			o.Raw = o.Canonical
		case n/2 + 1:
			o.Canonical = fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("z", largeBlock))
			o.Raw = append([]byte(" "), o.Canonical...)
		case n/2 + 2:
			o.Canonical = []byte(`{}`)
			o.Raw = append(bytes.Repeat([]byte(" "), largeBlock), o.Canonical...)
		}
		if o.Digest = bundle.DigestOf(o.Raw); i%2 == 0 {
			o.Modified, o.Ecosystems = someModified, []string{"npm"}
			o.Products, o.Aliases = []string{"pkg:npm/a", "pkg:npm/é"}, []string{fmt.Sprintf("CVE-%d", i%7)}
		}
		all[i] = o
	}
	return all
}

const someModified = "2026-01-02T03:04:05.000000000Z"

func TestBlocksGiveBackWhatIsPutIn(t *testing.T) {
	all := evidence(400)
	blocks, places, err := packBlocks(7, all)
	require.NoError(t, err)
	stored := map[int64][]byte{}
	for _, b := range blocks {
		require.NotContains(t, stored, b.number)
		stored[b.number] = b.stored
	}
	var line ledger.Line
	for i, o := range all {
		at := places[i]
		require.Zero(t, at.Block&1, "records have even numbers")
		content, err := openBlock(nil, stored[at.Block])
		require.NoError(t, err)
		require.LessOrEqual(t, len(content), 2*largeBlock)
		record, err := slotOf(content, at.Slot)
		require.NoError(t, err)
		require.NoError(t, readRecord(record, &line))
		require.Equal(t, o.Digest, line.Digest)
		require.Equal(t, []string{string(o.Kind), o.Format, o.Source, o.Stream, o.UpstreamID, o.Modified, o.Subject},
			[]string{string(line.Kind), line.Format, line.Source, line.Stream, line.UpstreamID, line.Modified, line.Subject})
		require.True(t, slices.Equal(o.Ecosystems, line.Ecosystems) && slices.Equal(o.Products, line.Products) && slices.Equal(o.Aliases, line.Aliases))
		require.Equal(t, string(o.Canonical), string(line.Canonical))
		require.EqualValues(t, len(o.Raw), line.RawBytes)
		pair := [][]byte{stored[at.Block]}
		if originals := stored[at.Block+1]; originals != nil {
			pair = append(pair, originals)
		}
		raw, err := originalIn(pair, at.Slot)
		require.NoError(t, err)
		require.True(t, bytes.Equal(o.Raw, raw))
	}
}

// A block that was changed anywhere is not read as good.
func TestDamagedBlocksAreNamed(t *testing.T) {
	blocks, _, err := packBlocks(7, evidence(3))
	require.NoError(t, err)
	stream, err := sealStream([]byte("some "), []byte("content"))
	require.NoError(t, err)
	content, err := openBlock(nil, stream)
	require.NoError(t, err)
	require.Equal(t, "some content", string(content))
	for _, good := range [][]byte{blocks[0].stored, stream} {
		want, err := openBlock(nil, good)
		require.NoError(t, err)
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			if got, err := openBlock(nil, bad); err == nil { // a stream has bits that say nothing
				require.Equal(t, want, got, "byte %d", i)
			} else {
				require.ErrorIs(t, err, storage.ErrCorrupt, "byte %d", i)
			}
			_, err = openBlock(nil, good[:i])
			require.ErrorIs(t, err, storage.ErrCorrupt, "cut at %d", i)
		}
	}
}

func FuzzBlock(f *testing.F) {
	blocks, _, err := packBlocks(7, evidence(5))
	require.NoError(f, err)
	for _, b := range blocks {
		content, err := openBlock(nil, b.stored)
		require.NoError(f, err)
		f.Add(content)
	}
	stream, err := sealStream([]byte("content"))
	require.NoError(f, err)
	f.Add(stream)
	f.Add([]byte{0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, content []byte) {
		_, _ = openBlock(nil, content)
		var line ledger.Line
		_ = eachSlot(content, func(_ int32, record []byte) error { return readRecord(record, &line) })
		_, _ = slotOf(content, 3)
	})
}

// Pages give the documents of every term, whatever the pages they are on.
func TestPagesFindWhatDocumentsHave(t *testing.T) {
	all := evidence(3000)
	for i, o := range all {
		o.Aliases = append(o.Aliases, fmt.Sprintf("UNIQUE-%05d", i))
	}
	pages := termPages(all)
	require.Greater(t, len(pages), 5)
	found := map[string]map[string][]int64{}
	for _, p := range pages {
		require.LessOrEqual(t, len(p.data), 5*pageBytes)
		var first, last string
		require.NoError(t, eachTerm(p.data, func(term []byte, documents []int64) {
			if last = string(term); first == "" {
				first = last
			}
			if found[p.axis] == nil {
				found[p.axis] = map[string][]int64{}
			}
			require.NotContains(t, found[p.axis], last)
			found[p.axis][last] = slices.Clone(documents)
		}))
		require.Equal(t, []string{p.first, p.last}, []string{first, last})
	}
	want := map[string]map[string][]int64{axisAlias: {}, axisEcosystem: {}, axisProduct: {}}
	for i, o := range all {
		for axis, terms := range map[string][]string{axisAlias: o.Aliases, axisEcosystem: o.Ecosystems, axisProduct: o.Products} {
			for _, term := range terms {
				want[axis][term] = append(want[axis][term], int64(i)+1)
			}
		}
	}
	require.Equal(t, want, found)
}

func FuzzTermPage(f *testing.F) {
	for _, p := range termPages(evidence(20)) {
		f.Add(p.data[blockHead:])
	}
	f.Add([]byte{5, 0, 0})
	f.Add([]byte{0, 1, 'a', 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		last := ""
		_ = eachPosting(data, func(term []byte, documents []int64) {
			if len(term) > maxPageTerm || string(term) <= last || !slices.IsSorted(documents) {
				t.Fatal("a page that is not one")
			}
			last = string(term)
		})
		_ = eachTerm(data, func([]byte, []int64) {})
	})
}

// A page that was changed anywhere selects nothing: it is an error.
func TestDamagedPagesAreNamed(t *testing.T) {
	for _, p := range termPages(evidence(5)) {
		for i := range p.data {
			bad := bytes.Clone(p.data)
			bad[i] ^= 1 << (i % 8)
			require.ErrorIs(t, eachTerm(bad, func([]byte, []int64) {}), storage.ErrCorrupt)
			require.ErrorIs(t, eachTerm(p.data[:i], func([]byte, []int64) {}), storage.ErrCorrupt)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern   string
		wanted    string
		notWanted string
	}{
		{"pkg:npm/lodash", "pkg:npm/lodash pkg:npm/lodash@4.17.21 pkg:npm/lodash?os=x pkg:npm/lodash#sub", "pkg:npm/lodas pkg:npm/lodash-es pkg:npm/lodash/x pkg:pypi/lodash"},
		{"pkg:npm/lodash@4.0.0", "pkg:npm/lodash@4.0.0", "pkg:npm/lodash pkg:npm/lodash@4.0.0-rc pkg:npm/lodash@4.0.00"},
		{"pkg:npm/*", "pkg:npm/a pkg:npm/%40x/y@1", "pkg:npmx/a pkg:npm"},
		{"*", "a pkg:npm/a", ""},
		{"pkg:*/*spring*", "pkg:maven/org.springframework pkg:maven/spring@1", "pkg:maven/sprin npm/spring"},
		{"pkg:maven/*-core", "pkg:maven/a-core", "pkg:maven/a-core@1 pkg:maven/core"},
		{"a*a", "aa aba", "a ab"},
		{"pkg:npm/100%_", "pkg:npm/100%_", "pkg:npm/100xx"},
	} {
		p := product(tt.pattern)
		for _, term := range strings.Fields(tt.wanted) {
			require.True(t, p.wants([]byte(term)), "%s wants %s", tt.pattern, term)
			require.True(t, term >= p.first && (p.end == "" || term < p.end), "%s looks where %s is", tt.pattern, term)
		}
		for _, term := range strings.Fields(tt.notWanted) {
			require.False(t, p.wants([]byte(term)), "%s does not want %s", tt.pattern, term)
		}
	}
	require.True(t, exactly("npm").wants([]byte("npm")))
	require.False(t, exactly("npm").wants([]byte("npm2")))
}

// Whatever is wanted of blocks, in whatever order, is what is in them: also when
// records are moved together, and when a block is too large for a chunk.
func TestAShelfHoldsWhatIsWanted(t *testing.T) {
	all := evidence(400)
	blocks, places, err := packBlocks(7, all)
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(8, 15))
	for round := range 60 {
		var wanted []ledger.Place
		var want []*ledger.Observation
		for i, o := range all {
			for range []int{1, rng.IntN(2), rng.IntN(round + 1)}[round%3] % 3 {
				wanted, want = append(wanted, places[i]), append(want, o)
			}
		}
		rng.Shuffle(len(wanted), func(i, j int) {
			wanted[i], wanted[j] = wanted[j], wanted[i]
			want[i], want[j] = want[j], want[i]
		})
		s := takeShelf()
		s.sort(wanted)
		order := s.order
		for _, b := range blocks {
			n := 0
			for n < len(order) && wanted[order[n]].Block == b.number {
				n++
			}
			if n > 0 {
				require.NoError(t, s.take(b.stored, wanted, order[:n]))
				order = order[n:]
			}
		}
		require.Empty(t, order)
		at := 0
		require.NoError(t, s.each(wanted, func(line ledger.Line) error {
			require.Equal(t, want[at].UpstreamID, line.UpstreamID)
			require.True(t, bytes.Equal(want[at].Canonical, line.Canonical))
			at++
			return nil
		}))
		require.Equal(t, len(wanted), at)
		s.release()
	}
}
