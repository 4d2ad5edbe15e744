package fsck

import (
	"context"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/offboarding"
	"github.com/stella-ops/exportcenter/storage"
)

// departure looks at a tenant that is offboarded, or is to be: leaves says that it is
// one. What is half removed diverges in every way, and is looked at no further.
func (l *look) departure(ctx context.Context, tenant string) (leaves bool, err error) {
	d, err := l.Records.DepartureRecord(ctx, tenant)
	if err != nil {
		return false, err
	}
	of := Divergence{Tenant: tenant}
	switch d.State {
	case export.TenantOffboarding:
		if !d.Begun.IsZero() && l.longAgo(d.Changed) {
			return true, l.tell(offboardingLeft, of, "it has begun at %s, and nothing was removed since %s", d.Begun.Format(time.RFC3339), d.Changed.Format(time.RFC3339))
		}
		return true, nil
	case export.TenantOffboarded:
		return true, l.offboarded(ctx, of, d)
	}
	return false, nil
}

func (l *look) offboarded(ctx context.Context, of Divergence, d storage.DepartureRecord) error {
	if len(d.Left) > 0 {
		if err := l.tell(offboardedRows, of, "it has rows in %s", strings.Join(d.Left, ", ")); err != nil {
			return err
		}
	}
	var files, size int64
	err := l.Files.Blobs(ctx, storage.Namespace(of.Tenant), func(f storage.BlobFile) error {
		l.looked.Blobs++
		files, size = files+1, size+f.Size
		return nil
	})
	if err == nil && files > 0 {
		err = l.tell(offboardedFiles, of, "it has %d blobs of %d bytes", files, size)
	}
	if err != nil {
		return err
	}
	record, err := offboarding.Read(d.Record)
	if err == nil && record.Tenant == of.Tenant {
		return nil
	}
	if err == nil {
		return l.tell(offboardingRecord, of, "the record is of %s", record.Tenant)
	}
	return l.tell(offboardingRecord, of, "the record cannot be read: %v", err)
}
