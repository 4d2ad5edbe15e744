//go:build torture

package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
)

// besieged is a torture whose house answers as answer says.
func besieged(t *testing.T, answer http.HandlerFunc) *torture {
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return &torture{t: t, house: &house{env: map[string]string{"STELLA_SERVER": server.URL}}, tokens: map[string]string{"t": "x"},
		kind: atRest, rows: map[string]*kindRow{}, planted: true}
}

// TestTortureCountsARefusalAndAsksOn: one answer of the API that is wrong is a
// loss, whatever it answers later, and the run is still followed to its end.
func TestTortureCountsARefusalAndAsksOn(t *testing.T) {
	asked := 0
	w := besieged(t, func(rw http.ResponseWriter, _ *http.Request) {
		run := client.Run{RunID: "r", Status: client.RunStatusRunning}
		switch asked++; {
		case asked < 3:
			rw.WriteHeader(http.StatusInternalServerError)
		case asked > 3:
			run.Status = client.RunStatusSucceeded
		}
		json.NewEncoder(rw).Encode(run) //nolint:errcheck // the client would notice
	})
	o := ordered{tenant: "t", run: client.Run{RunID: "r", Status: client.RunStatusPending}}
	w.await(&o)
	require.Equal(t, client.RunStatusSucceeded, o.run.Status)
	require.Equal(t, tally{Lost: 1}, w.count, "once, however often it was answered")
}

// TestTortureRemembersWhatACancelWasTold: what the API has promised must be in
// the run, and what nobody answered is told.
func TestTortureRemembersWhatACancelWasTold(t *testing.T) {
	for _, c := range []struct {
		status                     int
		promised, refused, unheard bool
		count                      tally // when the run says nothing of a cancel
	}{
		{status: http.StatusAccepted, promised: true, count: tally{Lost: 1}},
		{status: http.StatusConflict},
		{status: http.StatusInternalServerError, refused: true, count: tally{Lost: 1}},
		{status: http.StatusServiceUnavailable, unheard: true, count: tally{Stuck: 1}},
	} {
		t.Run(http.StatusText(c.status), func(t *testing.T) {
			w := besieged(t, func(rw http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					rw.WriteHeader(c.status)
				}
				json.NewEncoder(rw).Encode(client.Run{RunID: "r", Status: client.RunStatusRunning}) //nolint:errcheck // the client would notice
			})
			o := ordered{tenant: "t", key: "k", cancel: byAPI, run: client.Run{RunID: "r", RequestedBy: "kim", Status: client.RunStatusSucceeded}}
			w.cancelRun(&o, w.client("t"), 500*time.Millisecond)
			require.Equal(t, c.promised, o.promised)
			require.Equal(t, c.refused, o.refused != nil, "%v", o.refused)
			require.Equal(t, c.unheard, o.unheard != nil, "%v", o.unheard)
			w.compareCancel(o)
			require.Equal(t, c.count, w.count)

			w.count = tally{}
			o.refused, o.unheard = nil, nil
			o.run.Cancellation = &client.Cancellation{By: "kim", Reason: reasonOf(&o)}
			w.compareCancel(o)
			require.Equal(t, tally{}, w.count)
		})
	}
}

// TestTorturePercentileIsOfWhatResumed: a fault after which every run had ended
// by the time everything was back says nothing of how soon runs go on.
func TestTorturePercentileIsOfWhatResumed(t *testing.T) {
	at := time.Now()
	back := at.Add(time.Second)
	run := func(ended time.Time) ordered {
		return ordered{asked: at.Add(-time.Second), run: client.Run{CompletedAt: ended}}
	}
	w := &torture{t: t, kind: "kill worker", rows: map[string]*kindRow{}}
	for _, ends := range [][]time.Time{
		{at.Add(-time.Millisecond)},                            // hit nothing
		{at.Add(time.Millisecond)},                             // needed nothing that was away
		{at.Add(time.Millisecond), back.Add(5 * time.Second)},  // one did
		{back.Add(3 * time.Second), back.Add(2 * time.Second)}, // both did
	} {
		var orders []ordered
		for _, end := range ends {
			orders = append(orders, run(end))
		}
		w.counted(hitBy(blow{at: at, back: back}, orders))
	}
	row := w.ofKind()
	require.Equal(t, tally{Faults: 3, InvalidRuns: 1}, w.count)
	require.Equal(t, []time.Duration{5 * time.Second, 3 * time.Second}, row.resumed)
	require.Equal(t, 3*time.Second, percentile(row.resumed, 50))
}
