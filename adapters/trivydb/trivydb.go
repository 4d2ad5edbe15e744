// Package trivydb is the adapter of profile trivy:db: the vulnerability
// database of Trivy, schema 2, a bbolt file and its metadata in the layer that
// Trivy pulls. docs/formats/trivy-db.md describes it for other writers.
//
// A packer turns a document into lines that sort: records of packages, details
// of ids. Build sorts the lines of all shards, joins what several documents say
// of one thing, and writes buckets in the order of their keys (packages extsort
// and boltpages). So a run parses only what changed, and no run holds a
// database in memory.
package trivydb

import (
	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/export"
)

// Version of the lines that are packed, and of the database built from them.
const Version = "1"

// Adapter builds trivy:db.
type Adapter struct{}

var _ adapters.Builder = Adapter{}

// Profile is trivy:db.
func (Adapter) Profile() (kind, variant string) { return "trivy", "db" }

// Version of the lines and of the database.
func (Adapter) Version() string { return Version }

// PackedAs says that the lines are its own.
func (Adapter) PackedAs() string { return "trivy:db" }

// Ships says that they are not in the bundle.
func (Adapter) Ships() bool { return false }

// Guarded says that a database that shrank waits for an approval.
func (Adapter) Guarded() bool { return true }

// Packer packs the documents of a run.
func (Adapter) Packer(options export.Options) (adapters.Packer, error) {
	return packer{}, check(options)
}

// check refuses what this kind cannot follow, before anything is packed.
func check(options export.Options) error {
	if err := options.CheckSchema("trivy", "db"); err != nil {
		return err
	}
	if options.Redaction == nil {
		return nil
	}
	err := export.Errorf(export.CodeValidation,
		"trivy:db holds what advisories mean, not their fields: a redaction cannot be followed; leave out options.redaction, or select fewer sources")
	err.Field = "options.redaction"
	return err
}
