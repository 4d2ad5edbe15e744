package activities

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/attribution"
	"github.com/stella-ops/exportcenter/storage"
)

// documentWriter writes the documents of one shard as lines and counts what the
// manifest and the README have to know of them besides.
type documentWriter struct {
	packer  adapters.Packer
	guard   *evidenceGuard      // nil: the lines are not evidence
	payload adapters.LineWriter // used then
	tally   storage.Tally
	origins map[attribution.Origin]int64
}

// newDocumentWriter begins a shard in payload, under the run's redaction, if any.
func newDocumentWriter(payload adapters.LineWriter, packer adapters.Packer, evidence bool, redaction *export.Redaction) *documentWriter {
	w := &documentWriter{packer: packer, payload: payload,
		tally: storage.Tally{Redaction: redaction.Fingerprint()}, origins: map[attribution.Origin]int64{}}
	if evidence {
		w.guard = newEvidenceGuard(payload, redaction != nil)
	}
	return w
}

func (w *documentWriter) pack(doc ledger.Line) (adapters.Written, error) {
	if w.guard == nil {
		return w.packer.Write(w.payload, doc)
	}
	return w.guard.write(w.packer, doc)
}

func (w *documentWriter) write(doc ledger.Line) error {
	written, err := w.pack(doc)
	if err != nil {
		return err
	}
	w.tally.Dropped += written.Dropped
	origin := attribution.Of(doc)
	if _, known := w.origins[origin]; !known {
		origin = cloned(origin) // doc's texts may not outlive it
	}
	w.origins[origin]++
	return nil
}

func cloned(o attribution.Origin) attribution.Origin {
	return attribution.Origin{Source: strings.Clone(o.Source), Stream: strings.Clone(o.Stream),
		Publisher: strings.Clone(o.Publisher), Stated: strings.Clone(o.Stated)}
}

// counted gives the tally of what was written, as storage.File has it.
func (w *documentWriter) counted() (string, error) {
	named := make(map[string]int64, len(w.origins))
	for origin, n := range w.origins {
		named[origin.String()] = n
	}
	for _, origin := range slices.Sorted(maps.Keys(named)) {
		w.tally.Count(origin, named[origin])
	}
	return w.tally.Encode()
}

// tallies adds up what was counted of a run's shards.
type tallies struct {
	redaction *bundle.Redaction // nil without one
	credits   []bundle.Credit   // empty when a shard was packed before sources were counted
}

// tallyOf fails closed: a shard that was not packed under the run's redaction
// must not get into its bundle, whoever packed it.
func tallyOf(redaction *export.Redaction, shards []storage.Shard) (tallies, error) {
	var total tallies
	var sources storage.Tally
	dropped := map[string]int64{}
	counted := true
	for _, s := range shards {
		if s.Result == nil {
			return total, fmt.Errorf("shard %s is not packed", s.Name)
		}
		t, known, err := storage.ParseTally(s.Result.Tally)
		if err != nil {
			return total, fmt.Errorf("shard %s: %w", s.Name, err)
		}
		if t.Redaction != redaction.Fingerprint() {
			return total, fmt.Errorf("shard %s was packed under redaction %q, the run wants %q; nothing of it may be exported: %w",
				s.Name, t.Redaction, redaction.Fingerprint(), storage.ErrCorrupt)
		}
		dropped[ledger.Kind(s.Kind).PayloadType()] += t.Dropped
		counted = counted && known
		for _, source := range slices.Sorted(maps.Keys(t.Sources)) {
			sources.Count(source, t.Sources[source])
		}
	}
	if redaction != nil {
		total.redaction = &bundle.Redaction{PolicyID: redaction.PolicyID, DroppedFields: dropped}
	}
	if counted {
		credits, err := creditsOf(sources.Sources)
		if err != nil {
			return total, err
		}
		total.credits = credits
	}
	return total, nil
}

// creditsOf words origins for the README, in the order of their names.
func creditsOf(sources map[string]int64) ([]bundle.Credit, error) {
	var credits []bundle.Credit
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		if name == storage.OtherSources {
			continue
		}
		origin, err := attribution.Parse(name)
		if err != nil {
			return nil, fmt.Errorf("sources of a shard: %w: %w", err, storage.ErrCorrupt)
		}
		terms := origin.Terms()
		credits = append(credits, bundle.Credit{Documents: sources[name], Place: origin.Source + "/" + origin.Stream,
			Publisher: terms.Publisher, URL: terms.URL, Licence: terms.Licence})
	}
	if n := sources[storage.OtherSources]; n > 0 {
		credits = append(credits, bundle.Credit{Documents: n, Place: "others, named in the lines", Licence: attribution.Unknown})
	}
	return credits, nil
}
