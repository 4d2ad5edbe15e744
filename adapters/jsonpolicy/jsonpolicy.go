// Package jsonpolicy is the adapter of profile json:policy: the evidence of
// json:raw, and what a policy decided about it. Room policy decides; here its
// files meet those of a bundle. docs/formats/json-policy.md describes them.
package jsonpolicy

import (
	"context"
	"fmt"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/policy"
)

// Version of the adapter: that of the decisions.
const Version = policy.Version

// Adapter decides.
type Adapter struct{}

var _ adapters.Decider = Adapter{}

// Profile is json:policy.
func (Adapter) Profile() (kind, variant string) { return "json", "policy" }

// Version of the files.
func (Adapter) Version() string { return Version }

// PackedAs: the shards are json:raw's, also in the bundle.
func (Adapter) PackedAs() string { return "json:raw" }

// Ships reports that the evidence is in the bundle, for whoever decides again.
func (Adapter) Ships() bool { return true }

// Guarded reports that fewer findings are not suspicious.
func (Adapter) Guarded() bool { return false }

// Decides reports that a run needs a policy snapshot.
func (Adapter) Decides() bool { return true }

// Packer is never asked: json:raw's packs the shards.
func (Adapter) Packer(export.Options) (adapters.Packer, error) {
	return nil, fmt.Errorf("shards of json:policy are packed as json:raw")
}

// Build decides, and writes pack, snapshot, findings and decision trace.
func (Adapter) Build(ctx context.Context, in adapters.Input, out adapters.Output) (adapters.Built, error) {
	if in.Options.Redaction != nil {
		err := export.Errorf(export.CodeValidation, "json:policy decides on whole evidence, so that anybody can decide again; leave options.redaction out, or export json:raw")
		err.Field = "options.redaction"
		return adapters.Built{}, err
	}
	evidence := policy.Input{
		Pack: in.Policy.Pack, SnapshotID: in.Policy.ID, Name: in.Policy.Name,
		Engine: in.Options.PolicyEngine, Scratch: in.Scratch, Progress: in.Progress,
	}
	for _, s := range in.Shards {
		evidence.Files = append(evidence.Files, policy.File{Path: s.Path, Kind: s.Kind, ContentDigest: s.ContentDigest, Open: s.Open})
	}
	result, err := policy.Evaluate(ctx, evidence, output{out})
	if err != nil {
		return adapters.Built{}, err
	}
	if said := result.Policy; said.PackDigest != in.Policy.Digest || said.PolicyVersion != in.Policy.Version {
		return adapters.Built{}, fmt.Errorf("policy snapshot %s is of pack %s, version %q, but holds pack %s, version %q",
			in.Policy.ID, in.Policy.Digest, in.Policy.Version, said.PackDigest, said.PolicyVersion)
	}
	return adapters.Built{Sources: result.Sources}, nil
}

// output writes what policy writes into a bundle.
type output struct{ adapters.Output }

func (o output) Lines(ctx context.Context, path string) (policy.Lines, error) {
	return o.Output.Lines(ctx, path)
}
