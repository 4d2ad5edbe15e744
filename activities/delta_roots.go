package activities

import (
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// publishedRoots are the TUF roots that a mirror was published with, by their version.
type publishedRoots struct {
	name   string // of the mirror, for messages
	digest map[int64]bundle.Digest
}

func rootsPublished(mirror export.Run, files []storage.File) publishedRoots {
	roots := publishedRoots{fmt.Sprintf("generation %d (run %s)", mirror.Generation, mirror.ID), map[int64]bundle.Digest{}}
	for _, f := range files {
		if version := bundle.TUFRootVersion(f.Path); version > 0 {
			roots.digest[version] = f.Digest
		}
	}
	return roots
}

// goOnIn refuses a delta that every site would: to a mirror whose roots do not go on
// from those of its base. A mirror gets its generation when it starts and its roots when
// its manifest is written; one that waited for an approval in between can have a root
// that a later generation, published meanwhile, has not.
func (r publishedRoots) goOnIn(next publishedRoots) error {
	for version := int64(1); version <= int64(len(r.digest)); version++ {
		switch digest, has := next.digest[version]; {
		case !has:
			return export.Errorf(export.CodeBaseManifest, "options.targetRunId: %s was published before TUF root %d was in place, and the base, %s, behind it: "+
				"every site would refuse the delta. Make a new mirror, and a delta to that", next.name, version, r.name)
		case digest != r.digest[version]:
			return export.Errorf(export.CodeBaseManifest, "options.targetRunId: %s has another TUF root %d than the base, %s: "+
				"every site would refuse the delta. Have sites begin anew with a full mirror (stella mirror init)", next.name, version, r.name)
		}
	}
	return nil
}
