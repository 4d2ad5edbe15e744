package frontend

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/profiles"
)

// profileDocument is a profile as clients see it.
func profileDocument(p export.Profile) Profile {
	path := profilePath(p.ID)
	doc := Profile{
		ID: p.ID, Project: projectClaim(p.Project), Revision: p.Revision, Name: p.Name, Kind: p.Kind, Variant: p.Variant,
		BuiltIn: p.BuiltIn(), Archived: p.Archived(), ArchivedBy: p.ArchivedBy, Config: configDocument(p.Config),
		Description: p.Description, Labels: Labels{}, CreatedBy: p.CreatedBy, CreatedAt: p.CreatedAt.UTC(),
		UpdatedBy: p.UpdatedBy, UpdatedAt: p.UpdatedAt.UTC(), ArchivedAt: p.ArchivedAt.UTC(),
		Links: ProfileLinks{Self: path, Revisions: path + "/revisions",
			Schema: schemaPath + profiles.SchemaName(p.Kind+"-"+p.Variant)},
	}
	for key, value := range p.Labels {
		doc.Labels[key] = value
	}
	return doc
}

// configDocument is a checked configuration as JSON has it.
func configDocument(config export.ProfileConfig) ProfileConfig {
	doc := ProfileConfig{}
	text, err := json.Marshal(config)
	if err == nil {
		err = json.Unmarshal(text, &doc)
	}
	if err != nil {
		panic(err) // it was read from JSON
	}
	return doc
}

const schemaPath = "/schemas/export-profile/"

func profilePath(id string) string { return "/api/export/profiles/" + id }

// GetProfileSchema gives the schema of a kind's configuration, to anybody.
func (h handlers) GetProfileSchema(ctx context.Context, req GetProfileSchemaRequestObject) (GetProfileSchemaResponseObject, error) {
	text, found := profiles.Schema(req.File)
	if !found {
		return nil, export.Errorf(export.CodeProfileNotFound, "there is no such schema; this version has those of %v", profiles.Served())
	}
	return &schemaResponse{&bytesResponse{call: callOf(ctx), content: text, digest: bundle.DigestOf(text), mediaType: "application/schema+json"}}, nil
}

// schemaResponse is a document that the next release may change.
type schemaResponse struct{ *bytesResponse }

// VisitGetProfileSchemaResponse writes the answer.
func (r *schemaResponse) VisitGetProfileSchemaResponse(w http.ResponseWriter) error {
	r.mutable = true
	return r.write(w)
}
