package fault

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// effects counts what was really done.
type effects struct{ done int }

func (e *effects) do(context.Context) error { e.done++; return nil }

func TestTheFaultIsAtItsHitAndNowhereElse(t *testing.T) {
	i, e := New(Fault{Point: SavePlan, Hit: 2, Mode: Fail}, nil), &effects{}
	require.NoError(t, i.At(t.Context(), SavePlan, e.do))
	require.NoError(t, i.At(t.Context(), Finish, e.do))
	require.False(t, i.Struck())
	require.ErrorIs(t, i.At(t.Context(), SavePlan, e.do), ErrInjected)
	require.True(t, i.Struck())
	require.NoError(t, i.At(t.Context(), SavePlan, e.do))
	require.Equal(t, 3, e.done)
	require.Equal(t, map[Point]int{SavePlan: 3, Finish: 1}, i.Hits())
}

func TestWhatEachModeDoes(t *testing.T) {
	for mode, want := range map[Mode]int{CrashBefore: 0, CrashAfter: 1, Fail: 0, FailAfter: 1, Hang: 0, Late: 1} {
		t.Run(string(mode), func(t *testing.T) {
			crashed := make(chan bool, 1)
			i, e := New(Fault{Point: SavePlan, Hit: 1, Mode: mode}, func() { crashed <- true }), &effects{}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			answered := make(chan error, 1)
			go func() { answered <- i.At(ctx, SavePlan, e.do) }()
			if mode.crashes() {
				<-crashed
				select {
				case err := <-answered:
					t.Fatalf("a dead process answered: %v", err)
				case <-time.After(50 * time.Millisecond):
				}
				i.Release()
				require.ErrorIs(t, <-answered, ErrDead)
				require.ErrorIs(t, i.At(t.Context(), Finish, e.do), ErrDead, "and does nothing any more")
				_, err := read(i, func() (int, error) { return 1, nil })
				require.ErrorIs(t, err, ErrDead)
			} else if err := <-answered; mode == Hang {
				require.ErrorIs(t, err, context.DeadlineExceeded)
			} else if mode != Late {
				require.ErrorIs(t, err, ErrInjected)
			}
			require.Equal(t, want, e.done)
		})
	}
}

// Late waits until the caller's time is over and somebody else has done the same.
func TestLateComesAfterTheNext(t *testing.T) {
	i := New(Fault{Point: SavePlan, Hit: 1, Mode: Late}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	order := make(chan string, 2)
	first := make(chan error, 1)
	go func() {
		first <- i.At(ctx, SavePlan, func(ctx context.Context) error { order <- "first"; return ctx.Err() })
	}()
	require.Eventually(t, i.Struck, time.Second, time.Millisecond)
	require.NoError(t, i.At(t.Context(), SavePlan, func(context.Context) error { order <- "second"; return nil }))
	require.Len(t, order, 1, "the first caller's time is not over")
	cancel()
	require.NoError(t, <-first, "a late effect does not die with its caller")
	require.Equal(t, "second", <-order)
	require.Equal(t, "first", <-order)
}

// A failure that was nobody's injection stays what it is.
func TestRealFailuresPass(t *testing.T) {
	real := errors.New("disk full")
	for _, mode := range []Mode{"", FailAfter, Late} {
		i := New(Fault{Point: Publish, Hit: 1, Mode: mode}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		require.ErrorIs(t, i.At(ctx, Publish, func(context.Context) error { return real }), real)
		cancel()
	}
}
