package mirror_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/mirror"
	"github.com/stella-ops/exportcenter/mirror/mirrortest"
)

// trust is in whoever makes the mirrors of tests.
func trust(t testing.TB) mirror.Options {
	t.Helper()
	return mirror.Options{Trust: verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))}}
}

// written puts a bundle into a file.
func written(t testing.TB, name string, m mirrortest.Mirror) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, m.Archive, 0o600))
	return path
}

// requireHolds wants dir to hold exactly the archive of m, and nothing that a command left.
func requireHolds(t testing.TB, dir string, m mirrortest.Mirror) {
	t.Helper()
	want := map[string]string{}
	for _, e := range m.Entries {
		want[e.Path] = string(e.Data)
	}
	tree := filepath.Join(dir, "current", "tree")
	require.Equal(t, want, filesOf(t, tree))
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	var found []string
	for _, n := range names {
		found = append(found, n.Name())
	}
	require.Equal(t, []string{"current", "generations", "lock"}, found, "something was left")
	generations, err := os.ReadDir(filepath.Join(dir, "generations"))
	require.NoError(t, err)
	require.Len(t, generations, 1)
}

// filesOf are the files below dir, by their paths.
func filesOf(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	dir, err := filepath.EvalSymlinks(dir)
	require.NoError(t, err)
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(name)] = string(content)
		return err
	}))
	return files
}

// world is documents that change at random.
type world struct {
	chance    *rand.Rand
	documents map[string]mirrortest.Document
}

var kinds = []ledger.Kind{ledger.KindAdvisory, ledger.KindVEX, ledger.KindSBOM}

// change makes some of what happens to documents happen.
func (w *world) change() {
	for range 1 + w.chance.IntN(6) {
		name := fmt.Sprintf("%c%02d", 'a'+rune(w.chance.IntN(3)), w.chance.IntN(25))
		switch w.chance.IntN(12) {
		case 0: // a whole kind goes, or all do
			kind := kinds[w.chance.IntN(len(kinds))]
			all := w.chance.IntN(3) == 0
			maps.DeleteFunc(w.documents, func(_ string, d mirrortest.Document) bool { return all || d.Kind == kind })
		case 1, 2:
			delete(w.documents, name)
		case 3: // what a document is about changes, and so its place
			if d, there := w.documents[name]; there {
				d.Subject = fmt.Sprint("pkg:npm/", w.chance.IntN(40))
				w.documents[name] = d
			}
		case 4: // the first of its kind, or not any more
			w.documents["0"+name] = mirrortest.Document{Kind: kinds[w.chance.IntN(len(kinds))], ID: "0" + name, Original: w.text(name)}
		case 5: // two documents of one original
			kind := kinds[w.chance.IntN(len(kinds))]
			for _, id := range []string{name, name + "x"} {
				w.documents[id] = mirrortest.Document{Kind: kind, ID: id, Subject: "pkg:npm/" + id, Original: "the same"}
			}
		default:
			kind := kinds[len(name+fmt.Sprint(name[0]))%len(kinds)]
			if d, there := w.documents[name]; there {
				kind = d.Kind
			}
			w.documents[name] = mirrortest.Document{Kind: kind, ID: name, Subject: "pkg:npm/" + name, Original: w.text(name)}
		}
	}
}

// text is a document's, mostly small; some are a shard of their own.
func (w *world) text(of string) string {
	size := w.chance.IntN(600)
	if w.chance.IntN(9) == 0 {
		size = 4000
	}
	return of + strings.Repeat("x", size) + fmt.Sprint(w.chance.IntN(1000))
}

func (w *world) full(t testing.TB, m mirrortest.Maker, generation int64) mirrortest.Mirror {
	t.Helper()
	return m.Full(t, generation, slices.Collect(maps.Values(w.documents))...)
}

// chains is how many chains of mirrors are tried.
const chains = 200

// TestDeltasLeadExactlyToTheNextMirror: full(n) is full(0) with delta(1..n) applied,
// byte for byte, one by one, all in one command, and by one delta over all of them.
func TestDeltasLeadExactlyToTheNextMirror(t *testing.T) {
	t.Parallel()
	for seed := range uint64(chains) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			m := mirrortest.Maker{Signer: bundletest.Key(t, 1)}
			w := &world{rand.New(rand.NewPCG(seed, 1)), map[string]mirrortest.Document{}}
			for range w.chance.IntN(12) {
				w.change()
			}
			fulls := []mirrortest.Mirror{w.full(t, m, 1)}
			var deltas []string
			for i := range 1 + w.chance.IntN(3) {
				w.change()
				fulls = append(fulls, w.full(t, m, int64(i+1)*3))
				deltas = append(deltas, written(t, fmt.Sprintf("%d.tar", i), m.Delta(t, fulls[i], fulls[i+1])))
			}
			last := fulls[len(fulls)-1]
			first := written(t, "full.tar", fulls[0])
			ways := []func(dir string){
				func(dir string) { // one by one
					for i, d := range deltas {
						_, err := mirror.Apply(t.Context(), dir, []string{d}, trust(t))
						require.NoError(t, err)
						requireHolds(t, dir, fulls[i+1])
					}
				},
				func(dir string) { // all at once
					outcome, err := mirror.Apply(t.Context(), dir, deltas, trust(t))
					require.NoError(t, err)
					require.Len(t, outcome.Done, len(deltas))
				},
				func(dir string) { // over all of them
					_, err := mirror.Apply(t.Context(), dir, []string{written(t, "over.tar", m.Delta(t, fulls[0], last))}, trust(t))
					require.NoError(t, err)
				},
			}
			dir := filepath.Join(t.TempDir(), "mirror")
			_, err := mirror.Init(t.Context(), dir, first, trust(t))
			require.NoError(t, err)
			requireHolds(t, dir, fulls[0])
			ways[seed%3](dir)
			requireHolds(t, dir, last)
			status, err := mirror.Look(t.Context(), dir, true, trust(t))
			require.NoError(t, err)
			require.Equal(t, last.End.ArchiveDigest.String(), status.ArchiveDigest)
		})
	}
}
