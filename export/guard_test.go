package export

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var asked = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// ghsa is one source with these counts.
func ghsa(documents, records int64, newest string) []SourceCount {
	if newest != "" {
		newest += "T00:00:00.000000000Z"
	}
	return []SourceCount{{Source: "ghsa", Stream: "npm", Kind: "advisory", Documents: documents, Records: records, Newest: newest}}
}

func percent(n int) *int { return &n }

// Each line is a sentence of docs/guard.md.
func TestWhatParksARun(t *testing.T) {
	none := (*GuardConfig)(nil)
	for _, test := range []struct {
		what        string
		config      *GuardConfig
		before, now []SourceCount
		says        []string // behind the name of the source
	}{
		{"the first run has nothing to be held against", none, nil, ghsa(5, 5, "2026-03-09"), nil},
		{"nothing changed", none, ghsa(5, 5, "2026-03-09"), ghsa(5, 5, "2026-03-09"), nil},
		{"more is fine", none, ghsa(5, 5, "2026-03-08"), ghsa(500, 600, "2026-03-09"), nil},
		{"a new source is fine", none, nil, ghsa(1, 0, ""), nil},
		{"a source that gave nothing may go", none, ghsa(0, 0, ""), nil, nil},
		{"a source is gone", none, ghsa(7, 9, "2026-03-09"), nil, []string{"source-vanished has vanished: it gave 7 documents in the last run and gives none"}},
		{"a source gives no document", none, ghsa(7, 9, "2026-03-09"), ghsa(0, 0, ""), []string{"source-vanished has vanished: it gave 7 documents in the last run and gives none"}},
		{"all documents are withdrawn", none, ghsa(7, 9, "2026-03-08"), ghsa(7, 0, "2026-03-09"), []string{"source-vanished is emptied: its documents gave 9 records in the last run and give none"}},
		{"documents that never gave records", none, ghsa(7, 0, ""), ghsa(7, 0, ""), nil},
		{"exactly 10 % fewer documents", none, ghsa(1000, 0, ""), ghsa(900, 0, ""), nil},
		{"a document below", none, ghsa(1000, 0, ""), ghsa(899, 0, ""), []string{"source-dropped gives 899 documents, 1000 in the last run: more than 10 % are missing"}},
		{"30 % fewer records", none, ghsa(10, 100, ""), ghsa(10, 70, ""), []string{"source-dropped gives 70 records, 100 in the last run: more than 10 % are missing"}},
		{"both", none, ghsa(10, 100, ""), ghsa(7, 70, ""), []string{"source-dropped gives 7 documents", "source-dropped gives 70 records"}},
		{"one of few is more than 10 %", none, ghsa(9, 9, ""), ghsa(8, 9, ""), []string{"source-dropped gives 8 documents"}},
		{"a bound of its own", &GuardConfig{MaxDropPercent: percent(50)}, ghsa(10, 10, ""), ghsa(5, 5, ""), nil},
		{"a bound of its own, and below", &GuardConfig{MaxDropPercent: percent(50)}, ghsa(10, 10, ""), ghsa(4, 5, ""), []string{"more than 50 %"}},
		{"no loss at all", &GuardConfig{MaxDropPercent: percent(0)}, ghsa(1_000_000, 5, ""), ghsa(999_999, 5, ""), []string{"more than 0 % are missing"}},
		{"any loss but everything", &GuardConfig{MaxDropPercent: percent(100)}, ghsa(1_000_000, 5, ""), ghsa(1, 1, ""), nil},
		{"but everything", &GuardConfig{MaxDropPercent: percent(100)}, ghsa(1_000_000, 5, ""), nil, []string{"has vanished"}},
		{"the largest counts", none, ghsa(1<<53-1, 0, ""), ghsa(1<<53-1-(1<<53)/10-1, 0, ""), []string{"more than 10 % are missing"}},
		{"back in time", none, ghsa(5, 5, "2026-03-09"), ghsa(5, 5, "2026-03-08"), []string{"source-older went back in time: its newest document is of 2026-03-08T00:00:00.000000000Z, and was of 2026-03-09T00:00:00.000000000Z in the last run"}},
		{"no time any more", none, ghsa(5, 5, "2026-03-09"), ghsa(5, 5, ""), []string{"its newest document is of no known time"}},
		{"nobody asks how old", none, nil, ghsa(5, 5, "1999-01-01"), nil},
		{"exactly as old as it may be", &GuardConfig{MaxAgeHours: 36}, nil, ghsa(5, 5, "2026-03-09"), nil},
		{"an hour too old", &GuardConfig{MaxAgeHours: 35}, nil, ghsa(5, 5, "2026-03-09"), []string{"source-stale is stale: its newest document is of 2026-03-09T00:00:00.000000000Z, and at most 35 hours are allowed"}},
		{"nobody knows how old", &GuardConfig{MaxAgeHours: 35}, nil, ghsa(5, 5, ""), []string{"source-stale is stale: its newest document is of no known time"}},
		{"nothing is not old", &GuardConfig{MaxAgeHours: 35}, nil, ghsa(0, 0, ""), nil},
	} {
		t.Run(test.what, func(t *testing.T) {
			_, reasons := test.config.Compare(test.before, test.now, asked)
			require.Len(t, reasons, len(test.says), "%v", reasons)
			for i, r := range reasons {
				require.Equal(t, []string{"ghsa", "npm", "advisory"}, []string{r.Source, r.Stream, r.Kind})
				require.True(t, strings.HasPrefix(r.Message, "source ghsa, stream npm (advisory) "), r.Message)
				require.Contains(t, string(r.Rule)+strings.TrimPrefix(r.Message, "source ghsa, stream npm (advisory)"), test.says[i])
			}
		})
	}
}

// Sources are told apart by all three names, and their order is the names', not that in
// which they came.
func TestSourcesAreHeldAgainstTheirOwn(t *testing.T) {
	var before, now []SourceCount
	for _, source := range []string{"a", "b"} {
		for _, stream := range []string{"", "s"} {
			for _, kind := range []string{"advisory", "vex"} {
				before = append(before, SourceCount{Source: source, Stream: stream, Kind: kind, Documents: 3})
				now = append(now, SourceCount{Source: source, Stream: stream, Kind: kind, Documents: 3})
			}
		}
	}
	now[5].Documents = 0 // b, "", vex
	var config *GuardConfig
	want, reasons := config.Compare(before, now, asked)
	require.Len(t, reasons, 1)
	require.Equal(t, "source b (vex) has vanished: it gave 3 documents in the last run and gives none", reasons[0].Message)
	for range 20 {
		rand.Shuffle(len(before), func(i, j int) { before[i], before[j] = before[j], before[i] })
		rand.Shuffle(len(now), func(i, j int) { now[i], now[j] = now[j], now[i] })
		got, again := config.Compare(before, now, asked)
		require.Equal(t, want, got)
		require.Equal(t, reasons, again)
	}
}

func TestAReport(t *testing.T) {
	config := &GuardConfig{Canaries: []string{"CVE-1", "CVE-2"}}
	canaries := []GuardCanary{{ID: "CVE-1", Found: true}, {ID: "CVE-2"}}
	r := config.NewGuardReport(nil, nil, ghsa(1, 1, ""), asked, canaries, Disappeared{})
	require.True(t, r.Parks())
	require.Equal(t, "canary CVE-2 is not found: no record has it as its id or alias", r.Why())
	require.Equal(t, []GuardReason{{Rule: RuleCanary, Canary: "CVE-2", Message: r.Why()}}, r.Reasons)
	r = config.NewGuardReport(nil, nil, nil, asked, canaries[:1], Disappeared{Total: 4})
	require.False(t, r.Parks(), "what disappeared is told, and is no reason by itself")
	require.Contains(t, r.Why(), "no last run")
	require.NotNil(t, r.Reasons)
	require.NotNil(t, r.Sources)
	require.NotNil(t, r.Disappeared.Documents)
	r = config.NewGuardReport(&GuardBaseline{RunID: "x"}, nil, nil, asked, nil, Disappeared{})
	require.Equal(t, "nothing shrank since run x", r.Why())

	var many []SourceCount
	for i := range MaxGuardSources + 5 {
		many = append(many, SourceCount{Source: fmt.Sprint(i), Kind: "advisory", Documents: 1})
	}
	r = config.NewGuardReport(&GuardBaseline{RunID: "x"}, many, nil, asked, canaries, Disappeared{})
	require.Len(t, r.Sources, MaxGuardSources)
	require.Len(t, r.Reasons, MaxGuardReasons)
	require.Equal(t, []int{MaxGuardSources + 5, MaxGuardSources + 6}, []int{r.SourcesTotal, r.ReasonsTotal})
	require.Contains(t, r.Why(), fmt.Sprintf("and %d more reasons", MaxGuardSources+5))
}

func TestWhatAProfileSaysOfTheGuard(t *testing.T) {
	var none *GuardConfig
	require.Equal(t, 10, none.MaxDrop())
	require.Equal(t, 7*24*time.Hour, none.Patience())
	require.Nil(t, none.Normal())
	c := &GuardConfig{MaxDropPercent: percent(0), ExpiresHours: 3, Canaries: []string{"b", "a", "b"}}
	require.Zero(t, c.MaxDrop())
	require.Equal(t, 3*time.Hour, c.Patience())
	require.Equal(t, []string{"a", "b"}, c.Normal().Canaries)
	require.Equal(t, []string{"b", "a", "b"}, c.Canaries)
}
