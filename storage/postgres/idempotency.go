package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// The names under which idempotency keys are kept: a key is the client's, per
// tenant and operation (CONTRACT section 2).
const (
	createRunOperation     = "runs.create"
	createProfileOperation = "profiles.create"
	importPolicyOperation  = "policies.import"
)

// maxKey bounds an idempotency key.
const maxKey = 255

// made is a thing that a request with a key makes.
type made struct {
	tenant, project, operation string
	column                     string // of export_idempotency_keys, that names it
	id                         string
	at                         time.Time
}

func madeRun(run export.Run) made {
	return made{run.Tenant, run.Project, createRunOperation, "run_id", run.ID, run.RequestedAt}
}

func madeProfile(p export.Profile) made {
	return made{p.Tenant, p.Project, createProfileOperation, "profile_id", p.ID, p.CreatedAt}
}

func madeSnapshot(s export.PolicySnapshot, at time.Time) made {
	return made{s.Tenant, s.Project, importPolicyOperation, "policy_snapshot_id", s.ID, at}
}

func checkKey(idem storage.Idempotency) error {
	invalid := func(message string) error {
		return &export.Error{Code: export.CodeValidation, Class: export.ClassPermanent, Field: "Idempotency-Key", Message: message}
	}
	switch {
	case len(idem.Key) > maxKey:
		return invalid(fmt.Sprintf("Idempotency-Key is longer than %d bytes", maxKey))
	case idem.Key != storable(idem.Key):
		return invalid("Idempotency-Key is not text")
	case idem.Key != "" && idem.RequestHash.IsZero():
		return invalid("Idempotency-Key without a request hash")
	}
	return nil
}

// takeKey records the idempotency key for what is made. When an earlier request
// has it, the id of what that one made is returned. Two requests at once: the
// second waits at the unique index until the first has committed or failed.
func takeKey(ctx context.Context, tx pgx.Tx, m made, idem storage.Idempotency) (first string, err error) {
	if idem.Key == "" {
		return "", nil
	}
	tag, err := tx.Exec(ctx, `
		insert into export_idempotency_keys (tenant, operation, key, project, request_hash, `+m.column+`, created_at)
		values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing`,
		m.tenant, m.operation, idem.Key, projectColumn(m.project), idem.RequestHash[:], m.id, m.at)
	if err != nil || tag.RowsAffected() == 1 {
		return "", err
	}
	var hash []byte
	err = tx.QueryRow(ctx, `
		select `+m.column+`, request_hash from export_idempotency_keys where tenant = $1 and operation = $2 and key = $3`,
		m.tenant, m.operation, idem.Key).Scan(&first, &hash)
	if err != nil {
		return "", err
	}
	if bundle.Digest(hash) != idem.RequestHash {
		return "", &export.Error{
			Code: export.CodeIdempotency, Class: export.ClassPermanent, Field: "Idempotency-Key", Err: storage.ErrConflict,
			Message: "this Idempotency-Key was used for another request; use a new key for a new request",
		}
	}
	return first, nil
}
