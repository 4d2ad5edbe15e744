package faults

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/internal/fault"
	"github.com/stella-ops/exportcenter/signing/dpop"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// entries are those of the case in its chain, or in the installation's.
func (c *frontCase) entries(ctx context.Context, who string) (entries []audit.Entry) {
	chain, subject := c.own(), ""
	if who == "root" {
		chain, subject = audit.Installation, "root@"+c.name
	}
	rows, _, err := postgres.NewAudit(c.front.db.DB).Entries(ctx, chain, storage.AuditFilter{Subject: subject, Limit: 10_000})
	if err != nil {
		c.violation("read the audit record: %v", err)
	}
	for _, row := range rows {
		e, err := audit.Decode(row.Line)
		if err != nil {
			c.violation("audit entry %d: %v", row.Seq, err)
		}
		entries = append(entries, e)
	}
	return entries
}

// mustBeUndone: a call that is not in the record has changed nothing. What a try
// changed it has recorded before, so the rows are read first.
func (c *frontCase) mustBeUndone(ctx context.Context, n int, s step) {
	if s.operation == "" || n == 0 && len(c.front.twin) == 0 {
		return
	}
	state, begun := c.state(ctx), 0
	for _, e := range c.entries(ctx, s.who) {
		if e.Operation == s.operation && e.Event == audit.CallBegun {
			begun++
		}
	}
	for _, earlier := range story()[:n] {
		if earlier.operation == s.operation && s.operation != "" {
			return // the one before has recorded it
		}
	}
	before := c.front.before
	if n > 0 {
		before = c.front.twin[n-1]
	}
	if begun == 0 && state != before {
		c.violation("%s was done without being recorded:\n  %s", s.operation, differs(before, state))
	}
}

// replay sends every proof again, with its token, to another process.
func (c *frontCase) replay(ctx context.Context) {
	for _, s := range c.sent {
		accepted := 0
		for range 2 {
			r, err := ask(ctx, c.front.next, s.token, s.proof, s.method, s.path, "")
			switch {
			case err != nil:
				c.violation("send the proof of %s %s again: %v", s.method, s.path, err)
			case r.status != 401 || !strings.Contains(r.body, string(dpop.ReasonReplayed)):
				accepted++
			}
			if !s.unused {
				break
			}
		}
		if accepted > 1 || accepted == 1 && !s.unused {
			c.violation("the proof of %s %s was accepted twice", s.method, s.path)
		}
	}
}

// judge holds the case against its twin, its answers against the record, and the
// record against its checkpoints.
func (c *frontCase) judge(ctx context.Context) {
	if state, want := c.state(ctx), c.front.twin[len(c.front.twin)-1]; state != want {
		c.violation("the rows are not those of the twin:\n  %s", differs(want, state))
	}
	for _, who := range []string{"own", "root"} {
		c.judgeRecord(c.entries(ctx, who))
	}
	for _, r := range c.answers {
		if r.requestID == "" && r.done() && r.operation != "ListProfilesV1" && !strings.HasPrefix(r.operation, "Get") {
			c.violation("%s was acknowledged and is not in the record", r.operation)
		}
	}
	c.judgeChain(ctx)
}

// judgeRecord: what was acknowledged has begun and ended in the record, and what the
// record says of a call is what its client was told.
func (c *frontCase) judgeRecord(entries []audit.Entry) {
	begun, ended := map[string]int{}, map[string]int{}
	for _, e := range entries {
		switch e.Event {
		case audit.CallBegun:
			begun[e.RequestID]++
		case audit.CallEnded:
			if begun[e.RequestID] == 0 {
				c.violation("%s ended before it began", e.Operation)
			}
			ended[e.RequestID]++
		default:
			continue
		}
		if begun[e.RequestID] > 1 || ended[e.RequestID] > 1 {
			c.violation("%s is in the record twice", e.Operation)
		}
		told := slices.IndexFunc(c.answers, func(r reply) bool { return r.requestID == e.RequestID })
		if told >= 0 && e.Event == audit.CallEnded && e.Status != c.answers[told].status {
			c.violation("%s ended with %d in the record, its client was told %d", e.Operation, e.Status, c.answers[told].status)
		}
	}
	if len(entries) == 0 {
		c.violation("the record is empty")
		return
	}
	for _, r := range c.answers {
		mine := r.requestID != "" && slices.ContainsFunc(entries, func(e audit.Entry) bool { return e.Operation == r.operation })
		if mine && r.done() && begun[r.requestID] == 0 {
			c.violation("%s was acknowledged, and the record has not its beginning", r.operation)
		}
		if mine && r.done() && ended[r.requestID] == 0 {
			c.mayHaveNoEnd(r)
		}
	}
}

// mayHaveNoEnd: only a fault of the record itself keeps an end out of it, and the
// log has it then.
func (c *frontCase) mayHaveNoEnd(r reply) {
	if c.fault.Point != fault.Append || c.endless {
		c.violation("%s was acknowledged, and the record has not its end", r.operation)
	}
	c.endless = true
	for _, line := range strings.Split(c.faulty.world.Log.String(), "\n") {
		if strings.Contains(line, "the end of a call is not in the audit record") && strings.Contains(line, r.requestID) {
			return
		}
	}
	c.violation("%s was acknowledged, and neither record nor log has its end", r.operation)
}

// judgeChain: the chain is whole, and each checkpoint verifies and lies on it.
func (c *frontCase) judgeChain(ctx context.Context) {
	rows, err := c.front.looks.Query(ctx, "select seq, envelope from audit_checkpoints where tenant = $1 order by seq", c.own())
	if err != nil {
		c.violation("read checkpoints: %v", err)
		return
	}
	type kept struct {
		Seq      int64
		Envelope string
	}
	checkpoints, err := pgx.CollectRows(rows, pgx.RowToStructByPos[kept])
	if err != nil || len(checkpoints) < 2 {
		c.violation("there are %d checkpoints, want two and more: %v", len(checkpoints), err)
		return
	}
	lines, _, err := postgres.NewAudit(c.front.db.DB).Entries(ctx, c.own(), storage.AuditFilter{Limit: 10_000})
	if err != nil {
		c.violation("read the chain: %v", err)
		return
	}
	var earlier *audit.Earlier
	for _, k := range checkpoints {
		if k.Seq > int64(len(lines)) {
			c.violation("a checkpoint is over entry %d, the chain has %d", k.Seq, len(lines))
			return
		}
		var text bytes.Buffer
		for _, line := range lines[:k.Seq] {
			text.Write(append(line.Line, '\n'))
		}
		text.Write(append(audit.CheckpointLine([]byte(k.Envelope)), '\n'))
		report, err := audit.Verify(&text, c.front.keys, earlier)
		if err != nil {
			c.violation("the checkpoint over entry %d: %v", k.Seq, err)
		}
		earlier = &audit.Earlier{Checkpoint: report.Checkpoint}
	}
	if last := checkpoints[len(checkpoints)-1].Seq; last != int64(len(lines)) {
		c.violation("the last checkpoint is over entry %d of %d", last, len(lines))
	}
}
