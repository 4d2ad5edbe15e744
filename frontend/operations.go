package frontend

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Spec is the OpenAPI document this server was generated from.
//
//go:embed openapi.yaml
var Spec []byte

// scopeTable says for each operation which scopes it demands: one of the
// alternatives must be held completely. A nil entry means that the operation
// is open.
type scopeTable map[string][][]string

// streamExtension marks operations whose answers, or bodies, take as long as they
// take: they have bounds of their own.
const streamExtension = "x-stella-stream"

// loadOperations reads the scopes from the `security` member of each operation of
// spec, so that the document and the door cannot disagree. An operation under
// one of guardedPaths without a scope is an error, and so is an open one. It also tells
// which operations are streams.
func loadOperations(spec []byte) (scopeTable, map[string]bool, error) {
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	if err != nil {
		return nil, nil, fmt.Errorf("read OpenAPI document: %w", err)
	}
	table, streams := scopeTable{}, map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			alternatives := scopesOf(op)
			if underScope(path) && !everyAlternativeHasScope(alternatives) {
				return nil, nil, fmt.Errorf("OpenAPI document: %s %s demands no scope", method, path)
			}
			table[op.OperationID] = alternatives
			streams[op.OperationID] = op.Extensions[streamExtension] == true
		}
	}
	return table, streams, nil
}

// guardedPaths are those under which an operation without a scope is an error.
var guardedPaths = []string{"/api/", "/exports/", "/internal/", "/v1/"}

func underScope(path string) bool {
	return slices.ContainsFunc(guardedPaths, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
}

func scopesOf(op *openapi3.Operation) [][]string {
	if op.Security == nil {
		return nil
	}
	var alternatives [][]string
	for _, requirement := range *op.Security {
		alternatives = append(alternatives, requirement["bearer"])
	}
	return alternatives
}

func everyAlternativeHasScope(alternatives [][]string) bool {
	for _, scopes := range alternatives {
		if len(scopes) == 0 {
			return false
		}
	}
	return len(alternatives) > 0
}
