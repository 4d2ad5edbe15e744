package delta_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters/adaptertest"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/delta"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// lineOf is the line of a document as json:raw writes it.
func lineOf(t testing.TB, doc ledger.Line) string {
	t.Helper()
	packer, err := jsonraw.Adapter{}.Packer(export.Options{})
	require.NoError(t, err)
	var out strings.Builder
	_, err = packer.Write(lineWriter{&out}, doc)
	require.NoError(t, err)
	return strings.TrimSuffix(out.String(), "\n")
}

type lineWriter struct{ *strings.Builder }

func (w lineWriter) WriteLine(parts ...[]byte) error {
	for _, p := range parts {
		w.Write(p)
	}
	return w.WriteByte('\n')
}

// A line says of itself what the ledger says of the document: whoever receives a
// delta cuts shards as whoever planned them did.
func TestALineTellsItsDocument(t *testing.T) {
	docs := adaptertest.Lines(t, adaptertest.Sample(t)...)
	docs = append(docs, ledger.Line{Row: ledger.Row{Kind: "vex", UpstreamID: `"\u0041\`, Source: "é", Digest: bundle.DigestOf(nil)}, Canonical: []byte(`{"a":"}\"","kind":"x"}`)})
	for _, doc := range docs {
		line := delta.Line{Text: []byte(lineOf(t, doc))}
		key, err := line.Key()
		require.NoError(t, err)
		require.Equal(t, doc.Key(), key.String())
		size, err := line.Size()
		require.NoError(t, err)
		require.EqualValues(t, len(doc.Canonical), size)
		original, err := line.Original()
		require.NoError(t, err)
		require.Equal(t, doc.Digest, original)
	}
}

func TestOtherLinesAreRefused(t *testing.T) {
	good := world{"a": 1}.lines()[0]
	for name, bad := range map[string]string{
		"empty":           "",
		"another start":   strings.Replace(good, `{"content"`, `{ "content"`, 1),
		"cut":             good[:len(good)-10],
		"no evidence":     strings.Replace(good, `"raw":{"v":1}`, `"raw":1`, 1),
		"no digest":       strings.Replace(good, `"digest"`, `"Digest"`, 1),
		"no kind":         strings.Replace(good, `"kind":"vex"`, `"Kind":"vex"`, 1),
		"no id":           strings.Replace(good, `"upstreamId":"a"`, `"upstreamId":""`, 1),
		"a control":       strings.Replace(good, `"stream":"s"`, `"stream":"\u0009"`, 1),
		"kind is no text": strings.Replace(good, `"kind":"vex"`, `"kind":1`, 1),
	} {
		require.NotEqual(t, good, bad, name)
		line := delta.Line{Text: []byte(bad)}
		_, err := line.Key()
		require.ErrorIs(t, err, delta.ErrLine, name)
		_, err = line.Original()
		require.ErrorIs(t, err, delta.ErrLine, name)
	}
}

// world is documents: id to version.
type world map[string]int

// lines are its lines in the order of keys.
func (w world) lines() (lines []string) {
	for _, id := range slices.Sorted(maps.Keys(w)) {
		lines = append(lines, fmt.Sprintf(`{"content":{"raw":{"v":%d}},"format":"f","kind":"vex","linkset":{"aliases":[],"ecosystems":[],"products":[]},"original":{"bytes":1,"digest":"%s"},"source":"s","stream":"s","upstreamId":"%s"}`,
			w[id], bundle.DigestOf(fmt.Appendf(nil, "%s %d", id, w[id])), id))
	}
	return lines
}

// files spreads lines over some files.
func files(chance *rand.Rand, lines []string) *delta.Files {
	var parts []string
	var part strings.Builder
	for _, line := range lines {
		part.WriteString(line + "\n")
		if chance.IntN(3) == 0 {
			parts = append(parts, part.String())
			part.Reset()
		}
	}
	parts = append(parts, part.String()) // an empty one harms nobody
	return delta.NewFiles(func(i int) string { return fmt.Sprint("file ", i) }, func(i int) (io.ReadCloser, error) {
		if i >= len(parts) {
			return nil, io.EOF
		}
		return io.NopCloser(strings.NewReader(parts[i])), nil
	})
}

// Of any two worlds, the second is the first with what Compare tells applied.
func TestTheSecondWorldIsTheFirstAndWhatChanged(t *testing.T) {
	for seed := range uint64(300) {
		chance := rand.New(rand.NewPCG(seed, 7))
		base, target := world{}, world{}
		for range chance.IntN(12) {
			id := fmt.Sprintf("%c%d", 'a'+rune(chance.IntN(3)), chance.IntN(9))
			if chance.IntN(4) > 0 {
				base[id] = chance.IntN(2)
			}
			if chance.IntN(4) > 0 {
				target[id] = base[id] + chance.IntN(2)
			}
		}
		var changed, removed []string
		counts := map[string]int{}
		err := delta.Compare(delta.NewDocuments(files(chance, base.lines())), delta.NewDocuments(files(chance, target.lines())), func(before, after *delta.Line) error {
			if after != nil {
				changed = append(changed, string(after.Text))
				counts[fmt.Sprint("changed ", before != nil)]++
				return nil
			}
			tombstone, err := delta.NewTombstone(before)
			require.NoError(t, err)
			line, err := tombstone.Encode()
			require.NoError(t, err)
			removed = append(removed, string(line))
			return nil
		})
		require.NoError(t, err)
		added, differ := 0, 0
		for id, version := range target {
			if was, there := base[id]; !there {
				added++
			} else if was != version {
				differ++
			}
		}
		require.Equal(t, added, counts["changed false"])
		require.Equal(t, differ, counts["changed true"])
		require.Len(t, removed, len(base)+added-len(target))

		var got []string
		err = delta.Apply(delta.NewDocuments(files(chance, base.lines())), delta.NewDocuments(files(chance, changed)), delta.NewRemovals(files(chance, removed)),
			func(line *delta.Line) error { got = append(got, string(line.Text)); return nil })
		require.NoError(t, err)
		require.Equal(t, target.lines(), got, "seed %d", seed)
	}
}

func TestWhatDoesNotFitTheBase(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 1))
	tombstone := func(id string, version int) string {
		line := delta.Line{Text: []byte(world{id: version}.lines()[0])}
		stone, err := delta.NewTombstone(&line)
		require.NoError(t, err)
		text, err := stone.Encode()
		require.NoError(t, err)
		return string(text)
	}
	base := world{"a": 1, "b": 1, "c": 1}.lines()
	for name, c := range map[string]struct {
		base, changed, removed []string
		want                   error
	}{
		"removes what is not there":       {base, nil, []string{tombstone("aa", 1)}, delta.ErrOtherBase},
		"removes what is not there, last": {base, nil, []string{tombstone("z", 1)}, delta.ErrOtherBase},
		"removes another revision":        {base, nil, []string{tombstone("b", 2)}, delta.ErrOtherBase},
		"removes twice":                   {base, nil, []string{tombstone("b", 1), tombstone("b", 1)}, delta.ErrLine},
		"removes out of order":            {base, nil, []string{tombstone("b", 1), tombstone("a", 1)}, delta.ErrLine},
		"removes and changes":             {base, world{"b": 2}.lines(), []string{tombstone("b", 1)}, delta.ErrLine},
		"changes out of order":            {base, []string{base[1], base[0]}, nil, delta.ErrLine},
		"changes twice":                   {base, []string{base[1], base[1]}, nil, delta.ErrLine},
		"base out of order":               {[]string{base[1], base[0]}, nil, nil, delta.ErrLine},
		"no line":                         {base, []string{"{}"}, nil, delta.ErrLine},
		"no tombstone":                    {base, nil, []string{"{}"}, delta.ErrLine},
	} {
		err := delta.Apply(delta.NewDocuments(files(chance, c.base)), delta.NewDocuments(files(chance, c.changed)), delta.NewRemovals(files(chance, c.removed)),
			func(*delta.Line) error { return nil })
		require.ErrorIs(t, err, c.want, name)
	}
}

func TestResultsAreReadInTheirOneForm(t *testing.T) {
	line, err := delta.Result{Path: "manifests/export.json", Content: []byte("a\nb")}.Encode()
	require.NoError(t, err)
	require.Equal(t, `{"content":"YQpi","path":"manifests/export.json"}`, string(line))
	again, err := delta.ParseResult(line)
	require.NoError(t, err)
	require.Equal(t, "a\nb", string(again.Content))
	empty, err := delta.Result{Path: "a"}.Encode()
	require.NoError(t, err)
	_, err = delta.ParseResult(empty)
	require.NoError(t, err)
	for _, bad := range []string{`{"content":"YQpi","path":"../a"}`, `{"content":null,"path":"a"}`, `{"content":"YQp","path":"a"}`, `{"path":"a"}`, `{"content":"YQ\n==","path":"a"}`, `{"content":"YR==","path":"a"}`, `{"path":"a","content":""}`, ``} {
		_, err := delta.ParseResult([]byte(bad))
		require.ErrorIs(t, err, delta.ErrLine, bad)
	}
}

func FuzzParseTombstone(f *testing.F) {
	f.Add([]byte(`{"kind":"vex","lastDigest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","source":"s","stream":"","subject":"","upstreamId":"u"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		stone, err := delta.ParseTombstone(line)
		if err != nil {
			return
		}
		again, err := stone.Encode()
		require.NoError(t, err)
		require.Equal(t, string(line), string(again))
		require.Equal(t, 4, strings.Count(stone.Key.String(), "\n"))
	})
}

func FuzzParseResult(f *testing.F) {
	f.Add([]byte(`{"content":"YQpi","path":"manifests/export.json"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		result, err := delta.ParseResult(line)
		if err != nil {
			return
		}
		again, err := result.Encode()
		require.NoError(t, err)
		require.Equal(t, string(line), string(again))
		require.NoError(t, bundle.CheckPath(result.Path))
	})
}

// FuzzLine: a line of whatever bytes is refused or has a key that sorts like its members.
func FuzzLine(f *testing.F) {
	f.Add([]byte(world{"a": 1}.lines()[0]))
	f.Fuzz(func(t *testing.T, text []byte) {
		line := delta.Line{Text: bytes.Clone(text)}
		key, err := line.Key()
		if err != nil {
			require.ErrorIs(t, err, delta.ErrLine)
			return
		}
		size, err := line.Size()
		require.NoError(t, err)
		require.True(t, size >= 2 && size < int64(len(text)))
		require.Equal(t, 4, strings.Count(key.String(), "\n"))
	})
}
