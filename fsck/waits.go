package fsck

import (
	"context"
	"time"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// toldOfWait are the transitions of a run that waits, or waited, for an approval.
func toldOfWait(w *export.Wait) []export.Transition {
	if w == nil {
		return nil
	}
	all := []export.Transition{export.TransitionWaiting}
	if w.Decision == nil {
		return all
	}
	switch w.Decision.Verdict {
	case export.VerdictApproved:
		all = append(all, export.TransitionApproved)
	case export.VerdictRejected:
		all = append(all, export.TransitionRejected)
	}
	return all
}

// waits: whoever decides can read why the run waits; it may do so until its time is
// over, and what was decided is carried out. One that was approved waits for a slot as
// long as that takes, while its queue moves.
func (l *look) waits(_ context.Context, of Divergence, r storage.RunRecord) error {
	if (r.Wait != nil) != r.Guarded {
		if err := l.tell(guardMissing, of, "the run is %s; it waited: %t, a report that parked it is there: %t", r.State, r.Wait != nil, r.Guarded); err != nil {
			return err
		}
	}
	if r.State != export.StateWaiting || r.Wait == nil {
		return nil
	}
	stuck := func(what string, since time.Time) error {
		if !l.longAgo(since) {
			return nil
		}
		return l.tell(runStuck, of, "the run is waiting, %s at %s, and its workflow has done nothing about it", what, since.Format(time.RFC3339))
	}
	switch d := r.Wait.Decision; {
	case d == nil:
		return stuck("its time was over", r.Wait.Until)
	case d.Verdict != export.VerdictApproved:
		return stuck("it was "+string(d.Verdict), d.At)
	case !r.Wait.ResumedAt.IsZero():
		return stuck("it got a slot", r.Wait.ResumedAt)
	}
	return stuck("it was approved, and its queue last moved", latest(r.Wait.Decision.At, r.LastSign))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
