package policy

import (
	"cmp"
	"context"
	"slices"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// results is how it came out.
type results struct {
	counts Counts
	trace  bundle.Digest
}

func newResults() results {
	return results{counts: Counts{ByAction: map[string]int64{}, BySeverity: map[string]int64{}, ByEcosystem: map[string]int64{}}}
}

func (r *results) count(f *Finding, p *pending) {
	r.counts.Findings++
	r.counts.ByAction[string(f.Action)]++
	r.counts.BySeverity[f.Severity]++
	r.counts.ByEcosystem[f.Component.Ecosystem]++
	if f.Match == undetermined {
		r.counts.Undetermined++
	}
	if p.stated > 0 {
		r.counts.Stated++
	}
}

// sources counts by what something came from.
type sources map[sourceKey]*export.SourceCount

type sourceKey struct {
	source, stream string
	kind           ledger.Kind
}

func (s sources) at(source, stream string, kind ledger.Kind) *export.SourceCount {
	key := sourceKey{source, stream, kind}
	if s[key] == nil {
		s[key] = &export.SourceCount{Source: source, Stream: stream, Kind: string(kind)}
	}
	return s[key]
}

func (s sources) document(line *rawLine) {
	at := s.at(line.Source, line.Stream, line.Kind)
	at.Documents++
	at.Newest = max(at.Newest, line.Modified)
}

// finding counts a finding as that of its advisory, or of the list it is from.
func (s sources) finding(of Document, how verdict) {
	kind := ledger.KindAdvisory
	if how == imported {
		kind = ledger.KindFinding
	}
	s.at(of.Source, of.Stream, kind).Records++
}

func (s sources) sorted() []export.SourceCount {
	all := make([]export.SourceCount, 0, len(s))
	for _, one := range s {
		all = append(all, *one)
	}
	slices.SortFunc(all, func(a, b export.SourceCount) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Source, b.Source), cmp.Compare(a.Stream, b.Stream))
	})
	return all
}

// finish writes the pack and the snapshot.
func (e *evaluation) finish(ctx context.Context, out Output) (Result, error) {
	s := Snapshot{
		Schema: SnapshotSchema, SnapshotID: e.in.SnapshotID, Name: e.in.Name,
		PolicyVersion: e.pack.Revision, PackDigest: e.pack.Digest, Engine: engineNow(e.in.Engine),
		InputsHash: InputsHash(e.in.Files, e.pack.Digest), DecisionTrace: e.result.trace,
		Counts: e.result.counts, Evidence: e.evidence, Unread: e.unread,
	}
	raw, err := bundle.MarshalCanonical(s)
	if err != nil {
		return Result{}, err
	}
	if err := out.Document(ctx, bundle.PolicyPackPath, e.in.Pack, 1); err != nil {
		return Result{}, err
	}
	if err := out.Document(ctx, bundle.PolicySnapshotPath, raw, 1); err != nil {
		return Result{}, err
	}
	return Result{
		Policy: bundle.Policy{
			SnapshotID: s.SnapshotID, PolicyVersion: s.PolicyVersion, PackDigest: s.PackDigest,
			InputsHash: s.InputsHash, DecisionTrace: s.DecisionTrace,
		},
		Snapshot: s, Sources: e.sources.sorted(),
	}, nil
}
