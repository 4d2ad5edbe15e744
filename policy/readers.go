package policy

import (
	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/sbom"
	"github.com/stella-ops/exportcenter/vex"
)

// documentReaders are those of the rooms below.
func documentReaders() readers {
	return readers{advisory: advisory.Read, sbom: sbom.Read, vex: vex.Read}
}
