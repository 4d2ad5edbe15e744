package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func took(wall, cpu time.Duration) measure {
	return measure{wall: wall, cpu: map[string]time.Duration{"worker": cpu / 2, "postgres": cpu / 2}, rss: 10e6}
}

func TestRowsKeepOrMissTheirLimits(t *testing.T) {
	second := time.Second
	for _, c := range []struct {
		row     row
		verdict string
		pass    bool
	}{
		{measuredRow("import", took(10*second, 0)).beside(&second), "<= 5x, aim 3: MISSED", false},
		{measuredRow("import", took(5*second, 0)).beside(&second), "<= 5x, aim 3: ok", true},
		{measuredRow("import", took(second, 0)).beside(nil), "<= 5x, aim 3: NOT MEASURED", false},
		{measuredRow("re-export, 0.1 % clustered", took(second, 10*second)).of(took(second, 100*second)), "<= 10 %, aim 5: ok", true},
		{measuredRow("re-export, 0.1 % clustered", took(second, 11*second)).of(took(second, 100*second)), "<= 10 %, aim 5: MISSED", false},
		{valueRow("history events", 300, "events"), "<= 300: ok", true},
		{valueRow("history events", 301, "events"), "<= 300: MISSED", false},
		{valueRow("worker memory, full runs", 257, "MiB"), "<= 256 MiB: MISSED", false},
	} {
		judged := c.row.judged()
		require.Equal(t, c.verdict, judged.verdict())
		require.Equal(t, c.pass, *judged.Pass)
		require.Equal(t, !c.pass, strings.Contains(strings.Join(missed([]row{judged}), ";"), judged.Row))
	}
	free := measuredRow("download", took(second, 0)).judged()
	require.Nil(t, free.Pass)
	require.Empty(t, free.verdict())
}

func TestLimitsThatWereNotMeasuredAreMissed(t *testing.T) {
	require.Len(t, missed(nil), len(limits)-len(apart), "mirrors are measured by themselves")
	for _, name := range apart {
		require.Contains(t, limits, name)
	}
}

func TestEveryLimitHasARow(t *testing.T) {
	// The names in limits are those that the program gives its rows.
	var source strings.Builder
	paths, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, path := range paths {
		if path != "limit.go" && !strings.HasSuffix(path, "_test.go") {
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			source.Write(raw)
		}
	}
	for name := range limits {
		require.Contains(t, source.String(), `"`+name+`"`)
	}
}

func TestTableAndJSON(t *testing.T) {
	floor := 2 * time.Millisecond
	b := &bench{docs: documents{count: 500_000, origin: "samples"}, lineBytes: 1}
	b.add(measuredRow("download, first byte", took(3*time.Millisecond, time.Second)).beside(&floor))
	b.add(measuredRow("import", took(3*time.Second, time.Second)).beside(nil))
	b.add(valueRow("history events", 47, "events"))
	b.note("a note")
	var out bytes.Buffer
	require.NoError(t, b.print(&out, "a machine"))
	text := out.String()
	for _, want := range []string{"0.00300", "0.00200", "1.50", "<= 3x: ok", "3.000", "NOT MEASURED", "47 events", "a note", "a machine"} {
		require.Contains(t, text, want)
	}
	_, perMillion, _ := strings.Cut(text, "cpu s per million documents")
	require.NotContains(t, perMillion, "download, first byte", "it has nothing to do with the number of documents")
	require.Contains(t, perMillion, "1.00", "half a second of half a million")

	path := filepath.Join(t.TempDir(), "build", "bench.json")
	require.NoError(t, writeJSON(path, b.rows))
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	var rows []map[string]any
	require.NoError(t, json.Unmarshal(raw, &rows))
	require.Len(t, rows, 3)
	require.Equal(t, 0.003, rows[0]["wall_s"])
	require.Equal(t, 1.5, rows[0]["ratio"])
	require.Equal(t, true, rows[0]["pass"])
	require.Nil(t, rows[1]["floor_wall_s"])
	require.Equal(t, false, rows[1]["pass"])
	require.Nil(t, rows[2]["wall_s"])
	require.EqualValues(t, 47, rows[2]["value"])
}

func TestMedians(t *testing.T) {
	require.Nil(t, median(nil))
	require.Equal(t, 2*time.Second, *median([]time.Duration{3 * time.Second, time.Second, 2 * time.Second}))
	runs := []exported{{id: "c", measure: took(3, 0)}, {id: "a", measure: took(1, 0)}, {id: "b", measure: took(2, 0)}}
	require.Equal(t, "b", middle(runs).id)
	require.Equal(t, "c", runs[0].id, "the order of the runs stays")
}
