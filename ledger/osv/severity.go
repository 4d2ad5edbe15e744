package osv

import (
	"bytes"

	"github.com/stella-ops/exportcenter/ledger"
)

var severityKey = []byte(`"severity":`)

// readSeverity takes the severities that a document, or one of its affected
// entries, gives: the scores of the schema, and the word that GitHub keeps in
// database_specific and OSS-Fuzz in ecosystem_specific. They serve selection
// only: what is not understood adds nothing and refuses nothing.
func readSeverity(o ledger.Object, found *ledger.Found) {
	_ = o.Each("severity", func(s ledger.Object) error {
		score, _, err := s.Text("score")
		found.Vector(score)
		found.Severity(score) // Ubuntu scores in words
		return err
	})
	for _, field := range []string{"database_specific", "ecosystem_specific"} {
		if !bytes.Contains(o.Field(field), severityKey) { // most have none, and can be long
			continue
		}
		if inner, there, err := o.Object(field); err == nil && there {
			word, _, _ := inner.Text("severity")
			found.Severity(word)
		}
	}
}
