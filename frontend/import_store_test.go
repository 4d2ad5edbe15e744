package frontend

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/ledger"
)

// slowLedger records a batch when it is told to.
type slowLedger struct {
	Ledger
	begun chan int
	end   chan error
}

func (l slowLedger) Import(_ context.Context, _ string, batch []ledger.Observation) (ledger.Counts, error) {
	l.begun <- len(batch)
	err := <-l.end
	if err != nil && err.Error() == "panic" {
		panic(err)
	}
	return ledger.Counts{Read: int64(len(batch)), Accepted: int64(len(batch))}, err
}

func TestABatchIsRecordedWhileTheNextIsRead(t *testing.T) {
	l := slowLedger{begun: make(chan int, 9), end: make(chan error, 9)}
	var s batchStore
	next, err := s.begin(t.Context(), l, "acme", make([]ledger.Observation, 3))
	require.NoError(t, err)
	require.Empty(t, next, "a batch to fill, although nothing is recorded yet")
	require.Equal(t, 3, <-l.begun)

	second := make(chan error, 1)
	go func() {
		_, err := s.begin(t.Context(), l, "acme", make([]ledger.Observation, 2))
		second <- err
	}()
	select {
	case n := <-l.begun:
		t.Fatalf("a batch of %d is recorded beside another", n)
	case <-second:
		t.Fatal("a third batch would be held")
	case <-time.After(20 * time.Millisecond):
	}
	l.end <- nil
	require.NoError(t, <-second)
	require.Equal(t, 2, <-l.begun)
	l.end <- nil
	require.NoError(t, s.wait())
	require.NoError(t, s.wait(), "again")
	require.EqualValues(t, 5, s.counts.Accepted)
}

func TestAFailedBatchEndsTheImport(t *testing.T) {
	l := slowLedger{begun: make(chan int, 9), end: make(chan error, 9)}
	broken := errors.New("broken")
	var s batchStore
	_, err := s.begin(t.Context(), l, "acme", make([]ledger.Observation, 1))
	require.NoError(t, err)
	l.end <- broken
	_, err = s.begin(t.Context(), l, "acme", make([]ledger.Observation, 1))
	require.ErrorIs(t, err, broken)
	require.Len(t, l.begun, 1, "nothing is recorded after it")
	require.Zero(t, s.counts)

	_, err = s.begin(t.Context(), l, "acme", make([]ledger.Observation, 1))
	require.NoError(t, err)
	l.end <- errors.New("panic")
	require.Panics(t, func() { s.wait() }, "in the goroutine of the request") //nolint:errcheck // it panics
}
