package bundle_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
)

func goodAttestation(t testing.TB) bundle.Attestation {
	t.Helper()
	return bundle.NewAttestation(goodManifest(t), bundle.DigestOf([]byte("m")), bundle.DigestOf([]byte("p")), bundle.DigestOf([]byte("a")), 10*bundle.BlockSize)
}

func TestAttestation(t *testing.T) {
	encoded, err := goodAttestation(t).Encode()
	require.NoError(t, err)
	again, err := bundle.ParseAttestation(encoded)
	require.NoError(t, err)
	require.Equal(t, goodAttestation(t), again)
	require.Equal(t, `{"_type":"https://in-toto.io/Statement/v1","predicate":{"bytes":5120,"generatedAt":"2026-11-21T08:00:00Z",`, string(encoded[:106]))
	for name, spoil := range map[string]func(*bundle.Attestation){
		"type":      func(a *bundle.Attestation) { a.Type += "x" },
		"predicate": func(a *bundle.Attestation) { a.PredicateType = bundle.PredicateType },
		"run":       func(a *bundle.Attestation) { a.Predicate.RunID = "x" },
		"tenant":    func(a *bundle.Attestation) { a.Predicate.Tenant = "../b" },
		"bytes":     func(a *bundle.Attestation) { a.Predicate.Bytes++ },
		"digest":    func(a *bundle.Attestation) { a.Predicate.ProvenanceDigest = bundle.Digest{} },
		"name":      func(a *bundle.Attestation) { a.Subject[0].Name = "other.tar" },
		"subject":   func(a *bundle.Attestation) { a.Subject[0].Digest.SHA256 = "E3" },
		"subjects":  func(a *bundle.Attestation) { a.Subject = append(a.Subject, a.Subject[0]) },
		"nobody":    func(a *bundle.Attestation) { a.Subject = nil },
	} {
		bad := goodAttestation(t)
		spoil(&bad)
		_, err := bad.Encode()
		require.Error(t, err, name)
	}
}

func FuzzParseAttestation(f *testing.F) {
	encoded, err := goodAttestation(f).Encode()
	require.NoError(f, err)
	f.Add(encoded)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := bundle.ParseAttestation(raw)
		if err != nil {
			return
		}
		again, err := a.Encode()
		if err != nil || string(again) != string(raw) {
			t.Fatalf("accepted %q, which is written %q (%v)", raw, again, err)
		}
	})
}
