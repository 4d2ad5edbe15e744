package fsck

import (
	"context"

	"github.com/stella-ops/exportcenter/storage"
)

// misfitKinds are the kinds of what tables say of each other.
var misfitKinds = map[storage.Misfit]Kind{
	storage.MisfitProfile:            profileMissing,
	storage.MisfitRevisions:          profileRevisions,
	storage.MisfitPlan:               planDiffers,
	storage.MisfitReportMissing:      reportMissing,
	storage.MisfitReport:             reportDiffers,
	storage.MisfitReportUntold:       reportUntold,
	storage.MisfitNotice:             noticeDiffers,
	storage.MisfitAttestationMissing: attestationMissing,
	storage.MisfitAttestation:        attestationDiffers,
	storage.MisfitSnapshot:           snapshotMissing,
}

func (l *look) misfits(ctx context.Context, tenant string) error {
	return l.Records.Misfits(ctx, tenant, func(m storage.MisfitRecord) error {
		return l.tell(misfitKinds[m.Sort], Divergence{Tenant: tenant, Run: m.Run, Subject: m.Subject}, "%s", m.Detail)
	})
}
