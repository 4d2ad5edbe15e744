package frontend

import (
	"context"
	"errors"
	"testing"

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

// batchOf is a batch of n documents.
func batchOf(n int) []ledger.Observation { return make([]ledger.Observation, n) }

// through says that n records were read and none rejected.
func through(n int64) ledger.Counts { return ledger.Counts{Read: n} }

func TestABatchIsRecordedWhileTheNextIsRead(t *testing.T) {
	l := slowLedger{begun: make(chan int, 9), end: make(chan error, 9)}
	told := make(chan ledger.Counts, 9)
	s := batchStore{told: func(c ledger.Counts) error { told <- c; return nil }}
	next := s.begin(t.Context(), l, "acme", batchOf(3), 30, through(3))
	require.Empty(t, next, "a batch to fill, although nothing is recorded yet")
	require.Equal(t, 3, <-l.begun)
	require.Empty(t, told)

	l.end <- nil
	require.Equal(t, ledger.Counts{Read: 3, Accepted: 3}, <-told, "without anybody asking")
	freed, err := s.wait()
	require.NoError(t, err)
	require.EqualValues(t, 30, freed)
	s.begin(t.Context(), l, "acme", batchOf(2), 20, ledger.Counts{Read: 7, Rejected: 2})
	require.Equal(t, 2, <-l.begun)
	l.end <- nil
	freed, err = s.wait()
	require.NoError(t, err)
	require.EqualValues(t, 20, freed)
	freed, err = s.wait()
	require.NoError(t, err, "again")
	require.Zero(t, freed)
	require.Equal(t, ledger.Counts{Read: 7, Accepted: 5, Rejected: 2}, s.settled)
	s.begin(t.Context(), l, "acme", nil, 0, ledger.Counts{Read: 9, Rejected: 4})
	require.Equal(t, ledger.Counts{Read: 9, Accepted: 5, Rejected: 4}, s.settled, "rejections alone need no batch")
}

func TestAFailedBatchEndsTheImport(t *testing.T) {
	l := slowLedger{begun: make(chan int, 9), end: make(chan error, 9)}
	broken := errors.New("broken")
	s := batchStore{told: func(ledger.Counts) error { t.Error("told of a batch that is not recorded"); return nil }}
	s.begin(t.Context(), l, "acme", batchOf(1), 10, through(1))
	l.end <- broken
	_, err := s.wait()
	require.ErrorIs(t, err, broken)
	require.Zero(t, s.settled)

	s.begin(t.Context(), l, "acme", batchOf(1), 10, through(1))
	l.end <- errors.New("panic")
	require.Panics(t, func() { s.wait() }, "in the goroutine of the request") //nolint:errcheck // it panics

	s.begin(t.Context(), l, "acme", batchOf(1), 10, through(1))
	l.end <- broken
	require.EqualValues(t, 10, s.abandon())
	require.Zero(t, s.abandon())
}
