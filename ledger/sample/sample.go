// Package sample is a small world of evidence, written for this project:
// products, people and incidents in it are invented. `make demo` imports it,
// and tests that need a few documents of every sort use it.
package sample

import "embed"

// OSV holds advisories in OSV form under osv/: eight ecosystems with a package
// URL type and one without, package URLs given and missing, one document that
// is withdrawn, one not in ASCII, one with a time zone.
//
//go:embed osv/*.json
var OSV embed.FS

// SBOM holds a bill of materials under sbom/, in CycloneDX form, of components that
// the advisories are and are not about.
//
//go:embed sbom/*.json
var SBOM embed.FS

// VEX holds what its makers state of some of them, in OpenVEX form, under vex/.
//
//go:embed vex/*.json
var VEX embed.FS
