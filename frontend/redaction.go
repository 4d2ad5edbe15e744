package frontend

import (
	"github.com/stella-ops/exportcenter/export"
)

// checkRedaction gives the one form of a redaction; nil when none is asked for.
func checkRedaction(in *Redaction) (*export.Redaction, error) {
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
	return redaction.Normal(), nil
}

// redactsAll wants a redaction, of the request or of its profile, to say what to
// do with every kind that is named.
func redactsAll(redaction *export.Redaction, kinds []string) error {
	for _, kind := range kinds {
		if redaction == nil {
			return nil
		}
		if _, named := redaction.Allow[kind]; !named {
			return fieldError(export.CodeValidation, "options.redaction.allow",
				"redaction %s says nothing about kind %s, which the run selects: name the paths to keep, or [%q] for all of them",
				redaction.PolicyID, kind, export.KeepAll)
		}
	}
	return nil
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
