package faults

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// prepareState makes the statement that gives every row of some tenants, but for the
// audit record, which has a judge of its own.
func (f *front) prepareState(t *testing.T) {
	t.Helper()
	rows, err := f.looks.Query(t.Context(), `select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant'
		where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname !~ '^(audit|dpop)_' order by 1`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Greater(t, len(tables), 20)
	var parts []string
	for _, table := range tables {
		parts = append(parts, fmt.Sprintf("select '%s ' || to_jsonb(t)::text from %s t where tenant like $1", table, table))
	}
	f.stateSQL = strings.Join(parts, " union all ")
}

// What differs between a case and its twin: ids, times, and hashes over them.
var (
	anID   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	aHash  = regexp.MustCompile(`[0-9a-f]{64}`)
	aTime  = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?`)
	aPlace = regexp.MustCompile(`"(xid|position|id|block)": \d+`)
)

// state is every row of the case's tenants, in words that all cases share.
func (c *frontCase) state(ctx context.Context) string {
	rows, err := c.front.looks.Query(ctx, c.front.stateSQL, c.name+"-%")
	if err == nil {
		var lines []string
		if lines, err = pgx.CollectRows(rows, pgx.RowTo[string]); err == nil {
			for i, line := range lines {
				line = strings.ReplaceAll(line, c.name, "case")
				line = anID.ReplaceAllString(line, "<id>")
				line = aHash.ReplaceAllString(line, "<hash>")
				line = aTime.ReplaceAllString(line, "<time>")
				lines[i] = aPlace.ReplaceAllString(line, `"$1": <n>`)
			}
			slices.Sort(lines)
			return strings.Join(lines, "\n")
		}
	}
	c.violation("read the rows: %v", err)
	return ""
}

// differs names the rows that one of two states has alone.
func differs(want, got string) string {
	wanted, there := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out []string
	for _, line := range wanted {
		if i := slices.Index(there, line); i >= 0 {
			there = slices.Delete(there, i, i+1)
		} else {
			out = append(out, "lacks "+line)
		}
	}
	for _, line := range there {
		out = append(out, "has too much: "+line)
	}
	return strings.Join(out, "\n  ")
}
