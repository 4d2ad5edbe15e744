package frontend

import (
	"github.com/stella-ops/exportcenter/export"
)

// checkRedaction gives the one form of a redaction that says what to do with
// every kind the selectors name; nil when none is asked for.
func checkRedaction(in *Redaction, selectors export.Selectors) (*export.Redaction, error) {
	if in == nil {
		return nil, nil
	}
	redaction := &export.Redaction{PolicyID: in.PolicyID, Allow: in.Allow}
	for _, list := range in.Linkset {
		redaction.Linkset = append(redaction.Linkset, string(list))
	}
	if err := redaction.Validate(); err != nil {
		return nil, err
	}
	for _, kind := range selectors.Kinds {
		if _, named := redaction.Allow[kind]; !named {
			return nil, fieldError(export.CodeValidation, "options.redaction.allow",
				"says nothing about kind %s, which the run selects: name the paths to keep, or [%q] for all of them", kind, export.KeepAll)
		}
	}
	return redaction.Normal(), nil
}

func redactionDocument(r *export.Redaction) *Redaction {
	if r == nil {
		return nil
	}
	doc := &Redaction{PolicyID: r.PolicyID, Allow: r.Allow}
	for _, list := range r.Linkset {
		doc.Linkset = append(doc.Linkset, RedactionLinkset(list))
	}
	return doc
}
