//go:build torture

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/internal/clock"
)

// tally is the last line of `make torture`: what went wrong, each counted
// after everything has come to rest. docs/benchmarks.md defines the words.
type tally struct {
	Faults      int    `json:"faults"`       // kills that hit at least one run in flight
	Lost        int    `json:"lost"`         // acknowledged runs, or timeline events, that are not there
	Duplicated  int    `json:"duplicated"`   // runs nobody asked for; journals and timelines that tell a step twice or skip a number
	Corrupted   int    `json:"corrupted"`    // runs that do not have their twin's payload or do not verify; blobs that are not what their name says
	Stuck       int    `json:"stuck"`        // runs without an end a minute after everything was back; a house that did not come back
	Leaked      int    `json:"leaked"`       // staged files, blobs without row or pin, rows without blob
	InvalidRuns int    `json:"invalid_runs"` // kills that hit no run in flight: nothing was tested, another was made
	Seed        uint64 `json:"seed"`
}

func (c tally) losses() int { return c.Lost + c.Duplicated + c.Corrupted + c.Stuck + c.Leaked }

const (
	// tortureTenants bounds how much evidence piles up. A tenant's first runs
	// publish new blobs, its later ones find them there.
	tortureTenants = 12
	// restWithin is how long runs may take to end once everything is back.
	restWithin = time.Minute
)

// selections are the runs in flight at once: two that write the same blobs,
// and two that share some.
var selections = [][]string{nil, nil, {"npm", "PyPI"}, {"Go"}}

// victims are killed as often as they are named here.
var victims = []string{
	"worker", "worker", "worker", "worker", "worker", "worker", "worker", "worker", "worker", "worker", "worker", "worker",
	"api", "api", "api", "api", "postgres", "postgres", "postgres", "temporal", "temporal",
}

// TestTorture kills a process of the house without warning, COUNT times, at
// moments and in an order that SEED decides, each time with four runs in
// flight. Every run must end with the bytes of an undisturbed twin, and
// nothing may be left that does not belong there.
func TestTorture(t *testing.T) {
	w := &torture{t: t, tokens: map[string]string{}}
	w.count.Seed = number(t, "SEED", 1)
	w.chance = rand.New(rand.NewPCG(w.count.Seed, w.count.Seed))
	defer w.finish()
	w.house = openHouse(t)
	w.documents = tortureDocuments(t)
	w.undisturbed()

	want := int(number(t, "COUNT", 20))
	for try := 0; w.count.Faults < want; try++ {
		require.Less(t, try, 3*want+10, "most kills hit no run: nothing is tested")
		w.fault(try)
	}
	w.rest()
	w.complete = true
}

// torture is a house under attack.
type torture struct {
	t         *testing.T
	house     *house
	chance    *rand.Rand
	documents string
	tokens    map[string]string // by tenant
	twins     []string          // payload digests, by selection
	span      time.Duration     // of an undisturbed round

	journal  []ordered // every run that was asked for
	count    tally
	complete bool
	planted  bool // the losses are made on purpose: they do not fail the test
}

// found counts a loss and names it.
func (w *torture) found(counter *int, format string, args ...any) {
	w.t.Helper()
	*counter++
	if w.planted {
		w.t.Logf(format, args...)
	} else {
		w.t.Errorf(format, args...)
	}
}

// ordered is a run that was asked for.
type ordered struct {
	tenant, key string
	selection   int
	asked       time.Time
	run         client.Run // the last answer; without id it was never acknowledged
	err         error
}

// undisturbed makes the twins: the same runs on the same evidence, in a tenant
// of their own, with nobody killed.
func (w *torture) undisturbed() {
	w.tenant("twin")
	begin := time.Now()
	orders := <-w.order("twin")
	for i := range orders {
		w.await(&orders[i])
		require.Equal(w.t, client.RunStatusSucceeded, orders[i].run.Status, "the twin must succeed: %+v", orders[i].run.Error)
		w.twins = append(w.twins, orders[i].run.PayloadDigest)
	}
	w.span = time.Since(begin)
	w.journal = append(w.journal, orders...)
	w.t.Logf("twins took %s", w.span.Round(time.Millisecond))
}

// fault kills one process at a random moment of a round.
func (w *torture) fault(try int) {
	tenant := "torture-" + strconv.Itoa(try%tortureTenants)
	w.tenant(tenant)
	victim := victims[w.chance.IntN(len(victims))]
	moment := time.Duration(w.chance.Int64N(int64(w.span * 3 / 4)))

	asked := w.order(tenant)
	time.Sleep(moment)
	killed := w.house.kill(w.t, victim)
	w.house.waitReady(w.t, restWithin)
	orders := <-asked
	hits := 0
	for i := range orders {
		w.await(&orders[i])
		if orders[i].asked.Before(killed) && orders[i].run.CompletedAt.After(killed) {
			hits++
		}
	}
	if hits > 0 {
		w.count.Faults++
	} else {
		w.count.InvalidRuns++
	}
	w.journal = append(w.journal, orders...)
	w.t.Logf("%d: killed %s after %s, %d runs in flight, all ended %s later", try, victim,
		moment.Round(time.Millisecond), hits, time.Since(killed).Round(time.Millisecond))
	w.compare(orders)
}

// order asks for one run per selection, each under a key of its own, until it
// is acknowledged: whoever loses an answer asks again with the same key.
func (w *torture) order(tenant string) <-chan []ordered {
	c := w.client(tenant)
	done := make(chan []ordered, 1)
	go func() {
		var orders []ordered
		for i, ecosystems := range selections {
			o := ordered{tenant: tenant, key: clock.NewID(), selection: i, asked: time.Now().UTC()}
			request := client.RunRequest{ProfileID: "json:raw", Selectors: client.Selectors{Ecosystems: ecosystems}}
			for {
				o.run, o.err = c.CreateRun(w.t.Context(), request, o.key)
				if o.err == nil || !client.Temporary(o.err) || time.Since(o.asked) > restWithin {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			orders = append(orders, o)
		}
		done <- orders
	}()
	return done
}

// await waits for the end of a run, at most a minute: everything is back.
func (w *torture) await(o *ordered) {
	if o.err != nil {
		w.found(&w.count.Stuck, "a run of %s was never acknowledged: %v", o.tenant, o.err)
		return
	}
	c := w.client(o.tenant)
	for deadline := time.Now().Add(restWithin); !o.run.Ended(); time.Sleep(25 * time.Millisecond) {
		if run, err := c.GetRun(w.t.Context(), o.run.RunID); err == nil {
			o.run = run
		} else if !client.Temporary(err) {
			return // counted as lost at the end
		}
		if time.Now().After(deadline) {
			w.found(&w.count.Stuck, "run %s of %s is %s a minute after everything was back", o.run.RunID, o.tenant, o.run.Status)
			return
		}
	}
}

// compare holds ended runs to their twins: status, payload, and an archive
// that downloads and verifies.
func (w *torture) compare(orders []ordered) {
	for _, o := range orders {
		if !o.run.Ended() {
			continue // counted as stuck or lost
		}
		if o.run.Status != client.RunStatusSucceeded || o.run.PayloadDigest != w.twins[o.selection] {
			w.found(&w.count.Corrupted, "run %s of %s ended %s with payload %s, its twin has %s: %+v", o.run.RunID, o.tenant,
				o.run.Status, o.run.PayloadDigest, w.twins[o.selection], o.run.Error)
			continue
		}
		archive := filepath.Join(w.t.TempDir(), "bundle.tar")
		_, downloaded := w.house.stellaAs(w.t, w.tokens[o.tenant], "export", "download", o.run.RunID, "--output", archive)
		_, verified := w.house.stellaAs(w.t, w.tokens[o.tenant], "verify", archive, "--trust", w.house.env["STELLA_TRUST"])
		os.Remove(archive) //nolint:errcheck // the test's folder goes anyway
		if downloaded != 0 || verified != 0 {
			w.found(&w.count.Corrupted, "run %s of %s: download exits %d, verify exits %d", o.run.RunID, o.tenant, downloaded, verified)
		}
	}
}

// tenant imports the evidence into a tenant that has none.
func (w *torture) tenant(name string) {
	if w.tokens[name] != "" {
		return
	}
	w.tokens[name] = w.house.tokenFor(w.t, name)
	out, code := w.house.stellaAs(w.t, w.tokens[name], "ledger", "import", w.documents, "--format", "json")
	require.Zero(w.t, code, "import: %s\n%s", out, w.house.tail())
}

// client makes a client of the house as it is now.
func (w *torture) client(tenant string) *client.Client {
	c, err := client.New(w.house.env["STELLA_SERVER"], w.tokens[tenant])
	require.NoError(w.t, err)
	return c
}

// finish writes the result, whatever happened.
func (w *torture) finish() {
	if !w.complete {
		w.count.Stuck++ // the test gave up: the house did not come back
	}
	raw, err := json.Marshal(w.count)
	require.NoError(w.t, err)
	if path := os.Getenv("TORTURE_RESULT"); path != "" {
		require.NoError(w.t, os.WriteFile(path, append(raw, '\n'), 0o644))
	} else {
		w.t.Logf("%s", raw)
	}
	if w.count.losses() > 0 {
		w.t.Errorf("%d losses", w.count.losses())
	}
}

// tortureDocuments gives the real corpus, or replicas of our own samples.
func tortureDocuments(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat(corpus); err == nil {
		return realCorpus(t)
	}
	paths, err := filepath.Glob(filepath.Join(repository, "ledger/sample/osv/*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	var lines bytes.Buffer
	for n := range corpusDocuments {
		path := paths[n%len(paths)]
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		id := filepath.Base(path[:len(path)-len(".json")])
		raw = bytes.ReplaceAll(raw, []byte(id), fmt.Appendf(nil, "%s-%d", id, n/len(paths)))
		require.NoError(t, json.Compact(&lines, raw))
		lines.WriteByte('\n')
	}
	path := filepath.Join(t.TempDir(), "samples.jsonl")
	require.NoError(t, os.WriteFile(path, lines.Bytes(), 0o644))
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
