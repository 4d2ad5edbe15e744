package orchestrator_test

import (
	"encoding/json"
	"testing"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/orchestrator"
	"github.com/stella-ops/exportcenter/signing"
)

// A record that is taken has one normal form, which is taken too and stays as it is,
// written and read again; nobody signs one without the key.
func FuzzRecord(f *testing.F) {
	for _, r := range []orchestrator.Record{good(), {RunID: runID, ArtifactHash: hash, StartedAt: "2026-11-21T08:00:00Z", Status: "pending"}} {
		raw, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	keys := []signing.Verifier{bundletest.Verifier(f, bundletest.Key(f, 1, signing.Ed25519))}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var r orchestrator.Record
		if bundle.UnmarshalStrict(raw, &r) != nil || r.Check("acme") != nil {
			return
		}
		if len(r.Signatures) > 0 && r.Verify("acme", keys) == nil {
			t.Fatalf("a signature that nobody made is believed: %s", raw)
		}
		normal := r.Normal("acme")
		if err := normal.Check("acme"); err != nil {
			t.Fatalf("%s: its normal form is refused: %v", raw, err)
		}
		text, err := bundle.MarshalCanonical(normal)
		if err != nil {
			t.Fatalf("%s: cannot be kept: %v", raw, err)
		}
		var again orchestrator.Record
		if err := bundle.UnmarshalStrict(text, &again); err != nil || orchestrator.Follow(normal, again) != orchestrator.Duplicate {
			t.Fatalf("%s is kept as %s (%v)", raw, text, err)
		}
		if orchestrator.Follow(normal, normal.Normal("acme")) != orchestrator.Duplicate {
			t.Fatalf("%s has two normal forms", raw)
		}
	})
}
