package policy

import (
	"fmt"

	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/sbom"
	"github.com/stella-ops/exportcenter/vex"
)

// documentReaders are those of the rooms below.
func documentReaders() readers {
	return readers{
		advisory: advisory.Read,
		sbom: func(format string, _ []byte) (sbom.Inventory, error) {
			return sbom.Inventory{}, fmt.Errorf("bills of materials in format %q are not read yet", format)
		},
		vex: func(format string, _ []byte) ([]vex.Statement, error) {
			return nil, fmt.Errorf("VEX documents in format %q are not read yet", format)
		},
	}
}
