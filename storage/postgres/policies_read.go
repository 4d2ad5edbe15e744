package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

const (
	snapshotColumns = "tenant, project, id, name, version, sha256, bytes, description, created_by, created_at, archived_by, archived_at"
	snapshotSQL     = "select " + snapshotColumns + " from policy_snapshots"
)

// oneSnapshot reads a row that begins with snapshotColumns, then more.
func oneSnapshot(row pgx.Row, more ...any) (s export.PolicySnapshot, err error) {
	var digest bundle.Digest
	var archivedBy *string
	var archivedAt *time.Time
	err = row.Scan(append([]any{&s.Tenant, &s.Project, &s.ID, &s.Name, &s.Version, (*digestColumn)(&digest), &s.Bytes,
		&s.Description, &s.CreatedBy, &s.CreatedAt, &archivedBy, &archivedAt}, more...)...)
	if err != nil {
		return export.PolicySnapshot{}, err
	}
	if s.Project == noProject {
		s.Project = ""
	}
	s.Digest, s.CreatedAt = digest.String(), s.CreatedAt.UTC()
	s.ArchivedBy, s.ArchivedAt = textOf(archivedBy), timeOf(archivedAt)
	return s, nil
}

func collectSnapshot(row pgx.CollectableRow) (export.PolicySnapshot, error) { return oneSnapshot(row) }

// presentSnapshot says in our words that there is no such snapshot.
func presentSnapshot(id string, err error) error {
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	return storage.NoSnapshot(id)
}

// GetSnapshot gives a snapshot by its id.
func (p *PolicySnapshots) GetSnapshot(ctx context.Context, tenant, id string) (s export.PolicySnapshot, err error) {
	err = p.db.readOnce(ctx, tenant, func(rows pgx.Rows) (err error) {
		s, err = pgx.CollectExactlyOneRow(rows, collectSnapshot)
		return presentSnapshot(id, err)
	}, snapshotSQL+" where tenant = $1 and id = $2", tenant, storable(id))
	if err != nil {
		return export.PolicySnapshot{}, fmt.Errorf("read policy snapshot: %w", err)
	}
	return s, nil
}

// ReadPack gives a snapshot with its pack, and none that is not what was imported.
func (p *PolicySnapshots) ReadPack(ctx context.Context, tenant, id string) (s export.PolicySnapshot, pack []byte, err error) {
	err = p.db.readOnce(ctx, tenant, func(rows pgx.Rows) (err error) {
		s, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (export.PolicySnapshot, error) { return oneSnapshot(row, &pack) })
		return presentSnapshot(id, err)
	}, "select "+snapshotColumns+", pack from policy_snapshots where tenant = $1 and id = $2", tenant, storable(id))
	if err == nil && bundle.DigestOf(pack).String() != s.Digest {
		err = storage.ErrCorrupt
	}
	if err != nil {
		return export.PolicySnapshot{}, nil, fmt.Errorf("read the pack of policy snapshot %.80q: %w", id, err)
	}
	return s, pack, nil
}

// ListSnapshots gives a page of snapshots, ordered by name and version.
func (p *PolicySnapshots) ListSnapshots(ctx context.Context, tenant string, f storage.SnapshotFilter) (page []export.PolicySnapshot, next string, err error) {
	query, args, err := snapshotQuery(tenant, f)
	if err != nil {
		return nil, "", err
	}
	err = p.db.readOnce(ctx, tenant, func(rows pgx.Rows) (err error) {
		page, err = pgx.CollectRows(rows, collectSnapshot)
		return err
	}, query, args...)
	if err != nil {
		return nil, "", fmt.Errorf("list policy snapshots: %w", err)
	}
	page, next = storage.SnapshotPage(page, f.Limit)
	return page, next, nil
}

func snapshotQuery(tenant string, f storage.SnapshotFilter) (string, []any, error) {
	after, err := f.After()
	if err != nil {
		return "", nil, err
	}
	if f.Limit < 1 || f.Limit > maxPage {
		return "", nil, &export.Error{Code: export.CodeValidation, Class: export.ClassPermanent, Field: "limit",
			Message: fmt.Sprintf("limit is %d; it must be 1 to %d", f.Limit, maxPage)}
	}
	where, args := []string{"tenant = $1", "(name, version) > ($2, $3)"}, []any{tenant, after.Name, after.Version}
	for _, equal := range []struct{ column, value string }{{"project", f.Project}, {"name", f.Name}} {
		if equal.value != "" {
			args = append(args, storable(equal.value))
			where = append(where, equal.column+" = $"+strconv.Itoa(len(args)))
		}
	}
	switch f.Archived {
	case storage.ArchivedInclude:
	case storage.ArchivedOnly:
		where = append(where, "archived_at is not null")
	default:
		where = append(where, "archived_at is null")
	}
	args = append(args, f.Limit+1)
	return snapshotSQL + " where " + strings.Join(where, " and ") + " order by name, version limit $" + strconv.Itoa(len(args)), args, nil
}
