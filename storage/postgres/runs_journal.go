package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

var _ storage.Journal = (*Runs)(nil)

// Heads says how far journals are.
func (r *Runs) Heads(ctx context.Context, tenant string, runs []string) (map[string]storage.Head, error) {
	heads := make(map[string]storage.Head, len(runs))
	err := r.db.readOnce(ctx, tenant, func(rows pgx.Rows) error {
		var id, status string
		var seq int64
		_, err := pgx.ForEachRow(rows, []any{&id, &seq, &status}, func() error {
			heads[id] = storage.Head{Seq: seq, Ended: export.State(status).Terminal()}
			return nil
		})
		return err
	}, `select id, event_seq, status from export_runs where tenant = $1 and id = any ($2)`, tenant, runs)
	if err != nil {
		return nil, fmt.Errorf("read how far journals are: %w", err)
	}
	return heads, nil
}

// listenSilence is how long the listening connection may be silent before it is asked
// whether it is still there.
var listenSilence = time.Minute

// Hear listens on a connection of its own, outside of the pool: it sees nothing
// but notifications.
func (r *Runs) Hear(ctx context.Context, heard func(storage.Notice)) error {
	conn, err := pgx.ConnectConfig(ctx, r.db.app.Config().ConnConfig)
	if err != nil {
		return classify("listen for events", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was written
	if _, err := conn.Exec(ctx, "listen "+eventChannel); err != nil {
		return classify("listen for events", err)
	}
	heard(storage.Notice{All: true}) // what was said before
	for {
		if err := hearOne(ctx, conn, heard); err != nil {
			return classify("listen for events", err)
		}
	}
}

// hearOne waits for a notification, or makes sure that there could be one.
func hearOne(ctx context.Context, conn *pgx.Conn, heard func(storage.Notice)) error {
	waiting, cancel := context.WithTimeout(ctx, listenSilence)
	defer cancel()
	notification, err := conn.WaitForNotification(waiting)
	switch {
	case err == nil:
		heard(parseNotice(notification.Payload))
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		asking, cancel := context.WithTimeout(ctx, notifyPatience)
		defer cancel()
		return conn.Ping(asking)
	}
	return err
}
