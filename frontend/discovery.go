package frontend

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// Media types of the API's description.
const (
	typeYAML  = "application/yaml" // RFC 9512
	typeJSON  = "application/json"
	typeIndex = "application/vnd.export.discovery+json"
)

// revisedExtension is the day on which the OpenAPI document was last changed; it is
// what Last-Modified says.
const revisedExtension = "x-stella-oas-revision"

// apiMajor is the version in X-Export-Oas-Version.
const apiMajor = "v1"

// descriptions are the forms in which the API describes itself, made once.
type descriptions map[string]description

type description struct {
	content []byte
	digest  bundle.Digest
	revised time.Time
}

// describe makes the forms of the OpenAPI document spec.
func describe(spec []byte) (descriptions, error) {
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	if err != nil {
		return nil, fmt.Errorf("read OpenAPI document: %w", err)
	}
	day, _ := doc.Info.Extensions[revisedExtension].(string)
	revised, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return nil, fmt.Errorf("OpenAPI document: info.%s must be a day such as 2026-11-21: %w", revisedExtension, err)
	}
	asJSON, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("OpenAPI document as JSON: %w", err)
	}
	index, err := bundle.MarshalCanonical(discoveryIndex{
		Version: doc.Info.Version, OasURL: "/.well-known/openapi", ChecksumSha256: bundle.DigestOf(spec).Hex(),
		GeneratedAt: revised, ProfilesSupported: builtinLabels(),
	})
	if err != nil {
		return nil, fmt.Errorf("index of the OpenAPI document: %w", err)
	}
	forms := descriptions{}
	for mediaType, content := range map[string][]byte{typeYAML: spec, typeJSON: asJSON, typeIndex: index} {
		forms[mediaType] = description{content: content, digest: bundle.DigestOf(content), revised: revised}
	}
	return forms, nil
}

// builtinLabels are the profiles that every tenant has, by catalogue name.
func builtinLabels() (labels []string) {
	for _, p := range export.BuiltinProfiles() {
		labels = append(labels, p.Label())
	}
	return labels
}

// discoveryIndex is the short description (CONTRACT section 5).
type discoveryIndex struct {
	Version           string    `json:"version"`
	OasURL            string    `json:"oas_url"`
	ChecksumSha256    string    `json:"checksum_sha256"` // of the document as YAML
	GeneratedAt       time.Time `json:"generated_at"`
	ProfilesSupported []string  `json:"profiles_supported"`
}

// GetOpenAPI gives the API's description in the form that the client prefers.
func (h handlers) GetOpenAPI(ctx context.Context, req GetOpenAPIRequestObject) (GetOpenAPIResponseObject, error) {
	mediaType := typeYAML
	if req.Params.Accept != nil {
		mediaType = preferred(*req.Params.Accept)
	}
	if mediaType == "" {
		return nil, echo.NewHTTPError(http.StatusNotAcceptable, fmt.Sprintf("this comes as %s, %s or %s", typeYAML, typeJSON, typeIndex))
	}
	return describing{callOf(ctx), h.descriptions[mediaType], mediaType}, nil
}

// GetOpenAPIJSON gives it as JSON whatever the client prefers.
func (h handlers) GetOpenAPIJSON(ctx context.Context, _ GetOpenAPIJSONRequestObject) (GetOpenAPIJSONResponseObject, error) {
	return describing{callOf(ctx), h.descriptions[typeJSON], typeJSON}, nil
}

// preferred is the first of our media types that an Accept header names; "" when it
// wants another. Of weights only 0, not wanted, is looked at: nobody weighs these.
func preferred(accept string) string {
	for part := range strings.SplitSeq(accept, ",") {
		named, params, err := mime.ParseMediaType(part)
		if weight, _ := strconv.ParseFloat(params["q"], 64); err != nil || params["q"] != "" && weight == 0 {
			continue
		}
		switch named {
		case typeYAML, typeJSON, typeIndex:
			return named
		case "*/*", "application/*":
			return typeYAML
		}
	}
	return ""
}

// describing is an answer with a description.
type describing struct {
	call      *call
	what      description
	mediaType string
}

func (d describing) write(w http.ResponseWriter) error {
	before := w.Header().Clone()
	h := w.Header()
	h.Set("Content-Type", d.mediaType)
	h.Set("ETag", `"`+d.what.digest.String()+`"`)
	h.Set("X-Export-Oas-Version", apiMajor)
	h.Set("Cache-Control", "private, must-revalidate")
	h.Set("Vary", "Accept")
	request := d.call.request.Clone(d.call.request.Context())
	request.Header.Del("Range") // small answers are given whole
	out := &heldWriter{patientWriter: newPatientWriter(w)}
	http.ServeContent(out, request, "", d.what.revised, bytes.NewReader(d.what.content))
	if out.refused() {
		replaceHeader(h, before)
		return echo.NewHTTPError(out.status, "the document is not the one that If-Match or If-Unmodified-Since names")
	}
	out.begin()
	return nil
}

// VisitGetOpenAPIResponse writes the answer.
func (d describing) VisitGetOpenAPIResponse(w http.ResponseWriter) error { return d.write(w) }

// VisitGetOpenAPIJSONResponse writes the answer.
func (d describing) VisitGetOpenAPIJSONResponse(w http.ResponseWriter) error { return d.write(w) }
