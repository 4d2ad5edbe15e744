package profiles

import (
	"fmt"
	"slices"

	"github.com/stella-ops/exportcenter/export"
)

// notCarriedOut refuses by name what the contract knows and this version does
// not do. The schemas refuse it too; here is the reason.
func notCarriedOut(c export.ProfileConfig) error {
	for i, place := range c.Distribution {
		if slices.Contains([]string{"oci", "object"}, place) {
			return refused(fmt.Sprintf("config.distribution[%d]", i), "%s is not served by this version; http is", place)
		}
	}
	if r := c.Retention; r != nil && slices.Contains([]string{"days", "count"}, r.Mode) {
		return refused("config.retention", "mode %s is not carried out by this version, which keeps bundles; leave it out, or set mode to none", r.Mode)
	}
	if p := c.Compression; p != nil && (slices.Contains([]string{"gzip", "none"}, p.Codec) || p.Level != 0 && p.Level != 3) {
		return refused("config.compression", "JSON lines are packed with zstd level 3 (docs/formats/bundle.md); leave it out, or say so")
	}
	return nil
}
