package box

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/internal/pgchild"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// temporalRole owns Temporal's two databases and, being allowed to make
// databases, makes them.
const temporalRole = "temporal"

// setUpDatabase makes the roles of both services and the database, as often as
// PostgreSQL is killed in the middle, until ctx ends.
func (b *box) setUpDatabase(ctx context.Context) error {
	for {
		err := b.trySetUp(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (b *box) trySetUp(ctx context.Context) error {
	pg, p := b.postgresConfig(), b.state.Passwords
	if err := pgchild.Ready(ctx, pg); err != nil {
		return err
	}
	passwords := postgres.Passwords{Owner: p.Owner, App: p.App, Dispatch: p.Dispatch, Offboard: p.offboard()}
	if err := postgres.Bootstrap(ctx, pg.AdminDSN(), postgres.DatabaseName, passwords); err != nil {
		return err
	}
	return ensureTemporalRole(ctx, pg.AdminDSN(), p.Temporal)
}

// ensureTemporalRole makes the role, or gives it the password of this box. The
// password is hexadecimal and of our own making: it needs no quoting.
func ensureTemporalRole(ctx context.Context, adminDSN, password string) error {
	conn, err := pgx.Connect(ctx, adminDSN)
	if err != nil {
		return fmt.Errorf("make Temporal's role: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // everything was committed
	var exists bool
	if err := conn.QueryRow(ctx, `select exists (select from pg_roles where rolname = $1)`, temporalRole).Scan(&exists); err != nil {
		return fmt.Errorf("look for Temporal's role: %w", err)
	}
	verb := "create"
	if exists {
		verb = "alter"
	}
	role := pgx.Identifier{temporalRole}.Sanitize()
	if _, err := conn.Exec(ctx, fmt.Sprintf(`%s role %s login createdb password '%s'`, verb, role, password)); err != nil {
		return fmt.Errorf("make Temporal's role: %w", err)
	}
	return nil
}
