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
