package fault

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
)

// Fault is what happens: Mode, at the Hit-th time (from 1) that Point is
// reached. The zero value is none.
type Fault struct {
	Point Point
	Hit   int
	Mode  Mode
}

func (f Fault) String() string {
	if f.Mode == "" {
		return "no fault"
	}
	return fmt.Sprintf("%s at %s, hit %d", f.Mode, f.Point, f.Hit)
}

// How long a fault waits for what may never come.
const (
	// hangAtMost is the time of a caller that has set itself none.
	hangAtMost = 2 * time.Second
	// ownedWithin bounds the wait of Late for a newer attempt: what it waits for
	// may itself be waiting for the effect, or there may be none.
	ownedWithin = 3 * time.Second
)

// Injector is one life of a process: it sees every effect, and one of them has
// a fault. It is safe for concurrent use.
type Injector struct {
	fault   Fault
	crashed func()

	dead     chan struct{} // closed when the process is gone
	released chan struct{} // closed when the test is over

	mu      sync.Mutex
	busy    int        // effects under way
	rest    *sync.Cond // of mu, when busy is 0
	hits    map[Point]int
	struck  bool
	endless bool             // the fault's caller had set itself no bound
	unowned bool             // the late effect came before anybody else had the work
	owner   map[string]int32 // the newest attempt that has done something, by activity
	again   map[Point]int    // effects that were done outside activities
	news    chan struct{}    // closed, and made anew, when owner or again change
}

// New makes a life with a fault. crashed is called, in a goroutine of its own,
// when the process is gone; it may be nil for a fault that is no crash.
func New(f Fault, crashed func()) *Injector {
	i := &Injector{fault: f, crashed: crashed, dead: make(chan struct{}), released: make(chan struct{}),
		hits: map[Point]int{}, owner: map[string]int32{}, again: map[Point]int{}, news: make(chan struct{})}
	i.rest = sync.NewCond(&i.mu)
	return i
}

// Hits counts how often each point was reached.
func (i *Injector) Hits() map[Point]int {
	i.mu.Lock()
	defer i.mu.Unlock()
	hits := make(map[Point]int, len(i.hits))
	for p, n := range i.hits {
		hits[p] = n
	}
	return hits
}

// Struck reports whether the fault has happened.
func (i *Injector) Struck() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.struck
}

// Die ends the process.
func (i *Injector) Die() {
	i.mu.Lock()
	defer i.mu.Unlock()
	select {
	case <-i.dead:
		return
	default:
	}
	close(i.dead)
	if i.crashed != nil {
		go i.crashed()
	}
}

// Unowned reports whether a late effect was done although nobody else had the work
// by then: it shows less than one that a newer attempt has overtaken.
func (i *Injector) Unowned() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.unowned
}

// Endless reports whether the fault kept a caller waiting that had set itself no
// bound: without ours it would wait as long as what it calls.
func (i *Injector) Endless() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.endless
}

// Dead is closed when the process is gone.
func (i *Injector) Dead() <-chan struct{} { return i.dead }

// Release lets what stands still in a dead process go, with ErrDead: the test
// is over. Nothing has an effect afterwards.
func (i *Injector) Release() { close(i.released) }

// Rest waits until no effect is under way.
func (i *Injector) Rest() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for i.busy > 0 {
		i.rest.Wait()
	}
}

// under counts effects under way.
func (i *Injector) under(way int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.busy += way; i.busy == 0 {
		i.rest.Broadcast()
	}
}

// Alive returns at once while the process lives. In a dead one it does not
// return before the test is over.
func (i *Injector) Alive() error {
	select {
	case <-i.dead:
		<-i.released
		return ErrDead
	default:
		return nil
	}
}

// At does an effect, or lets its fault happen.
func (i *Injector) At(ctx context.Context, p Point, effect func(context.Context) error) error {
	if err := i.Alive(); err != nil {
		return err
	}
	i.under(+1)
	err := i.act(ctx, p, effect)
	i.under(-1)
	if dead := i.Alive(); dead != nil { // whatever the answer was, nobody heard it
		return dead
	}
	return err
}

func (i *Injector) act(ctx context.Context, p Point, effect func(context.Context) error) error {
	if !i.hit(p) {
		return i.done(ctx, p, effect(ctx))
	}
	switch i.fault.Mode {
	case CrashBefore:
		i.Die()
		return ErrDead
	case CrashAfter:
		err := effect(ctx)
		i.Die()
		return err
	case FailAfter:
		if err := i.done(ctx, p, effect(ctx)); err != nil {
			return err
		}
		return ErrInjected
	case Hang:
		return i.untilOver(ctx)
	case Late:
		newer := i.newer(ctx, p)
		i.untilOver(ctx) //nolint:errcheck // its end is what it waits for
		if !newer(ownedWithin) {
			i.mu.Lock()
			i.unowned = true
			i.mu.Unlock()
		}
		return effect(context.WithoutCancel(ctx))
	}
	return ErrInjected
}

// hit counts p and reports whether the fault is here.
func (i *Injector) hit(p Point) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hits[p]++
	if i.fault.Mode == "" || p != i.fault.Point || i.hits[p] != i.fault.Hit {
		return false
	}
	i.struck = true
	return true
}

// done notes who did an effect.
func (i *Injector) done(ctx context.Context, p Point, err error) error {
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if activity.IsActivity(ctx) {
		info := activity.GetInfo(ctx)
		i.owner[key(info)] = max(i.owner[key(info)], info.Attempt)
	} else {
		i.again[p]++
	}
	close(i.news)
	i.news = make(chan struct{})
	return nil
}

func key(info activity.Info) string { return info.WorkflowExecution.RunID + "/" + info.ActivityID }

// untilOver waits until the caller's time is over. Who waits without a bound of
// his own gets none of ours but hangAtMost.
func (i *Injector) untilOver(ctx context.Context) error {
	var atMost <-chan time.Time
	if _, bounded := ctx.Deadline(); !bounded {
		atMost = time.After(hangAtMost)
		i.mu.Lock()
		i.endless = true
		i.mu.Unlock()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-i.dead:
		return ErrDead
	case <-atMost:
		return fmt.Errorf("%w: no answer for %s", ErrInjected, hangAtMost)
	}
}

// newer gives a wait for the moment when a newer attempt of the same activity
// has done its first effect (for all but one, that is its claim), or when
// somebody else has done the same outside of activities.
func (i *Injector) newer(ctx context.Context, p Point) (wait func(time.Duration) (there bool)) {
	i.mu.Lock()
	before := i.again[p]
	i.mu.Unlock()
	come := func() bool { return i.again[p] > before }
	if activity.IsActivity(ctx) {
		info := activity.GetInfo(ctx)
		come = func() bool { return i.owner[key(info)] > info.Attempt }
	}
	return func(atMost time.Duration) bool {
		over := time.After(atMost)
		for {
			i.mu.Lock()
			there, news := come(), i.news
			i.mu.Unlock()
			if there {
				return true
			}
			select {
			case <-news:
			case <-over:
				return false
			case <-i.dead:
				return false
			}
		}
	}
}

// read lets a living process read.
func read[T any](i *Injector, from func() (T, error)) (T, error) {
	if err := i.Alive(); err != nil {
		var none T
		return none, err
	}
	found, err := from()
	if dead := i.Alive(); dead != nil {
		var none T
		return none, dead
	}
	return found, err
}

// answer does an effect that has an answer; of one that failed there is none.
func answer[T any](ctx context.Context, i *Injector, p Point, effect func(context.Context) (T, error)) (T, error) {
	var given T
	err := i.At(ctx, p, func(ctx context.Context) (err error) {
		given, err = effect(ctx)
		return err
	})
	if err == ErrInjected { //nolint:errorlint // exactly ours: the caller hears nothing of what was done
		var none T
		return none, err
	}
	return given, err
}
