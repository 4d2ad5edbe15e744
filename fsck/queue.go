package fsck

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// mayTell are the states in which a transition has happened. A bundle that was
// built may still not be delivered.
var mayTell = map[export.Transition]func(export.State) bool{
	export.TransitionRequested: func(export.State) bool { return true },
	export.TransitionBuilt:     func(s export.State) bool { return s != export.StatePending },
	export.TransitionDistributed: func(s export.State) bool {
		return s == export.StateSucceeded || s == export.StatePartial || s == export.StateExpired
	},
	export.TransitionFailed: func(s export.State) bool { return s == export.StateFailed || s == export.StateAborted },
}

// outbox: nothing is told that did not happen, and what is told is about this
// run and stands at the right place of its story.
func (l *look) outbox(_ context.Context, of Divergence, r storage.RunRecord) error {
	for _, o := range r.Outbox {
		of.Subject = string(o.Event)
		happened := mayTell[o.Event]
		if waited := slices.Contains(toldOfWait(r.Wait), o.Event); r.Rebuild || !waited && (happened == nil || !happened(r.State)) {
			if err := l.tell(toldFalsely, of, "the run is %s", r.State); err != nil {
				return err
			}
			continue
		}
		if wrong := wrongIn(o, of.ref(), r); wrong != "" {
			if err := l.tell(outboxDiffers, of, "%s", wrong); err != nil {
				return err
			}
		}
	}
	return nil
}

// wrongIn says what in an event does not fit its run, "" for nothing.
func wrongIn(o storage.OutboxRecord, ref export.Ref, r storage.RunRecord) string {
	var told export.TimelineEvent
	if err := json.Unmarshal([]byte(o.Payload), &told); err != nil {
		return "its payload is no event: " + err.Error()
	}
	id := export.TimelineEventID(ref, o.Event)
	switch {
	case o.ID != id || told.EventID != id:
		return "its id is not the one of this run and transition, " + id
	case told.EventType != o.Event || told.RunID != ref.RunID || told.TenantID != ref.Tenant:
		return "its payload is about another transition, run or tenant"
	case o.Seq < 1 || o.Seq > max(r.LastEvent, r.Counter):
		return "it stands behind an event that the journal does not have"
	case o.Event == export.TransitionRequested && o.Seq != 1:
		return "a request stands behind the first event of its run"
	}
	return ""
}

// progress: a run is as far as its shards. Those of a run without a bundle are
// forgotten when its blobs are destroyed, and how far it was is left.
func (l *look) progress(ctx context.Context, of Divergence, r storage.RunRecord) error {
	says, are := r.Progress, r.Counted
	if r.State.Terminal() && !r.Keeps() && are.ShardsDone == 0 {
		are.ShardsDone, are.RecordsDone, are.BytesDone = says.ShardsDone, says.RecordsDone, says.BytesDone
	}
	if says == are {
		return nil
	}
	recount := func() (bool, error) { return l.Repairs.Recount(ctx, of.ref()) }
	return l.tellAndMend(ctx, progressDiffers, of, recount,
		"the run says %d of %d shards, %d of %d documents, %d of %d bytes; its shards are %d of %d, %d of %d, %d of %d",
		says.ShardsDone, says.Shards, says.RecordsDone, says.Records, says.BytesDone, says.Bytes,
		are.ShardsDone, are.Shards, are.RecordsDone, are.Records, are.BytesDone, are.Bytes)
}

// queue: requests count 1, 2, 3, each is a run, and only so many work at once.
func (l *look) queue(ctx context.Context, tenant string) error {
	q, err := l.Records.QueueRecord(ctx, tenant)
	if err != nil {
		return err
	}
	of := Divergence{Tenant: tenant}
	if q.Last < q.Greatest {
		raise := func() (bool, error) { return l.Repairs.RaiseQueue(ctx, tenant) }
		err := l.tellAndMend(ctx, queueCounter, of, raise, "the queue counts %d requests, a run has number %d", q.Last, q.Greatest)
		if err != nil {
			return err
		}
	}
	if given := max(q.Last, q.Greatest); given != q.Count {
		if err := l.tell(runLost, of, "%d numbers were given out, runs have %d of them", given, q.Count); err != nil {
			return err
		}
	}
	if limit := int64(l.Limits.OrDefault().Active); q.Active > limit {
		return l.tell(queueOver, of, "%d runs are at work, %d may be", q.Active, limit)
	}
	return nil
}
