package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// memories are the tables that let a run use the work of an earlier one: the
// plans, what was packed of a shard, and where its documents are.
var memories = []string{"export_plans", "export_packed", "export_shards"}

// forget empties the tenant's memories. A release that has none of them has
// nothing to forget.
func forget(ctx context.Context, conn *pgx.Conn, tenant string) error {
	for _, table := range memories {
		var there bool
		if err := conn.QueryRow(ctx, "select to_regclass($1) is not null", table).Scan(&there); err != nil {
			return fmt.Errorf("look for %s: %w", table, err)
		}
		if !there {
			continue
		}
		if _, err := conn.Exec(ctx, "delete from "+table+" where tenant = $1", tenant); err != nil {
			return fmt.Errorf("forget %s: %w", table, err)
		}
	}
	return nil
}
