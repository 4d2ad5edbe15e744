package activities

import (
	"context"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/storage"
)

// takeBackWithin bounds how long a failed attempt cleans up behind itself.
const takeBackWithin = 10 * time.Second

// takeBack destroys blobs that a failed attempt has made durable and that have no
// row any more: while it stood still its run was ended, and what the run had was
// destroyed, before these blobs had their names. All others stay. What cannot be
// destroyed now is named by fsck.
func (e *Export) takeBack(ctx context.Context, tenant string, digests ...bundle.Digest) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), takeBackWithin)
	defer stop()
	for _, digest := range digests {
		erased, err := e.Execution.EraseUnrecorded(ctx, tenant, digest, func(still storage.Still) error {
			return e.Objects.DeleteUnmarked(ctx, tenant, digest, still)
		})
		if err != nil {
			e.Log.Warn("cannot see whether a blob is still wanted; fsck will", "tenant", tenant, "digest", digest.String(), "error", err.Error())
			return
		}
		if erased {
			e.Log.Info("took back a blob that was stored after its run had ended", "tenant", tenant, "digest", digest.String())
		}
	}
}

func digestsOf(files []storage.File) []bundle.Digest {
	digests := make([]bundle.Digest, len(files))
	for i, f := range files {
		digests[i] = f.Digest
	}
	return digests
}
