package ledger

import "github.com/stella-ops/exportcenter/internal/purl"

const purlScheme = purl.Scheme

// EcosystemOf is the OSV ecosystem of a package URL, "" when it has none.
func EcosystemOf(packageURL string) string { return purl.Ecosystem(packageURL) }
