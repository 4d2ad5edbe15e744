package oracle

import (
	"fmt"

	"github.com/stella-ops/exportcenter/export"
)

// reportedAs is how an end is reported to the Findings Ledger.
var reportedAs = map[export.State]string{
	export.StateSucceeded: "succeeded", export.StateFailed: "failed", export.StateAborted: "canceled",
}

// report: the end of the run is reported to the Findings Ledger, once, and the two
// events that tell of that are in the outbox, once each.
func (j *judgement) report() error {
	var records, created, entries int
	var status string
	err := j.admin.QueryRow(j.ctx, `
		select count(*), coalesce(min(status), ''),
			(select count(*) from export_outbox o where o.tenant = $1 and o.run_id is null
				and o.event_type = 'orchestrator.export.created' and o.payload::jsonb ->> 'correlationId' = $2),
			(select count(*) from export_outbox o where o.tenant = $1 and o.run_id is null
				and o.event_type = 'ledger_export' and o.payload::jsonb ->> 'correlationId' = $2)
		from orchestrator_exports where tenant = $1 and run_id = $2`, j.ref.Tenant, j.ref.RunID).Scan(&records, &status, &created, &entries)
	if err != nil {
		return fmt.Errorf("read its reports: %w", err)
	}
	if j.want.Rebuild {
		if records+created+entries != 0 {
			j.say("a rebuild is reported %d times, and told of %d times", records, created+entries)
		}
		return nil
	}
	if want := reportedAs[j.want.State]; records != 1 || status != want {
		j.say("%d reports of the run, %q; want one, %q", records, status, want)
	}
	if created != 1 || entries != 1 {
		j.say("the outbox tells of the report %d times and the timeline %d times, want once", created, entries)
	}
	return nil
}
