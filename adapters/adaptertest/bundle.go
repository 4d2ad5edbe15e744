package adaptertest

import (
	"testing"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/signing"
)

// Bundle makes a signed bundle of a result, and a trust that verifies it and what
// is made of it.
func (r Result) Bundle(t testing.TB, adapter adapters.Adapter, signer signing.Signer) ([]byte, verify.Trust) {
	t.Helper()
	kind, variant := adapter.Profile()
	options := bundletest.Options{Signer: signer, Kind: kind, Variant: variant}
	for _, f := range r.Payload {
		options.Files = append(options.Files, bundletest.File{Path: f.Path, Stored: f.Stored, Info: f.Info})
	}
	archive := bundletest.Build(t, options)
	return archive, Remember(t, archive, bundletest.Verifier(t, signer))
}
