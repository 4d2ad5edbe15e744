package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/vex"
)

func names(count int) (all []string) {
	for n := range count {
		all = append(all, fmt.Sprintf("CVE-%06d-%s", n, strings.Repeat("x", 80)))
	}
	return all
}

// evaluateWithin evaluates with so much room for a document and for all.
func (w *world) evaluateWithin(t *testing.T, document, whole int64) error {
	pack, err := ReadPack(baselinePack(t))
	require.NoError(t, err)
	asked, err := newEngine(t.Context(), pack)
	require.NoError(t, err)
	e := newEvaluation(Input{Files: w.files(t), Scratch: t.TempDir(), MaxScratch: whole}, worldReaders(), pack, asked)
	e.budget.perDocument = document
	_, err = e.run(t.Context(), newShelf())
	return err
}

// A small document that would fill the disk is named, and ends the evaluation.
func TestADocumentThatRepeatsItself(t *testing.T) {
	statement := vex.Statement{Vulnerability: "CVE-1", Aliases: names(500), Products: names(500), Status: vex.NotAffected}
	wide := npm("A-WIDE", "x", "1.0.0", "low")
	wide.Aliases = names(500)
	for len(wide.Affected) < 500 {
		wide.Affected = append(wide.Affected, wide.Affected[0])
	}
	for name, w := range map[string]*world{
		"vex vex-0":       {vex: [][]vex.Statement{{statement}}},
		"advisory A-WIDE": {advisories: []advisory.Advisory{wide}},
	} {
		err := w.evaluateWithin(t, 64<<10, 0)
		require.ErrorContains(t, err, errRepeats.Error(), name)
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, "leave it out")
		require.Equal(t, export.CodeValidation, export.CodeOf(err))
		require.NoError(t, w.evaluateWithin(t, 64<<20, 0), name)
	}
}

// What documents make of each other is no document's: the next one's part, and
// the joins, are not charged with it.
func TestADocumentIsChargedForItself(t *testing.T) {
	b := newBudget(1000)
	b.perDocument = 100
	b.begin(0)
	require.NoError(t, b.take(100))
	require.ErrorIs(t, b.take(1), errRepeats)
	b.begin(1)
	require.NoError(t, b.take(100+scratchOfByte))
	b.end()
	require.NoError(t, b.take(1000-200-scratchOfByte))
	require.ErrorContains(t, b.take(1), "more than 1000 bytes")
	w := smallWorld()
	require.NoError(t, w.evaluateWithin(t, 2<<10, 0))
	pack, err := ReadPack(baselinePack(t))
	require.NoError(t, err)
	asked, err := newEngine(t.Context(), pack)
	require.NoError(t, err)
	e := newEvaluation(Input{Files: w.files(t), Scratch: t.TempDir()}, worldReaders(), pack, asked)
	_, err = e.run(t.Context(), newShelf())
	require.NoError(t, err)
	require.False(t, e.budget.inDocument)
}

// All documents together, and what they make of each other, have a bound too.
func TestEvidenceThatTakesTooMuchRoom(t *testing.T) {
	w := smallWorld()
	require.NoError(t, w.evaluateWithin(t, scratchOfDocument, 64<<10))
	for _, whole := range []int64{100, 3 << 10} {
		err := w.evaluateWithin(t, scratchOfDocument, whole)
		require.ErrorContains(t, err, fmt.Sprintf("more than %d bytes for sorting", whole))
		require.Equal(t, export.CodeValidation, export.CodeOf(err))
	}
}
