package ledger

import (
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/export"
)

// verdicts are the words of an opinion about evidence (CONTRACT section 8):
// the ledger takes facts, so none of them may stand beside a document.
var verdicts = []string{
	"severity", "cvss", "cvss_vector", "consensus_provider", "risk_score", "reachability", "asset_criticality",
}

// CheckEnvelope is the AOC guard: it refuses a record around a document that
// has a field with an opinion. It looks at the record's own field names only,
// never into the document, where a severity is a fact of its author (ruling 2).
func CheckEnvelope(fields []string) error {
	for _, f := range fields {
		if slices.Contains(verdicts, f) || strings.HasPrefix(f, "effective_") {
			err := export.Errorf(export.CodeAOC,
				"field %.80q is an opinion about the document; only the document itself may carry one", f)
			err.Field = f
			return err
		}
	}
	return nil
}
