// Package mirrorfull is the adapter of profile mirror:full: all evidence as json:raw
// has it, every document's original byte for byte, indexes of both, and the policy pack
// of the run's policy snapshot. docs/formats/mirror.md describes the tree.
//
// Originals of the mirror before are taken over: whole segments where nothing changed,
// and single ones from there where something did. Only what is new is read from the
// ledger. The result does not depend on that, only its cost.
package mirrorfull

import (
	"context"
	"errors"
	"fmt"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// Version of the files that are built.
const Version = "1"

// Adapter builds full mirrors.
type Adapter struct{}

var (
	_ adapters.Decider = Adapter{}
	_ adapters.Mirrors = Adapter{}
)

// Profile is mirror:full.
func (Adapter) Profile() (kind, variant string) { return "mirror", "full" }

// Version of the files.
func (Adapter) Version() string { return Version }

// PackedAs: the shards are json:raw's, also in the bundle.
func (Adapter) PackedAs() string { return "json:raw" }

// Ships reports that the shards are files of the bundle.
func (Adapter) Ships() bool { return true }

// Guarded reports that a mirror that shrank waits: whole sites live off it.
func (Adapter) Guarded() bool { return true }

// Decides reports that a run has a policy snapshot: its pack is in the mirror.
func (Adapter) Decides() bool { return true }

// ReadsMirrors reports that originals are taken over from the mirror before.
func (Adapter) ReadsMirrors() bool { return true }

// Packer is never asked: json:raw's packs the shards.
func (Adapter) Packer(export.Options) (adapters.Packer, error) {
	return nil, fmt.Errorf("shards of mirror:full are packed as json:raw")
}

// Build writes the policy, the indexes and the originals.
func (Adapter) Build(ctx context.Context, in adapters.Input, out adapters.Output) (_ adapters.Built, err error) {
	if in.Options.Redaction != nil {
		err := export.Errorf(export.CodeValidation, "a mirror holds whole evidence, with its originals; leave options.redaction out, or export json:raw")
		err.Field = "options.redaction"
		return adapters.Built{}, err
	}
	if err := writePolicy(ctx, in.Policy, out); err != nil {
		return adapters.Built{}, err
	}
	seen := newSurvey(in.Scratch, in.Shards)
	defer func() { err = errors.Join(err, seen.close()) }()
	if err := seen.read(ctx, in.Shards, in.Progress); err != nil {
		return adapters.Built{}, err
	}
	if err := writeIndexes(ctx, seen.indexes, out); err != nil {
		return adapters.Built{}, err
	}
	if err := (&originals{in: in, out: out}).write(ctx, seen); err != nil {
		return adapters.Built{}, err
	}
	return adapters.Built{Sources: seen.sources()}, nil
}

// PolicyDocument is data/policy/policy.json: which policy snapshot the pack beside it is.
type PolicyDocument struct {
	Schema  string        `json:"schema"`
	ID      string        `json:"id"`
	Name    string        `json:"name"`
	Version string        `json:"version"` // what its publisher calls it
	Digest  bundle.Digest `json:"digest"`  // of the pack
	Bytes   int64         `json:"bytes"`
}

// PolicySchema is what a PolicyDocument calls its own form.
const PolicySchema = "https://stellaops.io/export-center/mirror-policy/v1"

func writePolicy(ctx context.Context, p adapters.Policy, out adapters.Output) error {
	if bundle.DigestOf(p.Pack) != p.Digest {
		return fmt.Errorf("policy snapshot %s is of pack %s, but holds another", p.ID, p.Digest)
	}
	if err := out.Document(ctx, bundle.PolicyPackPath, p.Pack, 1); err != nil {
		return err
	}
	text, err := bundle.MarshalCanonical(PolicyDocument{Schema: PolicySchema, ID: p.ID, Name: p.Name, Version: p.Version, Digest: p.Digest, Bytes: int64(len(p.Pack))})
	if err != nil {
		return fmt.Errorf("%s: %w", bundle.PolicyDocumentPath, err)
	}
	return out.Document(ctx, bundle.PolicyDocumentPath, text, 1)
}
