package mirrorfull_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/adaptertest"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/adapters/mirrorfull"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/policy"
)

func work(t testing.TB, entries []adaptertest.Entry) adaptertest.Work {
	t.Helper()
	return adaptertest.Work{Adapter: mirrorfull.Adapter{}, Packs: jsonraw.Adapter{}, Documents: adaptertest.Lines(t, entries...),
		Originals: adaptertest.Originals(entries...), Policy: baseline(t)}
}

func baseline(t testing.TB) adapters.Policy {
	t.Helper()
	raw, err := policy.Baseline()
	require.NoError(t, err)
	pack, err := policy.ReadPack(raw)
	require.NoError(t, err)
	return adapters.Policy{ID: policy.BaselineID, Name: policy.BaselineName, Version: pack.Revision, Digest: pack.Digest, Pack: raw}
}

// sample are advisories, not all of them canonical, two of them the same bytes.
func sample(t testing.TB) []adaptertest.Entry {
	t.Helper()
	entries := adaptertest.Sample(t)
	twin := entries[0]
	twin.Stream = "again"
	return append(entries, twin)
}

func subject(t *testing.T) adaptertest.Subject {
	t.Helper()
	return adaptertest.Subject{Work: work(t, sample(t)), Read: readFiles, Refused: map[string]export.Options{
		"a mirror holds whole evidence": {Redaction: &export.Redaction{PolicyID: "p", Allow: map[string][]string{"advisory": {"*"}}}},
	}}
}

func TestAdapterSuite(t *testing.T) { adaptertest.Run(t, subject(t)) }

// TestEveryBitCounts flips bits of a signed mirror.
func TestEveryBitCounts(t *testing.T) { adaptertest.Flips(t, subject(t)) }

// readFiles counts with the standard library's readers.
func readFiles(t *testing.T, r adaptertest.Result) map[string]int64 {
	found := map[string]int64{}
	for _, f := range r.Payload {
		switch {
		case strings.HasSuffix(f.Path, ".zst"):
			content, err := bundle.OpenPayload(bytes.NewReader(f.Stored))
			require.NoError(t, err)
			for lines := json.NewDecoder(content); lines.More(); found[f.Path]++ {
				var line map[string]any
				require.NoError(t, lines.Decode(&line))
			}
		case strings.HasSuffix(f.Path, ".index.json"):
			var index struct {
				Shards []struct{ Path string }
			}
			require.NoError(t, json.Unmarshal(f.Stored, &index))
			found[f.Path] = int64(len(index.Shards))
		}
	}
	return found
}

// TestOriginalsAreThoseThatWereImported holds the tree against the bytes that came in.
func TestOriginalsAreThoseThatWereImported(t *testing.T) {
	entries := sample(t)
	r, err := work(t, entries).Do(t, t.Context())
	require.NoError(t, err)
	want := map[string][]byte{}
	for _, e := range entries {
		want[bundle.OriginalPath("advisory", bundle.DigestOf(e.Text))] = e.Text
	}
	require.Equal(t, want, originals(t, r))
}

// originals are the entries of all segments.
func originals(t testing.TB, r adaptertest.Result) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	for _, f := range segments(r) {
		first := ""
		require.NoError(t, bundle.EachEntry(bytes.NewReader(f.Stored), func(path string, _ int64, content io.Reader) error {
			first = min(path, or(first, path))
			require.NotContains(t, found, path)
			text, err := io.ReadAll(content)
			found[path] = text
			return err
		}))
		require.Equal(t, f.Path, first)
	}
	return found
}

func or(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

func segments(r adaptertest.Result) (found []adaptertest.File) {
	for _, f := range r.Payload {
		if bundle.IsOriginal(f.Path) {
			found = append(found, f)
		}
	}
	slices.SortFunc(found, func(a, b adaptertest.File) int { return strings.Compare(a.Path, b.Path) })
	return found
}

// prior is a result as the next mirror finds it.
func prior(r adaptertest.Result) *adapters.Prior {
	p := &adapters.Prior{}
	for _, f := range segments(r) {
		p.Segments = append(p.Segments, adapters.Segment{Path: f.Path, Count: f.Info.Records, Content: f.Info.ContentSize, Digest: f.Info.Digest, Size: f.Info.Size,
			Open: func(context.Context) (bundle.Source, error) { return memory{bytes.NewReader(f.Stored)}, nil }})
	}
	for _, f := range r.Payload {
		if bundle.IsOriginalsIndex(f.Path) {
			p.Lists = append(p.Lists, adapters.MirrorFile{Content: bundle.NewContent(f.Path, f.Info),
				Open: func(context.Context) (io.ReadCloser, error) { return bundle.OpenPayload(bytes.NewReader(f.Stored)) }})
		}
	}
	return p
}

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// TestTheMirrorBeforeSavesWorkAndChangesNothing changes random worlds: what is built is
// the same with and without the mirror before, and with it the ledger is asked only for
// what is new.
func TestTheMirrorBeforeSavesWorkAndChangesNothing(t *testing.T) {
	chance := rand.New(rand.NewPCG(7, 11))
	for range 12 {
		world := map[int]adaptertest.Entry{}
		for range 40 + chance.IntN(60) {
			change(world, chance)
		}
		before, err := work(t, entries(world)).Do(t, t.Context())
		require.NoError(t, err)
		had := originals(t, before)
		for range chance.IntN(12) {
			change(world, chance)
		}
		fresh := work(t, entries(world))
		want, err := fresh.Do(t, t.Context())
		require.NoError(t, err)

		again := fresh
		again.Prior = prior(before)
		asked := map[bundle.Digest][]byte{}
		for digest, text := range fresh.Originals {
			if _, there := had[bundle.OriginalPath("advisory", digest)]; !there {
				asked[digest] = text
			}
		}
		again.Originals = asked // what is not new cannot be had
		have, err := again.Do(t, t.Context())
		require.NoError(t, err)
		require.Equal(t, originals(t, want), originals(t, have))
		require.Equal(t, describe(want), describe(have))
	}
}

// describe are the files of a result in the order of their paths: segments come in
// another order when some are taken over.
func describe(r adaptertest.Result) (all []string) {
	for _, f := range r.Payload {
		all = append(all, fmt.Sprint(f.Path, f.Info))
	}
	slices.Sort(all)
	return all
}

// change adds, changes or removes a document. Some are large, so that segments are cut.
func change(world map[int]adaptertest.Entry, chance *rand.Rand) {
	n := chance.IntN(120)
	if chance.IntN(4) == 0 {
		delete(world, n)
		return
	}
	text := fmt.Sprintf(`{"id":"GO-2026-%04d","modified":"2026-01-%02dT00:00:00Z","summary":"%s"}`, n, 1+chance.IntN(28),
		strings.Repeat("x", chance.IntN(4)*chance.IntN(120_000)))
	world[n] = adaptertest.Entry{Stream: "go", Text: []byte(text)}
}

func entries(world map[int]adaptertest.Entry) (all []adaptertest.Entry) {
	for _, e := range world {
		all = append(all, e)
	}
	return all
}

// TestAMirrorBeforeThatIsDamagedIsFound: nothing wrong gets into a segment.
func TestAMirrorBeforeThatIsDamagedIsFound(t *testing.T) {
	all := sample(t)
	before, err := work(t, all).Do(t, t.Context())
	require.NoError(t, err)
	w := work(t, all[:len(all)-2])
	w.Prior = prior(before)
	for i := range w.Prior.Segments {
		w.Prior.Segments[i].Open = func(context.Context) (bundle.Source, error) {
			return memory{bytes.NewReader(make([]byte, w.Prior.Segments[i].Size))}, nil
		}
	}
	_, err = w.Do(t, t.Context())
	require.ErrorContains(t, err, "has the digest")
	lost := errors.New("it is lost")
	w.Prior.Lists[0].Open = func(context.Context) (io.ReadCloser, error) { return nil, lost }
	_, err = w.Do(t, t.Context())
	require.NoError(t, err, "without its lists the ledger gives all")
}
