package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Manifest writes what the bundle says about itself: the manifest, the
// provenance and the two pages for people.
func (e *Export) Manifest(ctx context.Context, in PhaseInput) (PhaseResult, error) {
	result, err := e.manifest(ctx, in.Ref)
	return result, e.fail(ctx, in.Ref, export.PhaseManifest, err)
}

func (e *Export) manifest(ctx context.Context, ref export.Ref) (PhaseResult, error) {
	defer newHeartbeat(ctx).wait()()
	claim, run, err := e.begin(ctx, ref, export.PhaseManifest)
	if err != nil {
		return PhaseResult{}, err
	}
	_, shards, err := e.Execution.Plan(ctx, ref)
	if err != nil {
		return PhaseResult{}, fmt.Errorf("load plan: %w", err)
	}
	adapter, err := e.Adapters.For(run.Kind, run.Variant)
	if err != nil {
		return PhaseResult{}, err
	}
	payload, err := e.payloadOf(ctx, ref, adapter, shards)
	if err != nil {
		return PhaseResult{}, err
	}
	counted, err := tallyOf(run.Options.Redaction, shards)
	if err != nil {
		return PhaseResult{}, err
	}
	named, err := e.original(ctx, run)
	if err != nil {
		return PhaseResult{}, err
	}
	m, err := e.describe(ctx, named, adapter, payload, counted, e.keysOf(run, named))
	if err == nil {
		err = e.mirrored(ctx, run, named.Generation, adapter, payload, &m)
	}
	if err != nil {
		return PhaseResult{}, err
	}
	mirror, err := e.mirrorOf(ctx, named)
	if err != nil {
		return PhaseResult{}, err
	}
	documents, manifestDigest, err := documentsOf(m, named, shards, counted, mirror)
	if err != nil {
		return PhaseResult{}, err
	}
	roots, err := e.rootEntries(ctx, run, named)
	if err != nil {
		return PhaseResult{}, err
	}
	documents = append(documents, roots...)
	files, err := e.putAll(ctx, claim, documents)
	if err != nil {
		return PhaseResult{}, err
	}
	if err := e.Execution.SaveFiles(ctx, claim, append(payload, files...)); err != nil {
		e.takeBack(ctx, ref.Tenant, digestsOf(files)...)
		return PhaseResult{}, fmt.Errorf("save files: %w", err)
	}
	result := export.Result{
		ManifestDigest: manifestDigest.String(),
		PayloadDigest:  m.PayloadDigest.String(),
		RerunHash:      m.RerunHash.String(),
	}
	if err := e.Execution.SaveManifest(ctx, claim, result, e.Clock()); err != nil {
		return PhaseResult{}, fmt.Errorf("save manifest: %w", err)
	}
	return PhaseResult{Shards: len(shards), Records: m.Counts.Records, Bytes: m.Counts.Bytes, Digest: result.ManifestDigest}, nil
}

// payloadOf lists the payload files of a run in its order: the packed shards, where
// they go into the bundle, then what was built of them.
func (e *Export) payloadOf(ctx context.Context, ref export.Ref, adapter adapters.Adapter, shards []storage.Shard) ([]storage.File, error) {
	payload, err := packed(shards)
	if err != nil {
		return nil, err
	}
	builder, builds := adapter.(adapters.Builder)
	if !builds {
		return payload, nil
	}
	if !builder.Ships() {
		payload = nil
	}
	saved, err := e.Execution.BundleFiles(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("list built files: %w", err)
	}
	built := slices.DeleteFunc(saved, func(f storage.File) bool { return !f.Payload || builder.Ships() && bundle.IsEvidence(f.Path) })
	if len(built) == 0 {
		return nil, fmt.Errorf("nothing was built of the packed shards: %w", storage.ErrCorrupt)
	}
	slices.SortFunc(built, func(a, b storage.File) int { return a.Ordinal - b.Ordinal })
	return append(payload, built...), nil
}

// packed lists the payload files of a plan; every shard must be there.
func packed(shards []storage.Shard) ([]storage.File, error) {
	files := make([]storage.File, len(shards))
	for i, s := range shards {
		if s.Result == nil {
			return nil, fmt.Errorf("shard %s is not packed", s.Name)
		}
		files[i] = *s.Result
	}
	return files, nil
}

// describe makes the manifest of a run. All stamps come from the run's row.
func (e *Export) describe(ctx context.Context, run export.Run, adapter adapters.Adapter, payload []storage.File, counted tallies, keys []bundle.Key) (bundle.Manifest, error) {
	selectors, err := bundle.MarshalCanonical(run.Selectors)
	if err != nil {
		return bundle.Manifest{}, fmt.Errorf("selectors of the run: %w", err)
	}
	tenancy, err := tenancyOf(run)
	if err != nil {
		return bundle.Manifest{}, err
	}
	m := bundle.Manifest{
		Schema: bundle.ManifestSchema, Version: bundle.ManifestVersion,
		ExportID: run.ID, RunID: run.ID, Tenant: run.Tenant, Project: run.Project, Tenancy: tenancy,
		Profile: bundle.Profile{ID: run.ProfileID, Kind: run.Kind, Variant: run.Variant,
			Name: run.ProfileName, Revision: run.ProfileRevision},
		Selectors:   selectors,
		GeneratedAt: bundle.Stamp(run.RequestedAt),
		Compression: bundle.EncoderCompression(),
		Redaction:   counted.redaction,
		Encryption:  termsOf(run),
		Keys:        keys,
		Tool: bundle.Tool{Name: "exportcenter", Version: e.Version,
			Adapters: map[string]string{adapters.Label(adapter): adapter.Version()}},
	}
	packs, err := e.Adapters.PackingOf(adapter)
	if err != nil {
		return bundle.Manifest{}, err
	}
	m.Tool.Adapters[adapters.Label(packs)] = packs.Version()
	if m.Policy, err = e.policyIn(ctx, run.Tenant, payload); err != nil {
		return bundle.Manifest{}, err
	}
	contents := make([]bundle.Content, len(payload))
	for i, f := range payload {
		contents[i] = bundle.NewContent(f.Path, bundle.PayloadInfo{Digest: f.Digest, Size: f.Size,
			ContentDigest: f.ContentDigest, ContentSize: f.ContentSize, Records: f.Records})
	}
	return m, m.SetContents(contents)
}

// policyIn reads from the policy snapshot of a payload what the manifest says of
// it; nil without one.
func (e *Export) policyIn(ctx context.Context, tenant string, payload []storage.File) (*bundle.Policy, error) {
	i := slices.IndexFunc(payload, func(f storage.File) bool { return f.Path == bundle.PolicySnapshotPath })
	if i < 0 {
		return nil, nil
	}
	snapshot, err := e.get(ctx, tenant, payload[i])
	if err != nil {
		return nil, err
	}
	policy, err := bundle.PolicyOf(snapshot)
	return &policy, err
}

// document is a bundle entry made in memory.
type document struct {
	path    string
	content []byte
}

// documentsOf writes the entries that describe a bundle with manifest m.
func documentsOf(m bundle.Manifest, run export.Run, shards []storage.Shard, counted tallies, mirror *MirrorRef) ([]document, bundle.Digest, error) {
	manifest, err := m.Encode()
	if err != nil {
		return nil, bundle.Digest{}, err
	}
	options, err := json.Marshal(run.Options)
	if err != nil {
		return nil, bundle.Digest{}, fmt.Errorf("options of the run: %w", err)
	}
	inputs := make([]bundle.Input, len(shards))
	for i, s := range shards {
		inputs[i] = bundle.Input{Name: "documents of " + s.Name, Digest: s.Hash}
	}
	if m.Delta != nil {
		inputs = append(inputs, bundle.Input{Name: "base mirror " + m.Delta.Base.ExportID, Digest: m.Delta.Base.ManifestDigest},
			bundle.Input{Name: "target mirror " + m.Delta.Target.ExportID, Digest: m.Delta.Target.ManifestDigest})
	}
	if m.Policy != nil {
		inputs = append(inputs, bundle.Input{Name: "policy snapshot " + m.Policy.SnapshotID, Digest: m.Policy.PackDigest})
	}
	if mirror != nil {
		inputs = append(inputs, mirror.inputs()...)
	}
	envelopes := envelopesOf(run)
	for _, e := range envelopes {
		inputs = append(inputs, bundle.Input{Name: e.path, Digest: bundle.DigestOf(e.content)})
	}
	digest := bundle.DigestOf(manifest)
	provenance, err := bundle.NewProvenance(m, digest, options, inputs).Encode()
	if err != nil {
		return nil, bundle.Digest{}, err
	}
	return append(envelopes, []document{
		{bundle.ManifestPath, manifest},
		{bundle.ProvenancePath, provenance},
		{bundle.ReadmePath, bundle.Readme(m, counted.credits)},
		{bundle.GuidePath, bundle.VerifyGuide(m)},
	}...), digest, nil
}

func (e *Export) putAll(ctx context.Context, claim storage.Claim, documents []document) ([]storage.File, error) {
	files := make([]storage.File, len(documents))
	for i, d := range documents {
		var err error
		if files[i], err = e.put(ctx, claim, d.path, d.content); err != nil {
			e.takeBack(ctx, claim.Ref.Tenant, digestsOf(files[:i])...)
			return nil, err
		}
	}
	return files, nil
}
