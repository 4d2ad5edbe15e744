//go:build torture

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
)

const (
	// tortureTenants bounds how much evidence piles up in a house.
	tortureTenants = 12
	// restWithin is how long runs may take to end once everything is back.
	restWithin = time.Minute
	// triesPerFault bounds how often a fault may miss the runs in flight.
	triesPerFault = 6
	// resumeWithin bounds the 95th percentile of the time from "everything is
	// back" to the end of the last run that was hit (TRUST R2), over the faults of
	// which a run that was hit ended after everything was back. It is asked for
	// only of enough of them to speak of a percentile.
	resumeWithin   = 15 * time.Second
	enoughToJudge  = 20
	housesAtOnce   = 3
	canaryTenant   = "canary"
	canaryEvidence = "canary-of-one-tenant-8c1f0b7e"
)

// TestTorture does COUNT faults to the processes of houses, of kinds and at
// moments that SEED decides, each with runs in flight, some of which are
// cancelled. Every run must end with the bytes of an undisturbed twin, or
// aborted if somebody asked for that, and nothing may be left that does not
// belong there. Several houses stand beside each other, because most of the
// time after a fault is spent waiting. docs/torture.md says how to read it.
func TestTorture(t *testing.T) {
	seed := number(t, "SEED", 1)
	deal := &dealer{seed: seed, want: int(number(t, "COUNT", 30))}
	total := newLossLedger(seed)
	var houses sync.WaitGroup
	for n := range min(number(t, "HOUSES", housesAtOnce), uint64(deal.want)) {
		houses.Go(func() {
			t.Run("house "+strconv.FormatUint(n+1, 10), func(t *testing.T) { besiege(t, deal, total) })
		})
	}
	houses.Wait()
	total.finish(t, deal.want)
}

// besiege is a house's share of the faults.
func besiege(t *testing.T, deal *dealer, total *lossLedger) {
	w := &torture{t: t, tokens: map[string]string{}, kind: atRest, rows: map[string]*kindRow{}}
	defer func() { total.add(w) }()
	total.starting.Lock() // a start is the most that a house asks of a machine
	w.house = openHouse(t)
	total.starting.Unlock()
	w.documents = corpusOrReplicas(t)
	w.undisturbed()
	for c, more := deal.next(); more; c, more = deal.next() {
		w.until(c)
	}
	w.kind = atRest
	w.rest()
	w.complete = true
}

// torture is a house under attack.
type torture struct {
	t         *testing.T
	house     *house
	documents string
	tokens    map[string]string // by tenant
	twins     map[string]string // payload digests, by what was asked for
	spans     []time.Duration   // of undisturbed rounds, by variant

	rounds   int
	journal  []ordered // every run that was asked for
	count    tally
	rows     map[string]*kindRow // by kind of fault
	kind     string              // of the fault under way
	late     int                 // results of zombies that were refused
	complete bool
	planted  bool // the losses are made on purpose: they do not fail the test
}

// undisturbed makes the twins: the same runs on the same evidence, in tenants
// of their own, with nobody killed and nobody cancelled.
func (w *torture) undisturbed() {
	w.tenant("twin", w.documents)
	w.tenant(canaryTenant, w.canaryDocument())
	w.twins = map[string]string{}
	for variant := range variants {
		requests := w.requests("twin", variant, nil)
		begin := time.Now()
		orders := <-w.order(requests)
		for i := range orders {
			w.await(&orders[i])
			run := orders[i].run
			require.Equal(w.t, client.RunStatusSucceeded, run.Status, "the twin must succeed: %+v", run.Error)
			key := orders[i].twin
			if known, again := w.twins[key]; again {
				require.Equal(w.t, known, run.PayloadDigest, "undisturbed runs differ")
			}
			w.twins[key] = run.PayloadDigest
		}
		w.spans = append(w.spans, time.Since(begin))
		w.journal = append(w.journal, orders...)
	}
	w.t.Logf("undisturbed rounds took %s", w.spans)
}

// until repeats a fault until it hits a run in flight, each time earlier.
func (w *torture) until(c card) {
	w.kind = c.name
	for try := range triesPerFault {
		if w.fault(c, try) {
			return
		}
	}
	w.t.Errorf("%d: %s hit no run in flight in %d tries: it was not tested", c.number, c.name, triesPerFault)
}

// fault makes one fault at a random moment of a round, and reports whether it
// hit a run in flight.
func (w *torture) fault(c card, try int) bool {
	tenant := fmt.Sprintf("torture-%d", w.rounds/len(variants)%tortureTenants)
	variant := w.rounds % len(variants)
	w.rounds++
	w.tenant(tenant, w.documents)
	if c.beside {
		end := w.house.secondWorker(w.t)
		defer end()
	}
	moment := time.Duration(c.chance.Int64N(int64(w.spans[variant] * 3 / 4)))
	moment -= moment * time.Duration(try) / triesPerFault

	asked := w.order(w.requests(tenant, variant, c.chance))
	time.Sleep(moment)
	blow := c.strike(w, c.chance)
	orders := <-asked
	for i := range orders {
		w.await(&orders[i])
	}
	if blow.after != nil {
		blow.after()
	}
	w.journal = append(w.journal, orders...)
	hits, resumed := hitBy(blow, orders)
	w.counted(hits, resumed)
	last := "all had ended by then"
	if resumed > 0 {
		last = fmt.Sprintf("the last ended %s after that", resumed.Round(time.Millisecond))
	}
	w.t.Logf("%d: %s after %s, back %s later; %d of %d runs in flight, %s", c.number, c.name,
		moment.Round(time.Millisecond), blow.back.Sub(blow.at).Round(time.Millisecond), hits, len(orders), last)
	w.compare(orders)
	return hits > 0
}

// hitBy counts the runs that were asked for before a fault and ended after it,
// and gives how long after everything was back the last of them ended; 0 when
// all of them had ended before that, without what was away.
func hitBy(b blow, orders []ordered) (hits int, resumed time.Duration) {
	for _, o := range orders {
		if ended := o.run.CompletedAt; o.asked.Before(b.at) && ended.After(b.at) {
			hits++
			resumed = max(resumed, ended.Sub(b.back))
		}
	}
	return hits, resumed
}

// tenant imports the evidence into a tenant that has none.
func (w *torture) tenant(name, documents string) {
	if w.tokens[name] != "" {
		return
	}
	w.tokens[name] = w.house.tokenFor(w.t, name)
	out, code := w.house.stellaAs(w.t, w.tokens[name], "ledger", "import", documents, "--format", "json")
	require.Zero(w.t, code, "import: %s\n%s", out, w.house.tail())
}

// client makes a client of the house as it is now.
func (w *torture) client(tenant string) *client.Client {
	c, err := client.New(w.house.env["STELLA_SERVER"], w.tokens[tenant])
	require.NoError(w.t, err)
	return c
}

// canaryDocument is the evidence of a tenant whose words must stay in it.
func (w *torture) canaryDocument() string {
	path := filepath.Join(w.t.TempDir(), "canary.json")
	require.NoError(w.t, os.WriteFile(path, fmt.Appendf(nil, `{"id":"EXC-%[1]s","modified":"2026-01-01T00:00:00Z","summary":"%[1]s",`+
		`"affected":[{"package":{"ecosystem":"npm","name":"%[1]s"},"versions":["1"]}]}`, canaryEvidence), 0o644))
	return path
}

func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, variable)
	return n
}
