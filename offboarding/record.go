package offboarding

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/signing"
)

// Schema names the form of a record, RecordType is its DSSE payload type.
const (
	Schema     = "https://stellaops.io/export-center/offboarding/v1"
	RecordType = "application/vnd.stellaops.offboarding.record+json"
)

// Found is what a tenant had before anything of it was removed. It is noted once,
// and begins the record.
type Found struct {
	Blobs  Blobs  `json:"blobs"`
	Ledger Ledger `json:"ledger"`
	Runs   Runs   `json:"runs"`
	Audit  Link   `json:"audit"`
}

// Record says what was removed of a tenant, on whose word, and what was not.
type Record struct {
	Schema      string    `json:"schema"`
	Tenant      string    `json:"tenant"`
	RequestedAt time.Time `json:"requestedAt"`
	RequestedBy string    `json:"requestedBy"`
	Reason      string    `json:"reason"`
	BegunAt     time.Time `json:"begunAt"` // before the first removal
	EndedAt     time.Time `json:"endedAt"` // when nothing was left
	Found
	// Tables are the rows that were removed, by table, sorted; tables without are
	// there with 0.
	Tables []Table `json:"tables"`
	// Stays is what is not removed; see Stays.
	Stays []string `json:"stays"`
}

// Blobs are the files of a tenant in the blob store, of finished and of half-finished
// runs. Digest is the SHA-256 over their digests, sorted, each as "sha256:<hex>" and LF.
type Blobs struct {
	Count  int64         `json:"count"`
	Bytes  int64         `json:"bytes"`
	Digest bundle.Digest `json:"digest"`
}

// Ledger counts documents; Head is the highest sequence that was given out.
type Ledger struct {
	Head      int64 `json:"head"`
	Documents int64 `json:"documents"`
}

// Runs counts runs. Digest is the SHA-256 over their lines (Run.Line), each with LF,
// in the order of their ids.
type Runs struct {
	Count  int64         `json:"count"`
	Digest bundle.Digest `json:"digest"`
}

// Link is the end of the tenant's audit record: entry Seq has Hash; 0 without entries.
type Link struct {
	Seq  int64         `json:"seq"`
	Hash bundle.Digest `json:"hash"`
}

// Table is a table and how many rows were removed from it.
type Table struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// Stays are the words for what offboarding leaves; docs/offboarding.md says more of each.
var Stays = []string{
	"name", "record", "installation-audit", "delivered-events", "downloaded-bundles", "approved-readings", "workflow-histories", "logs", "backups",
}

// Sign gives the record as a DSSE envelope over its canonical JSON.
func (r Record) Sign(ctx context.Context, signer signing.Signer) ([]byte, error) {
	r.Schema, r.Stays = Schema, Stays
	payload, err := r.encode()
	if err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, fmt.Errorf("sign offboarding record: %w", err)
	}
	return signing.SignEnvelope(ctx, signer, RecordType, payload)
}

func (r Record) encode() ([]byte, error) {
	for _, at := range []*time.Time{&r.RequestedAt, &r.BegunAt, &r.EndedAt} {
		*at = at.UTC().Truncate(time.Second)
	}
	payload, err := bundle.MarshalCanonical(r)
	if err != nil {
		return nil, fmt.Errorf("write offboarding record: %w", err)
	}
	return payload, nil
}

var errNotCanonical = errors.New("it is not in canonical form")

// Open verifies an envelope against keys the caller trusts, and only then reads it.
// It also gives the id of the key that signed it.
func Open(envelope []byte, keys []signing.Verifier) (Record, string, error) {
	payload, keyID, err := signing.OpenEnvelope(envelope, RecordType, keys)
	if err != nil {
		return Record{}, "", err
	}
	r, err := parse(payload)
	return r, keyID, err
}

// Read reads a record without asking who signed it: for whoever keeps it.
func Read(envelope []byte) (Record, error) {
	var dsse struct {
		Payload     []byte `json:"payload"`
		PayloadType string `json:"payloadType"`
	}
	if err := json.Unmarshal(envelope, &dsse); err != nil || dsse.PayloadType != RecordType {
		return Record{}, fmt.Errorf("%w: payload type %.80q", ErrForm, dsse.PayloadType)
	}
	return parse(dsse.Payload)
}

func parse(payload []byte) (Record, error) {
	var r Record
	if err := bundle.UnmarshalStrict(payload, &r); err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrForm, err)
	}
	again, err := r.encode()
	if err == nil && !bytes.Equal(again, payload) {
		err = errNotCanonical
	}
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return Record{}, fmt.Errorf("%w: %w", ErrForm, err)
	}
	return r, nil
}

func (r Record) check() error {
	switch {
	case r.Schema != Schema:
		return fmt.Errorf("its schema is %.80q, want %s", r.Schema, Schema)
	case !export.ValidTenant(r.Tenant):
		return fmt.Errorf("%.80q is not a tenant", r.Tenant)
	case r.RequestedAt.IsZero() || r.BegunAt.Before(r.RequestedAt) || r.EndedAt.Before(r.BegunAt):
		return errors.New("its times are not in order: requested, begun, ended")
	case r.Blobs.Count < 0 || r.Blobs.Bytes < 0 || r.Ledger.Documents < 0 || r.Ledger.Head < 0 || r.Runs.Count < 0 || r.Audit.Seq < 0:
		return errors.New("a count is negative")
	case !slices.IsSortedFunc(r.Tables, func(a, b Table) int { return bytes.Compare([]byte(a.Table), []byte(b.Table)) }):
		return errors.New("its tables are not sorted")
	}
	for _, t := range r.Tables {
		if t.Rows < 0 {
			return fmt.Errorf("table %.80q has %d rows", t.Table, t.Rows)
		}
	}
	return nil
}
