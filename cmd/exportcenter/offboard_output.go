package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/stella-ops/exportcenter/offboarding"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// offboarded is what is told of a tenant that is gone.
type offboarded struct {
	Status   string              `json:"status"` // always "offboarded"
	Tenant   string              `json:"tenant"`
	EndedAt  time.Time           `json:"endedAt"`
	Runs     int64               `json:"runs"`
	Blobs    int64               `json:"blobs"`
	Bytes    int64               `json:"bytes"`
	Rows     int64               `json:"rows"`
	Tables   []offboarding.Table `json:"tables"`
	Envelope json.RawMessage     `json:"record"`
}

// whatWasRemoved reads it off the record that was kept. Its signature is for others
// to check: the key may have been another one by then.
func whatWasRemoved(ctx context.Context, db *postgres.DB, tenant string) (offboarded, error) {
	envelope, err := postgres.NewTenants(db).OffboardingRecord(ctx, tenant)
	if err != nil {
		return offboarded{}, err
	}
	record, err := offboarding.Read(envelope)
	if err != nil {
		return offboarded{}, fmt.Errorf("the record of %s: %w", tenant, err)
	}
	told := offboarded{Status: "offboarded", Tenant: tenant, EndedAt: record.EndedAt, Runs: record.Runs.Count,
		Blobs: record.Blobs.Count, Bytes: record.Blobs.Bytes, Tables: record.Tables, Envelope: envelope}
	for _, t := range record.Tables {
		told.Rows += t.Rows
	}
	return told, nil
}

var offboardFormats = map[string]func(io.Writer, offboarded) error{
	"table": func(w io.Writer, o offboarded) error {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintf(table, "offboarded\t%s\n  ended\t%s\n  runs\t%d\n  blobs\t%d (%d bytes)\n  rows\t%d\n  record\tstella tenant record %s --output FILE\n",
			o.Tenant, o.EndedAt.Format(time.RFC3339), o.Runs, o.Blobs, o.Bytes, o.Rows, o.Tenant)
		return table.Flush()
	},
	"json": func(w io.Writer, o offboarded) error {
		raw, err := json.Marshal(o)
		if err != nil {
			return fmt.Errorf("encode what was removed: %w", err)
		}
		_, err = fmt.Fprintf(w, "%s\n", raw)
		return err
	},
}
