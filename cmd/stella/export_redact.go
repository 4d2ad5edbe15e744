package main

import (
	"io"
	"os"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
)

// maxRedactionFile is what a request may hold.
const maxRedactionFile = 1 << 20

// readRedaction reads an allow-list from a JSON file; "" is none.
func readRedaction(path string) (*client.Redaction, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, inputErrorf("--redact: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxRedactionFile+1))
	if err != nil {
		return nil, inputErrorf("--redact: read %s: %w", path, err)
	}
	if len(text) > maxRedactionFile {
		return nil, inputErrorf("--redact: %s has more than %d bytes", path, maxRedactionFile)
	}
	var r export.Redaction
	if err := bundle.UnmarshalStrict(text, &r); err != nil {
		return nil, inputErrorf("--redact: %s: %w", path, err)
	}
	if err := r.Validate(); err != nil {
		return nil, inputErrorf("--redact: %s: %w", path, err)
	}
	request := &client.Redaction{PolicyID: r.PolicyID, Allow: r.Allow}
	for _, list := range r.Linkset {
		request.Linkset = append(request.Linkset, client.RedactionLinkset(list))
	}
	return request, nil
}
