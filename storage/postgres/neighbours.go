package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Neighbours looks at a tenant from within that tenant's own wall: there is no role
// that sees two.
type Neighbours struct{ db *DB }

var _ storage.Neighbours = (*Neighbours)(nil)

// NewNeighbours makes the view.
func NewNeighbours(db *DB) *Neighbours { return &Neighbours{db: db} }

// heldProjects steps from project to project in an index: a project costs a look-up,
// however many documents it has.
const heldProjects = `
with recursive p (project) as (
  (select project from ledger_observations where tenant = $1 order by project limit 1)
  union all
  select (select o.project from ledger_observations o where o.tenant = $1 and o.project > p.project order by o.project limit 1)
  from p where p.project is not null
)
select project from p where project is not null
and exists (select from ledger_observations o where o.tenant = $1 and o.project = p.project and o.seq <= $2) order by project`

// Look implements storage.Neighbours.
func (n *Neighbours) Look(ctx context.Context, tenant string) (storage.Outlook, error) {
	var found storage.Outlook
	err := n.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		var state export.TenantState
		err := tx.QueryRow(ctx, `
			select clock_timestamp(), t.state, coalesce((select seq from ledger_heads where tenant = $1), 0)
			from tenants t where t.tenant = $1`, tenant).Scan(&found.Now, &state, &found.Head)
		if errors.Is(err, pgx.ErrNoRows) {
			return storage.ErrNotFound
		}
		if err != nil {
			return err
		}
		found.Now, found.Active = found.Now.UTC(), state == export.TenantActive
		rows, err := tx.Query(ctx, heldProjects, tenant, found.Head)
		if err != nil {
			return err
		}
		found.Projects, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return storage.Outlook{}, fmt.Errorf("look at another tenant: %w", err)
	}
	return found, nil
}
