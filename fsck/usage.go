package fsck

import (
	"context"
)

// usage: what is kept of the use of quotas is what the runs say, and of no profile are
// more runs at work than may be.
func (l *look) usage(ctx context.Context, tenant string) error {
	records, err := l.Records.UsageRecords(ctx, tenant)
	if err != nil {
		return err
	}
	for _, u := range records {
		of := Divergence{Tenant: tenant, Subject: u.Profile}
		if u.Runs != u.CountedRuns || u.Bytes != u.CountedBytes || u.Records != u.CountedRecords {
			count := func() (bool, error) { return l.Repairs.CountUsage(ctx, tenant) }
			err := l.tellAndMend(ctx, usageDiffers, of, count, "%d runs of its day, %d bytes of bundles and %d of records are noted; there are %d, %d and %d",
				u.Runs, u.Bytes, u.Records, u.CountedRuns, u.CountedBytes, u.CountedRecords)
			if err != nil {
				return err
			}
		}
		if u.Profile != "" && u.Bound > 0 && u.Active > u.Bound {
			if err := l.tell(profileOver, of, "%d runs are at work, %d may be", u.Active, u.Bound); err != nil {
				return err
			}
		}
	}
	return nil
}
