package policy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/vex"
)

// A line that nobody could read again is not written.
func TestALineThatIsTooLong(t *testing.T) {
	out := newShelf()
	s := shards{ctx: t.Context(), out: out, of: tracesType, longest: 100}
	require.NoError(t, s.write("a", []byte(strings.Repeat("x", 100))))
	err := s.write("b", []byte(strings.Repeat("x", 101)))
	require.ErrorContains(t, err, "its line of decision-traces has 101 bytes, at most 100")
	require.Equal(t, export.CodeValidation, export.CodeOf(err))
	require.NoError(t, s.close())
	require.Len(t, out.files[out.paths("traces")[0]], 101)
	w := newWriter(t.Context(), nil, out)
	require.Equal(t, []int{maxLine, maxLine}, []int{w.findings.longest, w.traces.longest})
}

// Notes about what a reader left out are cut, so that a snapshot of a run can be
// read again whatever publishers wrote.
func TestNotesAreCut(t *testing.T) {
	u := Unread{First: []string{}}
	for n := range 2 * maxUnread {
		u.note(strings.Repeat("\u00e9", maxText) + string(rune('a'+n)))
		u.note(strings.Repeat("\x01", n+maxText) + string(rune('a'+n)))
	}
	require.EqualValues(t, 4*maxUnread, u.Count)
	for _, text := range u.First {
		require.LessOrEqual(t, len(text), maxText+3)
		require.True(t, strings.HasSuffix(text, "..."))
	}
	raw, err := bundle.MarshalCanonical(u)
	require.NoError(t, err)
	require.Less(t, len(raw), maxDocument)
}

// Statements with texts of 600 kB each are a short trace, cut once, which is decided
// again.
func TestLongTextsAreReplayed(t *testing.T) {
	w := smallWorld()
	long := strings.Repeat("a", maxText-1) + strings.Repeat("\u00e9", 300_000)
	var all []vex.Statement
	for _, at := range []string{"2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"} {
		for _, a := range w.advisories {
			all = append(all, vex.Statement{Vulnerability: a.ID, Products: []string{"pkg:npm/lodash"}, Status: vex.NotAffected, Impact: long, Action: long, At: at})
		}
	}
	w.vex = [][]vex.Statement{all}
	out, _ := w.run(t)
	for _, path := range out.paths("traces") {
		for line := range strings.Lines(string(out.files[path])) {
			require.Less(t, len(line), 64<<10)
		}
	}
	stated := 0
	for _, trace := range out.traces(t) {
		for _, s := range trace.Input.Statements {
			stated++
			require.Equal(t, strings.Repeat("a", maxText-1)+"...", s.Impact)
			require.Equal(t, s.Impact, s.Action)
		}
	}
	require.NotZero(t, stated)
	require.True(t, replayed(t, out.recorded(w.files(t))).Same)
}
