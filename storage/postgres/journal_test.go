package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// hear collects notices until the test ends.
func hear(t *testing.T, db *postgres.DB) (heard func() []storage.Notice) {
	t.Helper()
	var mu sync.Mutex
	var all []storage.Notice
	listening := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- postgres.NewRuns(db).Hear(ctx, func(n storage.Notice) {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, n)
			select {
			case listening <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		require.Error(t, <-ended)
	})
	<-listening // the first notice says: look at everything
	return func() []storage.Notice {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

func told(notices []storage.Notice, ref export.Ref) (n int) {
	for _, notice := range notices[1:] {
		for _, topic := range notice.Topics {
			if topic == storage.TopicOf(ref) {
				n++
			}
		}
	}
	return n
}

// Another process hears of every event that was committed, under names that say
// nothing, and of none that was rolled back.
func TestProcessesHearOfEachOthersEvents(t *testing.T) {
	w := newWorld(t)
	other, err := postgres.Open(t.Context(), w.Config)
	require.NoError(t, err)
	defer other.Close()
	heard := hear(t, other)
	require.True(t, heard()[0].All)

	run := w.started(t, "acme", 1)
	claim := w.begin(t, run.Ref(), export.PhaseAdapt, 1)
	require.Eventually(t, func() bool { return told(heard(), run.Ref()) > 0 }, 5*time.Second, 5*time.Millisecond)
	// One process tells in order: what it wrote before this run is told before it.
	second := w.create(t, "globex", 2)
	require.Eventually(t, func() bool { return told(heard(), second.Ref()) > 0 }, 5*time.Second, 5*time.Millisecond)
	before := told(heard(), run.Ref())
	stale := claim
	stale.Attempt--
	require.ErrorIs(t, w.exec.AddEvent(t.Context(), stale, "", export.Event{Type: export.EventAdapterChunk, At: at(1)}), storage.ErrStale)
	third := w.create(t, "globex", 3)
	require.Eventually(t, func() bool { return told(heard(), third.Ref()) > 0 }, 5*time.Second, 5*time.Millisecond)
	require.Equal(t, before, told(heard(), run.Ref()), "nothing was written")
}

// A storm of events is few notices: a process sends one in 50 ms at most.
func TestNoticesAreGathered(t *testing.T) {
	w := newWorld(t)
	heard := hear(t, w.DB)
	began := time.Now()
	for n := range 40 {
		w.create(t, "acme", n+1)
	}
	last := w.create(t, "acme", 99).Ref()
	require.Eventually(t, func() bool { return told(heard(), last) > 0 }, 5*time.Second, 5*time.Millisecond)
	most := int(time.Since(began)/(50*time.Millisecond)) + 2
	require.LessOrEqual(t, len(heard())-1, most)
}

func TestNoticesAsText(t *testing.T) {
	one, two := storage.TopicOf(export.Ref{Tenant: "a", RunID: "1"}), storage.TopicOf(export.Ref{Tenant: "a", RunID: "2"})
	require.NotEqual(t, one, two)
	text := postgres.NoticeText(map[storage.Topic]bool{one: true, two: true})
	require.ElementsMatch(t, []storage.Topic{one, two}, postgres.ParseNotice(text).Topics)
	many := map[storage.Topic]bool{}
	for n := range 400 {
		many[storage.Topic{byte(n), byte(n >> 8)}] = true
	}
	require.Less(t, len(postgres.NoticeText(many)), 8000, "what PostgreSQL takes")
	require.Len(t, postgres.ParseNotice(postgres.NoticeText(many)).Topics, 400)
	many[one] = true
	require.Equal(t, storage.Notice{All: true}, postgres.ParseNotice(postgres.NoticeText(many)), "too many mean all")
	for _, odd := range []string{"", "x", "00", "0011223344556677 zz"} {
		require.Equal(t, storage.Notice{All: true}, postgres.ParseNotice(odd), odd)
	}
}

// A listener is not misled by silence, and says when its connection is gone.
func TestHearingThroughSilence(t *testing.T) {
	postgres.ListenSilence(t, 20*time.Millisecond)
	w := newWorld(t)
	heard := hear(t, w.DB)
	time.Sleep(100 * time.Millisecond) // several silences
	run := w.create(t, "acme", 1)
	require.Eventually(t, func() bool { return told(heard(), run.Ref()) > 0 }, 5*time.Second, 5*time.Millisecond)

	ended := make(chan error, 1)
	go func() { ended <- w.runs.Hear(t.Context(), func(storage.Notice) {}) }()
	admin := connect(t, w.Admin)
	require.Eventually(t, func() bool {
		_, err := admin.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen %' or query = '-- ping'`)
		return err == nil && len(ended) == 1
	}, 5*time.Second, 20*time.Millisecond)
	require.Equal(t, export.CodeUnavailable, export.CodeOf(<-ended))
}

func TestHeads(t *testing.T) {
	w := worldOf(pgtest.New(t))
	run := w.started(t, "acme", 1)
	done := w.delivered(t, "acme", 2)
	w.finish(t, done.Ref(), storage.Outcome{State: export.StateSucceeded, At: at(120), Message: "done",
		Timeline: []export.TimelineEvent{timeline(done.Ref(), export.TransitionDistributed)}})
	foreign := w.create(t, "globex", 3)
	heads, err := w.runs.Heads(t.Context(), "acme", []string{run.ID, done.ID, foreign.ID, runID(99), "no id"})
	require.NoError(t, err)
	require.Equal(t, storage.Head{Seq: 2}, heads[run.ID])
	require.Equal(t, storage.Head{Seq: int64(len(w.journal(t, done.Ref()))), Ended: true}, heads[done.ID])
	require.Len(t, heads, 2, "neither foreign nor absent runs")
}

// With its end a journal says what belongs to it: where the bundle is, or why the
// adapter failed; once, whoever repeats the end.
func TestWhatIsToldBeforeTheEnd(t *testing.T) {
	w := newWorld(t)
	done := w.delivered(t, "acme", 1)
	w.finish(t, done.Ref(), succeeded(done))
	events := w.journal(t, done.Ref())
	ready, last := events[len(events)-2], events[len(events)-1]
	require.Equal(t, export.EventSucceeded, last.Type)
	require.True(t, last.Type.Terminal())
	require.Equal(t, export.EventArtifactReady, ready.Type)
	require.Equal(t, digest("archive").String()+" at /api/export/runs/"+done.ID+"/download", ready.Message)
	require.Equal(t, map[string]int64{"bytes": 7}, ready.Metrics)

	bad := w.started(t, "acme", 2)
	outcome := failed(bad)
	outcome.Failure = &export.Failure{Code: export.CodeAOC, Message: "evidence differs", Phase: export.PhaseAdapt}
	w.finish(t, bad.Ref(), outcome)
	_, err := w.exec.Finish(t.Context(), storage.Claim{Ref: bad.Ref(), Phase: export.PhaseEmitTimeline, Attempt: 1}, outcome)
	require.NoError(t, err)
	events = w.journal(t, bad.Ref())
	require.Equal(t, []export.EventType{export.EventPending, export.EventStarted, export.EventAdapterError, export.EventFailed}, w.types(t, bad.Ref()))
	require.Equal(t, "ERR_EXPORT_016: evidence differs", events[2].Message)

	other := w.started(t, "acme", 3)
	w.finish(t, other.Ref(), failed(other))
	require.NotContains(t, w.types(t, other.Ref()), export.EventAdapterError, "it failed elsewhere")
}
