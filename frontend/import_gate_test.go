package frontend

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
)

func requireCode(t *testing.T, want export.Code, err error) {
	t.Helper()
	var coded *export.Error
	require.ErrorAs(t, err, &coded)
	require.Equal(t, want, coded.Code)
}

func TestOneTenantCannotShutOutTheOthers(t *testing.T) {
	g := newImportGate()
	for range maxTenantImports {
		require.NoError(t, g.enter("acme"))
	}
	requireCode(t, export.CodeUnavailable, g.enter("acme"))
	require.NoError(t, g.enter("other"))
	g.leave("acme")
	require.NoError(t, g.enter("acme"))

	for _, tenant := range []string{"b", "c", "d"} {
		for g.enter(tenant) == nil {
		}
	}
	require.Equal(t, maxImports, g.total)
	requireCode(t, export.CodeUnavailable, g.enter("late"))
}

func TestLargeRecordsTakeTurns(t *testing.T) {
	g := newImportGate()
	for range maxLargeRecords {
		require.NoError(t, g.enterLarge(t.Context()))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, g.enterLarge(ended), context.Canceled)
	g.leaveLarge()
	require.NoError(t, g.enterLarge(t.Context()))
}

func TestALineAsksOnceBeforeItIsLarge(t *testing.T) {
	small, big := strings.Repeat("s", largeRecord-1), strings.Repeat("b", 2*largeRecord)
	asked := 0
	r := newLineReader(strings.NewReader(small+"\n"+big+"\n"+small+"\n"+big), maxImportLine)
	r.large = func() error {
		asked++
		return nil
	}
	for _, want := range []struct{ size, asked int }{{len(small), 0}, {len(big), 1}, {len(small), 1}, {len(big), 2}} {
		line, err := r.next()
		require.NoError(t, err)
		require.Len(t, line, want.size)
		require.Equal(t, want.asked, asked)
	}
	_, err := r.next()
	require.ErrorIs(t, err, io.EOF)

	busy := errors.New("busy")
	r = newLineReader(strings.NewReader(big), maxImportLine)
	r.large = func() error { return busy }
	_, err = r.next()
	require.ErrorIs(t, err, busy)
}

func TestBatchesTogetherAreBounded(t *testing.T) {
	g := newImportGate()
	require.True(t, g.hold(maxHeld))
	require.False(t, g.hold(1))
	require.EqualValues(t, maxHeld, g.held.Load(), "what is refused is not held")
	g.insist(7)
	g.release(maxHeld)
	require.True(t, g.hold(maxHeld-7))
}
