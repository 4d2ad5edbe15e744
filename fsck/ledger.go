package fsck

import (
	"bytes"
	"context"
	"strconv"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/storage"
)

// ledger: sequences are given out densely, and the head is the last
// (ARCHITECTURE D1).
func (l *look) ledger(ctx context.Context, tenant string) error {
	record, err := l.Records.LedgerRecord(ctx, tenant)
	if err != nil {
		return err
	}
	l.looked.Documents += record.Count
	of := Divergence{Tenant: tenant}
	if record.Head != record.Greatest {
		err := l.tell(headDiffers, of, "the head is %d, the greatest sequence %d", record.Head, record.Greatest)
		if err != nil {
			return err
		}
	}
	if record.Count+record.Removals != record.Greatest {
		err := l.tell(observationLost, of, "the greatest sequence is %d, observations are %d, removals %d", record.Greatest, record.Count, record.Removals)
		if err != nil {
			return err
		}
	}
	return l.Records.LostObservations(ctx, tenant, func(seq int64, digest bundle.Digest) error {
		of := Divergence{Tenant: tenant, Subject: digest.String()}
		return l.tell(contentMissing, of, "observation %s names it", strconv.FormatInt(seq, 10))
	})
}

// documents hashes every original and makes its canonical form again.
func (l *look) documents(ctx context.Context, tenant string) error {
	if !l.Deep {
		return nil
	}
	return l.Records.Documents(ctx, tenant, func(d storage.DocumentRecord) error {
		of := Divergence{Tenant: tenant, Subject: d.Digest.String()}
		if got := bundle.DigestOf(d.Raw); got != d.Digest {
			return l.tell(documentBytes, of, "the stored bytes have the digest %s", got)
		}
		stored := d.Canonical
		if stored == nil {
			stored = d.Raw
		}
		made, err := bundle.Canonical(d.Raw)
		if err == nil && bytes.Equal(made, stored) {
			return nil
		}
		return l.tell(documentCanonical, of, "%d bytes are stored, the original's canonical form has %d", len(stored), len(made))
	})
}
