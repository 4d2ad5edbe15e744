//go:build torture

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
)

// selections are the runs of a round that nobody cancels: two that write the
// same blobs, and two that share some.
var selections = [][]string{nil, nil, {"npm", "PyPI"}, {"Go"}}

// variants are rounds over the same evidence that pack everything anew, and
// one that finds all of it packed.
var variants = []*client.Redaction{
	nil,
	{PolicyID: "torture/1", Allow: map[string][]string{"advisory": {"id", "modified", "affected", "summary", "details"}}},
	{PolicyID: "torture/2", Allow: map[string][]string{"advisory": {"id", "affected", "references", "details"}}},
	{PolicyID: "torture/3", Allow: map[string][]string{"advisory": {"*"}}},
	nil,
}

// Who cancels a run.
const (
	nobody   = ""
	byAPI    = "API"
	byEngine = "Temporal"
)

// ordered is a run that is asked for.
type ordered struct {
	tenant, key string
	request     client.RunRequest
	twin        string        // names its undisturbed twin
	cancel      string        // who cancels it
	pause       time.Duration // from the acknowledgement to the cancel

	asked    time.Time
	run      client.Run // the last answer; without id it was never acknowledged
	err      error
	promised bool  // the API has acknowledged the cancel
	refused  error // why a cancel was refused, other than that the run had ended
	unheard  error // why a cancel was not acknowledged in all the time it had
}

// requests makes a round: the selections, two runs that are cancelled, and one
// of the canary's tenant, in an order of chance. Without chance nobody cancels.
func (w *torture) requests(tenant string, variant int, chance *rand.Rand) []*ordered {
	var round []*ordered
	add := func(tenant string, ecosystems []string, redaction *client.Redaction, cancel string) {
		o := &ordered{tenant: tenant, key: clock.NewID(), cancel: cancel, request: client.RunRequest{ProfileID: "json:raw",
			Selectors: client.Selectors{Ecosystems: ecosystems}, Options: client.RunOptions{Redaction: redaction}}}
		o.twin = fmt.Sprint(tenant == canaryTenant, ecosystems, redaction)
		if redaction != nil {
			o.twin = fmt.Sprint(tenant == canaryTenant, ecosystems, redaction.PolicyID)
		}
		round = append(round, o)
	}
	for _, ecosystems := range selections {
		add(tenant, ecosystems, variants[variant], nobody)
	}
	add(canaryTenant, nil, nil, nobody)
	if chance == nil {
		return round
	}
	add(tenant, nil, variants[variant], byAPI)
	add(tenant, []string{"npm", "PyPI"}, variants[variant], byEngine)
	for _, o := range round {
		if o.cancel != nobody {
			o.pause = between(chance, 0, w.spans[variant]*3/4)
		}
	}
	chance.Shuffle(len(round), func(i, j int) { round[i], round[j] = round[j], round[i] })
	return round
}

// order asks for runs until each is acknowledged: whoever loses an answer asks
// again with the same key. It cancels those that are to be cancelled, and is
// done when all of that was answered.
func (w *torture) order(round []*ordered) <-chan []ordered {
	clients := map[string]*client.Client{}
	for _, o := range round {
		clients[o.tenant] = w.client(o.tenant)
	}
	done := make(chan []ordered, 1)
	go func() {
		var cancels sync.WaitGroup
		for _, o := range round {
			o.ask(w.t.Context(), clients[o.tenant])
			if o.err == nil && o.cancel != nobody {
				cancels.Go(func() { w.cancelRun(o, clients[o.tenant], askWithin) })
			}
		}
		cancels.Wait()
		var orders []ordered
		for _, o := range round {
			orders = append(orders, *o)
		}
		done <- orders
	}()
	return done
}

func (o *ordered) ask(ctx context.Context, c *client.Client) {
	o.asked = time.Now().UTC()
	for {
		o.run, o.err = c.CreateRun(ctx, o.request, o.key)
		if o.err == nil || !client.Temporary(o.err) || time.Since(o.asked) > askWithin {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// askWithin bounds how long a request is repeated: as long as the longest
// fault, and what the house may take to come back.
const askWithin = 2*time.Minute + restWithin

// reasonOf names the run, so that no other run's reason can pass for it.
func reasonOf(o *ordered) string { return "torture " + o.key }

// cancelRun cancels until that is acknowledged or the run has ended, with so much
// patience.
func (w *torture) cancelRun(o *ordered, c *client.Client, patience time.Duration) {
	time.Sleep(o.pause)
	var err error
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(100 * time.Millisecond) {
		if o.cancel == byAPI {
			_, err = c.CancelRun(w.t.Context(), o.run.RunID, reasonOf(o))
		} else {
			err = w.cancelWorkflow(o)
		}
		if err == nil {
			o.promised = o.cancel == byAPI
			return
		}
		var problem *client.Problem
		if errors.As(err, &problem) && problem.Status == http.StatusConflict {
			return // the run has ended
		}
		if problem != nil && !problem.Temporary() {
			o.refused = err
			return
		}
		if run, err := c.GetRun(w.t.Context(), o.run.RunID); err == nil && run.Ended() {
			return
		}
	}
	o.unheard = err
}

// cancelWorkflow cancels as the Temporal UI does. A run that waits for its
// turn has no workflow yet.
func (w *torture) cancelWorkflow(o *ordered) error {
	c, err := w.house.dialTemporal(w.t.Context())
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, stop := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer stop()
	return c.CancelWorkflow(ctx, export.RunWorkflowID(export.Ref{Tenant: o.tenant, RunID: o.run.RunID}), "")
}

// await waits for the end of a run, at most a minute: everything is back. What
// the API should not have answered is counted once, and asked for again: the run
// is still held to its twin.
func (w *torture) await(o *ordered) {
	if o.err != nil {
		w.found(&w.count.Stuck, "a run of %s was never acknowledged: %v", o.tenant, o.err)
		return
	}
	c, denied := w.client(o.tenant), false
	for deadline := time.Now().Add(restWithin); !o.run.Ended(); time.Sleep(25 * time.Millisecond) {
		if run, err := c.GetRun(w.t.Context(), o.run.RunID); err == nil {
			o.run = run
		} else if !client.Temporary(err) && !denied {
			denied = true
			w.found(&w.count.Lost, "run %s of %s was acknowledged, and the API denied it: %v", o.run.RunID, o.tenant, err)
		}
		if time.Now().After(deadline) {
			w.found(&w.count.Stuck, "run %s of %s is %s a minute after everything was back", o.run.RunID, o.tenant, o.run.Status)
			return
		}
	}
}

// compare holds ended runs to their twins: status, payload, and an archive
// that downloads and verifies. A run that somebody cancelled may have been
// aborted instead; then it says by whom and why, and gives no archive.
func (w *torture) compare(orders []ordered) {
	for _, o := range orders {
		w.compareCancel(o)
		switch {
		case !o.run.Ended(): // counted as stuck or lost
		case o.run.Status == client.RunStatusAborted && o.cancel != nobody:
			w.compareAborted(o)
		case o.run.Status != client.RunStatusSucceeded || o.run.PayloadDigest != w.twins[o.twin]:
			w.found(&w.count.Corrupted, "run %s of %s, cancelled by %q, ended %s with payload %s, its twin has %s: %+v", o.run.RunID, o.tenant, o.cancel,
				o.run.Status, o.run.PayloadDigest, w.twins[o.twin], o.run.Error)
		default:
			w.compareArchive(o)
		}
	}
}

func (w *torture) compareArchive(o ordered) {
	archive := filepath.Join(w.t.TempDir(), "bundle.tar")
	_, downloaded := w.house.stellaAs(w.t, w.tokens[o.tenant], "export", "download", o.run.RunID, "--output", archive)
	_, verified := w.house.stellaAs(w.t, w.tokens[o.tenant], "verify", archive, "--trust", w.house.env["STELLA_TRUST"])
	os.Remove(archive) //nolint:errcheck // the test's folder goes anyway
	if downloaded != 0 || verified != 0 {
		w.found(&w.count.Corrupted, "run %s of %s: download exits %d, verify exits %d", o.run.RunID, o.tenant, downloaded, verified)
	}
}

// compareCancel holds a cancel to its answer, and a run to who cancelled it and
// why. An aborted run says so; one that succeeded all the same says so when the
// API has acknowledged the cancel. The journal says it too: countJournals.
func (w *torture) compareCancel(o ordered) {
	if o.refused != nil {
		w.found(&w.count.Lost, "run %s of %s: a cancel was refused: %v", o.run.RunID, o.tenant, o.refused)
	}
	if o.unheard != nil {
		w.found(&w.count.Stuck, "run %s of %s: a cancel by the %s was never acknowledged: %v", o.run.RunID, o.tenant, o.cancel, o.unheard)
	}
	if o.cancel == nobody || !o.run.Ended() || o.run.Status != client.RunStatusAborted && !o.promised {
		return
	}
	by, reason := "temporal", "cancelled in Temporal"
	if o.cancel == byAPI {
		by, reason = o.run.RequestedBy, reasonOf(&o)
	}
	if said := o.run.Cancellation; said == nil || said.By != by || said.Reason != reason {
		w.found(&w.count.Lost, "run %s of %s ended %s and was cancelled by %s because of %q; it says %+v",
			o.run.RunID, o.tenant, o.run.Status, by, reason, said)
	}
}

func (w *torture) compareAborted(o ordered) {
	w.ofKind().aborted++
	if status, _ := w.get(o.tenant, "/api/export/runs/"+o.run.RunID+"/download"); status/100 == 2 {
		w.found(&w.count.Corrupted, "run %s of %s was aborted, and its download answers %d", o.run.RunID, o.tenant, status)
	}
}
