//go:build torture

package e2e

import (
	"math/rand/v2"
	"sync"
	"syscall"
	"time"
)

// fault is one kind of thing that happens to processes.
type fault struct {
	name string
	// cards is how often a deck holds it.
	cards int
	// beside: a second worker runs beside that of `up`.
	beside bool
	// strike does it and returns when everything is back.
	strike func(*torture, *rand.Rand) blow
}

// blow is what a fault did.
type blow struct {
	at   time.Time // the first signal
	back time.Time // when everything was ready again; of a zombie, when it was stopped: the other worker was there
	// after runs when the runs have ended: what was stopped goes on.
	after func()
}

// deck holds every kind of fault, in the proportions of TRUST R2 to R4. A
// COUNT of its size has them all; it is shuffled anew each time it is used up.
var deck = []fault{
	{name: "kill worker", cards: 6, strike: kill("worker")},
	{name: "kill api", cards: 2, strike: kill("api")},
	{name: "kill postgres", cards: 2, strike: kill("postgres")},
	{name: "kill temporal", cards: 1, strike: kill("temporal")},
	{name: "kill up", cards: 1, strike: func(w *torture, _ *rand.Rand) blow { return w.killUp(0) }},

	{name: "stop worker", cards: 2, strike: stop("worker")},
	{name: "stop api", cards: 1, strike: stop("api")},
	{name: "stop postgres", cards: 1, strike: stop("postgres")},
	{name: "stop temporal", cards: 1, strike: stop("temporal")},
	{name: "zombie worker", cards: 3, beside: true, strike: zombie},

	{name: "restart worker", cards: 1, strike: signal(syscall.SIGTERM, "worker")},
	{name: "restart temporal", cards: 1, strike: signal(syscall.SIGTERM, "temporal")},
	{name: "restart postgres", cards: 1, strike: signal(syscall.SIGINT, "postgres")},
	{name: "restart postgres at once", cards: 1, strike: signal(syscall.SIGQUIT, "postgres")},

	{name: "kill worker, postgres", cards: 1, strike: kill("worker", "postgres")},
	{name: "kill worker, temporal", cards: 1, strike: kill("worker", "temporal")},
	{name: "kill postgres, temporal", cards: 1, strike: kill("postgres", "temporal")},
	{name: "kill worker twice", cards: 1, strike: twice("worker", 12*time.Second)},
	{name: "kill postgres twice", cards: 1, strike: twice("postgres", time.Second)},
	{name: "kill up twice", cards: 1, strike: func(w *torture, chance *rand.Rand) blow {
		return w.killUp(between(chance, 0, 3*time.Second))
	}},
}

// kill ends processes at the same moment, without warning.
func kill(victims ...string) func(*torture, *rand.Rand) blow {
	return signal(syscall.SIGKILL, victims...)
}

// signal ends processes at the same moment. Children die of a signal as they
// choose; `up` starts them again.
func signal(sig syscall.Signal, victims ...string) func(*torture, *rand.Rand) blow {
	return func(w *torture, _ *rand.Rand) blow {
		at := time.Now().UTC()
		struck := w.house.strike(w.t, sig, victims...)
		return blow{at: at, back: w.house.waitBack(w.t, struck, at)}
	}
}

// twice kills a process, and its successor while it recovers.
func twice(victim string, within time.Duration) func(*torture, *rand.Rand) blow {
	return func(w *torture, chance *rand.Rand) blow {
		at := time.Now().UTC()
		first := w.house.strike(w.t, syscall.SIGKILL, victim)
		w.house.waitChild(w.t, victim, first[victim])
		time.Sleep(between(chance, 0, within))
		again := time.Now().UTC()
		second := w.house.strike(w.t, syscall.SIGKILL, victim)
		return blow{at: at, back: w.house.waitBack(w.t, second, again)}
	}
}

// killUp kills `up`, and with it everything, and starts it again; with a pause
// it kills that start too, so long after it began.
func (w *torture) killUp(pause time.Duration) blow {
	h := w.house
	at := time.Now().UTC()
	h.killUp(w.t)
	if pause > 0 {
		h.launch(w.t)
		time.Sleep(pause)
		h.killUp(w.t)
	}
	h.start(w.t)
	return blow{at: at, back: time.Now().UTC()}
}

// stop makes a process hang, mostly for 5 to 15 s, sometimes for up to a
// minute. A worker's attempts time out meanwhile, are given out again, also to
// itself, and then both attempts go on.
func stop(victim string) func(*torture, *rand.Rand) blow {
	return func(w *torture, chance *rand.Rand) blow {
		length := between(chance, 5*time.Second, 15*time.Second)
		if chance.IntN(5) == 0 {
			length = between(chance, 15*time.Second, time.Minute)
		}
		at := time.Now().UTC()
		thaw := w.house.freeze(w.t, victim)
		time.Sleep(length)
		thaw()
		w.house.waitReady(w.t, time.Minute)
		return blow{at: at, back: time.Now().UTC()}
	}
}

// zombie stops one of two workers until the other has finished its runs. Then
// it goes on where it was, in the middle of attempts that were given to others.
func zombie(w *torture, _ *rand.Rand) blow {
	before := w.house.logged(w.t, "worker", lateResult)
	did := w.house.zombie(w.t, 0)
	return blow{at: did.at, back: did.at, after: func() {
		did.after()
		w.late += w.house.logged(w.t, "worker", lateResult) - before
	}}
}

func between(chance *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(chance.Int64N(int64(most-least)))
}

// dealer gives out faults. The n-th is the same for the same seed, whichever
// house it comes to.
type dealer struct {
	seed uint64
	want int

	mu    sync.Mutex
	dealt int
	cards []fault // of the deck in use
}

// card is a fault to be made. Its chance decides everything else about it.
type card struct {
	fault
	number int
	chance *rand.Rand
}

// next gives the next fault, false when all were given out.
func (d *dealer) next() (card, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dealt == d.want {
		return card{}, false
	}
	if len(d.cards) == 0 {
		d.shuffle()
	}
	c := card{fault: d.cards[0], number: d.dealt, chance: rand.New(rand.NewPCG(d.seed, uint64(d.dealt)))}
	d.cards = d.cards[1:]
	d.dealt++
	return c, true
}

func (d *dealer) shuffle() {
	for _, f := range deck {
		for range f.cards {
			d.cards = append(d.cards, f)
		}
	}
	rand.New(rand.NewPCG(d.seed, ^uint64(d.dealt))).Shuffle(len(d.cards), func(i, j int) {
		d.cards[i], d.cards[j] = d.cards[j], d.cards[i]
	})
}
