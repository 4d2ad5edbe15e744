package frontend_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend"
)

// described is an operation of the OpenAPI document.
type described struct {
	ID, Method, Path string
	op               *openapi3.Operation
	params           openapi3.Parameters // of the path and of the operation
}

// describedOperations lists the operations of the document, sorted.
func describedOperations(t testing.TB) (all []described) {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(frontend.Spec)
	require.NoError(t, err)
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			all = append(all, described{op.OperationID, method, path, op, append(slices.Clone(item.Parameters), op.Parameters...)})
		}
	}
	slices.SortFunc(all, func(a, b described) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// scopes are the alternatives that the operation demands; nil when it is open.
func (d described) scopes() (alternatives [][]string) {
	if d.op.Security == nil {
		return nil
	}
	for _, requirement := range *d.op.Security {
		for _, name := range slices.Sorted(maps.Keys(requirement)) {
			alternatives = append(alternatives, requirement[name])
		}
	}
	return alternatives
}

// sampleIDs are path parameters of things that nobody has, in the right form.
var sampleIDs = map[string]string{
	"digest": "sha256:" + strings.Repeat("ab", 32),
}

const absentID = "7b3f9a52-64f1-4bfc-9b8e-8a2f1d2c3b4a"

// sample is a request for the operation that the door has no reason to refuse;
// what it names is not there.
func (d described) sample(base, token string) *http.Request {
	path := d.Path
	query := url.Values{}
	header := http.Header{}
	for _, ref := range d.params {
		p := ref.Value
		switch {
		case p.In == "path":
			id := sampleIDs[p.Name]
			if id == "" {
				id = absentID
			}
			path = strings.Replace(path, "{"+p.Name+"}", id, 1)
		case p.Required && p.In == "query":
			query.Set(p.Name, fmt.Sprint(p.Example))
		case p.Required && p.In == "header":
			header.Set(p.Name, fmt.Sprint(p.Example))
		}
	}
	mediaType, body := d.sampleBody()
	req, err := http.NewRequest(d.Method, base+path+"?"+query.Encode(), strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header = header
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req
}

// sampleBody is the first example of the request's body.
func (d described) sampleBody() (mediaType, body string) {
	if d.op.RequestBody == nil {
		return "", ""
	}
	content := d.op.RequestBody.Value.Content
	for _, mediaType := range slices.Sorted(maps.Keys(content)) {
		examples := content[mediaType].Examples
		for _, name := range slices.Sorted(maps.Keys(examples)) {
			if text, ok := examples[name].Value.Value.(string); ok {
				return mediaType, text
			}
			raw, err := json.Marshal(examples[name].Value.Value)
			if err != nil {
				panic(err)
			}
			return mediaType, string(raw)
		}
	}
	return slices.Sorted(maps.Keys(content))[0], "{}"
}
