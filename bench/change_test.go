package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/osv"
)

func TestClusteredPicksNeighbours(t *testing.T) {
	for _, n := range []int{1, 10, 100} {
		places := clustered(100, n, 3)
		require.Len(t, places, n)
		for i, place := range places {
			require.Equal(t, places[0]+int64(i), place)
			require.True(t, 1 <= place && place <= 100, "place %d", place)
		}
	}
}

func TestScatteredPicksEvenlyAndAlwaysTheSame(t *testing.T) {
	places := scattered(100_000, 1000, 2)
	require.Equal(t, places, scattered(100_000, 1000, 2))
	require.NotEqual(t, places, scattered(100_000, 1000, 4))
	sorted := slices.Sorted(slices.Values(places))
	require.Len(t, slices.Compact(slices.Clone(sorted)), 1000, "each once")
	tenths := make([]int, 10)
	for _, place := range sorted {
		tenths[(place-1)/10_000]++
	}
	for i, n := range tenths {
		require.InDelta(t, 100, n, 40, "tenth %d", i)
	}
}

func TestAtLeastOneDocumentChanges(t *testing.T) {
	require.Equal(t, 1, change{permille: 1}.documents(300))
	require.Equal(t, 100, change{permille: 1}.documents(100_000))
	require.Equal(t, 1000, change{permille: 10}.documents(100_000))
}

func TestReviseChangesTimeAndOneText(t *testing.T) {
	c := change{number: 3}
	for name, docs := range map[string][2]string{
		"details":  {`{"details":"Old.","id":"A","modified":"2026-01-02T03:04:05Z","summary":"S"}`, `{"details":"Old. Revised for change 3 of the benchmark.","id":"A","modified":"2099-01-03T00:00:00Z","summary":"S"}`},
		"summary":  {`{"id":"A", "modified" : "2026-01-02T03:04:05Z","summary":"S"}`, `{"id":"A", "modified" : "2099-01-03T00:00:00Z","summary":"S Revised for change 3 of the benchmark."}`},
		"no text":  {`{"id":"A","modified":"2026-01-02T03:04:05Z"}`, `{"details":"Revised for change 3 of the benchmark.","id":"A","modified":"2099-01-03T00:00:00Z"}`},
		"inner":    {`{"affected":[{"modified":"x","details":"y"}],"details":"D","modified":"z"}`, `{"affected":[{"modified":"x","details":"y"}],"details":"D Revised for change 3 of the benchmark.","modified":"2099-01-03T00:00:00Z"}`},
		"no words": {`{"details":null,"modified":"z","summary":"S"}`, `{"details":null,"modified":"2099-01-03T00:00:00Z","summary":"S Revised for change 3 of the benchmark."}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.revise([]byte(docs[0]))
			require.NoError(t, err)
			require.Equal(t, docs[1], string(got))
		})
	}
	for _, bad := range []string{"", "[]", `{"id":"A"}`, `{"id":`, `{"id":"A","modified"`} {
		_, err := c.revise([]byte(bad))
		require.Error(t, err, bad)
	}
}

func TestRevisionsOvertakeTheirOriginals(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(sampleDir, "*.json"))
	require.NoError(t, err)
	originals, err := readSamples(paths)
	require.NoError(t, err)
	require.NotEmpty(t, originals)
	for _, o := range originals {
		before := parse(t, o.line)
		for _, c := range changes {
			revised, err := c.revise(o.line)
			require.NoError(t, err)
			after := parse(t, revised)
			require.Equal(t, before.UpstreamID, after.UpstreamID)
			require.Equal(t, before.Subject, after.Subject)
			require.Greater(t, after.Modified, before.Modified)
			require.Contains(t, string(after.Canonical), c.marker())
			before.Modified = after.Modified // a later change overtakes an earlier one
		}
	}
}

func parse(t *testing.T, line []byte) ledger.Observation {
	t.Helper()
	read, err := osv.Parse(ledger.Entry{Bytes: line})
	require.NoError(t, err)
	return read
}

func line(id, stream, text string) string {
	raw, _ := json.Marshal(map[string]any{"source": "osv", "stream": stream, "upstreamId": id,
		"content": map[string]any{"raw": map[string]string{"id": id, "modified": "2026-01-01T00:00:00Z", "details": text}}})
	return string(raw)
}

func TestWriteRevisions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "change.jsonl")
	made, err := writeRevisions(path, []string{line("A", "s", "a"), line("B", "s", "b")}, change{number: 1})
	require.NoError(t, err)
	require.Equal(t, revisions{source: "osv", stream: "s", ids: map[string]bool{"A": true, "B": true}}, made)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, `{"details":"a Revised for change 1 of the benchmark.","id":"A","modified":"2099-01-01T00:00:00Z"}`+"\n"+
		`{"details":"b Revised for change 1 of the benchmark.","id":"B","modified":"2099-01-01T00:00:00Z"}`+"\n", string(raw))
	for name, lines := range map[string][]string{
		"another stream": {line("A", "s", ""), line("B", "t", "")},
		"twice":          {line("A", "s", ""), line("A", "s", "")},
		"no line":        {"x"},
		"no document":    {`{"upstreamId":"A"}`},
	} {
		_, err := writeRevisions(path, lines, change{number: 1})
		require.Error(t, err, name)
	}
}

// lines is a lineReader.
type lines struct {
	all []string
	at  int
	err error
}

func (l *lines) Next() bool   { l.at++; return l.at <= len(l.all) }
func (l *lines) Line() string { return l.all[l.at-1] }
func (l *lines) Err() error   { return l.err }

func TestCheckLines(t *testing.T) {
	const marker = "Revised."
	a, b, plain := line("A", "s", marker), line("B", "s", marker), line("C", "s", "")
	both := map[string]bool{"A": true, "B": true}
	check := func(changed map[string]bool, all ...string) error {
		return checkLines(&lines{all: all}, 3, changed, marker)
	}
	require.NoError(t, check(both, a, plain, b))
	require.NoError(t, checkLines(&lines{all: []string{a, b, plain}}, 3, nil, ""))
	require.ErrorContains(t, check(both, a, b), "2 documents, not 3")
	require.ErrorContains(t, check(both, a, b, plain, plain), "4 documents, not 3")
	require.ErrorContains(t, check(both, a, plain, plain), "1 of 2 changed")
	require.ErrorContains(t, check(both, a, a, b), "A was not to be changed, or is there twice")
	require.ErrorContains(t, check(map[string]bool{"A": true}, a, b, plain), "B was not to be changed")
	require.ErrorContains(t, checkLines(&lines{err: errors.New("torn")}, 0, nil, ""), "torn")
	require.Error(t, check(both, marker, b, plain))
}
