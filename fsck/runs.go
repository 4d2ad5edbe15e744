package fsck

import (
	"context"
	"slices"
	"time"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// runsAtOnce bounds a page of runs.
const runsAtOnce = 200

func (l *look) runs(ctx context.Context, tenant string) error {
	l.newest = time.Time{}
	for after := ""; ; {
		page, err := l.Records.RunRecords(ctx, tenant, after, runsAtOnce)
		if err != nil {
			return err
		}
		for _, r := range page {
			l.looked.Runs++
			l.note(r)
			after = r.ID
			if err := l.run(ctx, tenant, r); err != nil {
				return err
			}
		}
		if len(page) < runsAtOnce {
			if err := l.queue(ctx, tenant); err != nil {
				return err
			}
			return l.usage(ctx, tenant)
		}
	}
}

func (l *look) run(ctx context.Context, tenant string, r storage.RunRecord) error {
	of := Divergence{Tenant: tenant, Run: r.ID}
	for _, check := range []func(context.Context, Divergence, storage.RunRecord) error{l.journal, l.end, l.told, l.outbox, l.progress, l.bundle, l.onItsWay, l.waits} {
		if err := check(ctx, of, r); err != nil {
			return err
		}
	}
	return nil
}

// journal: events count 1, 2, 3, and the row knows the last (ARCHITECTURE D6).
func (l *look) journal(ctx context.Context, of Divergence, r storage.RunRecord) error {
	if r.Events == 0 || r.FirstEvent != 1 || r.LastEvent != r.Events {
		err := l.tell(journalGap, of, "the journal has %d events, numbered from %d to %d", r.Events, r.FirstEvent, r.LastEvent)
		if err != nil {
			return err
		}
	}
	if r.Counter != r.LastEvent {
		raise := func() (bool, error) { return l.Repairs.RaiseCounter(ctx, of.ref()) }
		return l.tellAndMend(ctx, journalCounter, of, raise, "the run counts %d events, the last in its journal is number %d", r.Counter, r.LastEvent)
	}
	return nil
}

// endOf is the event of a run's end. Retention turns a bundle's run into an
// expired one without another event; for partial and expired any end will do.
var endOf = map[export.State]export.EventType{
	export.StateSucceeded: export.EventSucceeded,
	export.StateFailed:    export.EventFailed,
	export.StateAborted:   export.EventAborted,
}

func (l *look) end(_ context.Context, of Divergence, r storage.RunRecord) error {
	want := 0
	if r.State.Terminal() {
		want = 1
	}
	event, known := endOf[r.State]
	if len(r.Ends) == want && (!known || r.Ends[0] == event) {
		return nil
	}
	return l.tell(endEvents, of, "the run is %s; the events of its end are %v", r.State, r.Ends)
}

// told: every transition is in the outbox, once (the table sees to "once").
func (l *look) told(_ context.Context, of Divergence, r storage.RunRecord) error {
	if r.Rebuild {
		return nil
	}
	want := []export.Transition{export.TransitionRequested}
	switch r.State {
	case export.StateSucceeded, export.StatePartial, export.StateExpired:
		want = append(want, export.TransitionBuilt, export.TransitionDistributed)
	case export.StateFailed, export.StateAborted:
		want = append(want, export.TransitionFailed)
	}
	want = append(want, toldOfWait(r.Wait)...)
	for _, t := range want {
		if slices.ContainsFunc(r.Outbox, func(o storage.OutboxRecord) bool { return o.Event == t }) {
			continue
		}
		of.Subject = string(t)
		if err := l.tell(untold, of, "the run is %s and the outbox has no %s", r.State, t); err != nil {
			return err
		}
	}
	return nil
}

// bundle: success means everything promised is there (ARCHITECTURE D13).
func (l *look) bundle(_ context.Context, of Divergence, r storage.RunRecord) error {
	if !r.Keeps() {
		return nil
	}
	if r.ArchiveDigest == "" {
		if err := l.tell(archiveMissing, of, "the run is %s and its row has no archive digest", r.State); err != nil {
			return err
		}
	} else if !slices.Contains(r.Delivered, r.ArchiveDigest) {
		of.Subject = r.ArchiveDigest
		if err := l.tell(distributionMissing, of, "the run is %s; delivered were %v", r.State, r.Delivered); err != nil {
			return err
		}
		of.Subject = ""
	}
	if !r.Sealed {
		return l.tell(sealMissing, of, "the run is %s and its bundle has no seal", r.State)
	}
	return nil
}

// onItsWay names what should have moved on by now.
func (l *look) onItsWay(ctx context.Context, of Divergence, r storage.RunRecord) error {
	switch {
	case r.State == export.StatePending, r.State == export.StateRunning:
		if l.longAgo(r.LastSign) {
			return l.tell(runStuck, of, "the run is %s and has given no sign since %s", r.State, r.LastSign.Format(time.RFC3339))
		}
	case r.State == export.StateFailed, r.State == export.StateAborted, r.State.Terminal() && r.Rebuild:
		if r.Pins > 0 && l.longAgo(r.CompletedAt) {
			destroy := func() (bool, error) {
				_, err := l.destroy(ctx, of.ref())
				return err == nil, err
			}
			return l.tellAndMend(ctx, pinLeft, of, destroy, "the run is %s since %s and still keeps %d blobs", r.State, r.CompletedAt.Format(time.RFC3339), r.Pins)
		}
	}
	return nil
}
