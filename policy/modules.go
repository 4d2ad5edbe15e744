package policy

import (
	"fmt"
	"strings"

	"github.com/stella-ops/exportcenter/internal/purl"
	"github.com/stella-ops/exportcenter/sbom"
)

// moduleOf is the stream of a modular RPM, name:stream of what is written
// name:stream:version:context, "" elsewhere. Red Hat's package URLs have it as
// rpmmod, Trivy's as modularitylabel, or its documents as a property.
func moduleOf(c *sbom.Component, p purl.Parts) string {
	for _, label := range [...]string{p.Qualifiers["rpmmod"], p.Qualifiers["modularitylabel"], c.Module} {
		if label == "" {
			continue
		}
		parts := strings.SplitN(label, ":", 3)
		return strings.Join(parts[:min(2, len(parts))], ":")
	}
	return ""
}

// sameModule reports whether an affected package and a component may be of one
// stream. It is in doubt, and why, when one of them does not say of which: OSV
// has no word for streams, and a component may lack its qualifier; its version
// then still says that it is modular. Versions of two streams cannot be compared.
func sameModule(a *affectedItem, c *componentItem) (may bool, doubt string) {
	switch {
	case a.Affected.Module == c.Module:
		return true, ""
	case a.Affected.Module == "" && a.Advisory.Format == "osv":
		return true, fmt.Sprintf("the component is of module %.200s, and the advisory does not say of which", c.Module)
	case c.Module == "" && isModular(c.Version):
		return true, fmt.Sprintf("the advisory is of module %.200s, and the component does not say of which", a.Affected.Module)
	}
	return false, ""
}

// isModular reports whether a version is that of a modular RPM, whose release
// has a tag of its build: 18.19-1.module+el8.9.0+1, AlmaLinux 18.19-1.module_el8.9.0.
func isModular(version string) bool {
	return strings.Contains(version, ".module+") || strings.Contains(version, ".module_")
}
