// Package trivyjavadb is the adapter of profile trivy:java-db: the index by which
// Trivy finds group, artifact and version of a Java archive by its SHA-1, schema
// 1, an SQLite file and its metadata in the layer that Trivy pulls.
// docs/formats/trivy-java-db.md describes it for other writers. It holds no
// vulnerabilities: those of Maven are in trivy:db.
//
// A packer turns an SBOM or a GAV list into one line for each archive it names.
// Build sorts the lines of all shards by SHA-1, decides where several documents
// disagree, sorts what is left by coordinates, and streams it into SQLite. So a
// run parses only what changed, and no run holds a table in memory.
package trivyjavadb

import (
	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/export"
)

// Version of the lines that are packed, and of the database built from them.
const Version = "1"

// Schema is the version of Trivy's schema that is written.
const Schema = 1

// Adapter builds trivy:java-db.
type Adapter struct{}

var _ adapters.Builder = Adapter{}

// Profile is trivy:java-db.
func (Adapter) Profile() (kind, variant string) { return "trivy", "java-db" }

// Version of the lines and of the database.
func (Adapter) Version() string { return Version }

// PackedAs says that the lines are its own.
func (Adapter) PackedAs() string { return "trivy:java-db" }

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
	if err := options.CheckSchema("trivy", "java-db"); err != nil {
		return err
	}
	if options.Redaction == nil {
		return nil
	}
	err := export.Errorf(export.CodeValidation,
		"trivy:java-db holds names of archives, not fields of documents: a redaction cannot be followed; leave out options.redaction, or select fewer sources")
	err.Field = "options.redaction"
	return err
}
