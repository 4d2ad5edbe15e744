// Package adapters says what a profile kind must do: turn the documents of a
// shard into lines of a payload file. One folder per kind implements it; they
// are registered once, at start.
//
// An adapter is a pure function of its input: the same documents, version and
// options give the same bytes, whoever asks, and whenever.
package adapters

import (
	"fmt"
	"sort"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// Adapter packs the documents of one profile kind.
type Adapter interface {
	// Profile is the kind and variant it serves ("json", "raw").
	Profile() (kind, variant string)
	// Version changes whenever the bytes it writes can change.
	Version() string
	// Packer gives what packs the documents of a run with these options, which
	// are an error when the kind cannot follow them.
	Packer(options export.Options) (Packer, error)
}

// Packer packs the documents of one run. Several shards may use it at once.
type Packer interface {
	// Write writes one document to w as one line. Its first part is RawStart,
	// its second the document's canonical form, or what a redaction leaves of it.
	Write(w LineWriter, doc ledger.Line) (Written, error)
}

// RawStart is what stands before the evidence in a line.
const RawStart = `{"content":{"raw":`

// Written is what the manifest has to know of a line.
type Written struct {
	// Dropped counts the fields that a redaction left out of the line.
	Dropped int64
}

// LineWriter takes one line in parts; bundle.PayloadWriter is one.
type LineWriter interface {
	WriteLine(parts ...[]byte) error
}

// Registry is the set of adapters of a process. It does not change after New.
type Registry struct {
	byLabel map[string]Adapter
}

// NewRegistry registers adapters; two for the same profile are a programming error.
func NewRegistry(all ...Adapter) (*Registry, error) {
	r := &Registry{byLabel: make(map[string]Adapter, len(all))}
	for _, a := range all {
		label := labelOf(a)
		if _, taken := r.byLabel[label]; taken {
			return nil, fmt.Errorf("two adapters for profile %s", label)
		}
		if _, builds := a.(Builder); builds != export.Assembled(a.Profile()) {
			return nil, fmt.Errorf("adapter for profile %s: it builds, or export.Assembled says that its kind does, but not both", label)
		}
		r.byLabel[label] = a
	}
	for _, a := range all {
		if _, err := r.PackingOf(a); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// PackingOf gives the adapter whose lines the shards of a's runs have: a itself,
// or the one it names.
func (r *Registry) PackingOf(a Adapter) (Adapter, error) {
	builder, builds := a.(Builder)
	if !builds || builder.PackedAs() == labelOf(a) {
		return a, nil
	}
	packing, there := r.byLabel[builder.PackedAs()]
	if !there {
		return nil, fmt.Errorf("adapter for profile %s: its shards are packed as %s, which is not registered", labelOf(a), builder.PackedAs())
	}
	if _, builds := packing.(Builder); builds {
		return nil, fmt.Errorf("adapter for profile %s: its shards are packed as %s, which builds itself", labelOf(a), builder.PackedAs())
	}
	return packing, nil
}

// For gives the adapter of a profile kind and variant.
func (r *Registry) For(kind, variant string) (Adapter, error) {
	if a, ok := r.byLabel[kind+":"+variant]; ok {
		return a, nil
	}
	return nil, export.Errorf(export.CodeProfileNotFound,
		"this worker has no adapter for profile %s:%s; it has %v", kind, variant, r.Labels())
}

// Labels lists the registered profiles ("json:raw"), sorted.
func (r *Registry) Labels() []string {
	labels := make([]string, 0, len(r.byLabel))
	for label := range r.byLabel {
		labels = append(labels, label)
	}
	sort.Strings(labels)
	return labels
}

// Label is the profile an adapter serves: "json:raw".
func Label(a Adapter) string { return labelOf(a) }

func labelOf(a Adapter) string {
	kind, variant := a.Profile()
	return kind + ":" + variant
}
