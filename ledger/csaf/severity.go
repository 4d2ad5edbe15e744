package csaf

import "github.com/stella-ops/exportcenter/ledger"

// What follows serves selection only: what is not understood adds nothing and
// refuses nothing.

// readAggregate takes the publisher's own word for the whole document.
func readAggregate(header ledger.Object, found *ledger.Found) {
	if aggregate, there, err := header.Object("aggregate_severity"); err == nil && there {
		word, _, _ := aggregate.Text("text")
		found.Severity(word)
	}
}

// rating is how the CVSS schemas of FIRST name their fields.
var rating = ledger.Rating{Word: "baseSeverity", Score: "baseScore", Vector: "vectorString"}

// readSeverity takes a vulnerability's scores, and the impact that Red Hat
// words as a threat.
func readSeverity(v ledger.Object, found *ledger.Found) {
	_ = v.Each("scores", func(score ledger.Object) error {
		for _, version := range []string{"cvss_v2", "cvss_v3", "cvss_v4"} {
			if cvss, there, err := score.Object(version); err == nil && there {
				found.Rate(cvss, version, rating)
			}
		}
		return nil
	})
	_ = v.Each("threats", func(threat ledger.Object) error {
		category, _, err := threat.Text("category")
		if category == "impact" {
			word, _, _ := threat.Text("details")
			found.Severity(word)
		}
		return err
	})
}
