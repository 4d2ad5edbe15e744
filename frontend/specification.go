package frontend

import "sync"

// specification is what a server takes from the OpenAPI document. Nobody changes it.
type specification struct {
	scopes       scopeTable
	streams      map[string]bool
	retired      map[string]deprecation
	descriptions descriptions
}

// specified reads the document, once for all servers of the process: that takes
// longer than all else that makes one.
var specified = sync.OnceValues(func() (s specification, err error) {
	if s.scopes, s.streams, err = loadOperations(Spec); err != nil {
		return s, err
	}
	if s.retired, err = loadDeprecations(Spec); err != nil {
		return s, err
	}
	s.descriptions, err = describe(Spec)
	return s, err
})
