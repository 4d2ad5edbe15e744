package bundle_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
)

func FuzzParseSeal(f *testing.F) {
	encoded, err := bundle.NewSeal(goodManifest(f), bundle.DigestOf([]byte("x")), 2*bundle.BlockSize).Encode()
	require.NoError(f, err)
	f.Add(encoded)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := bundle.ParseSeal(raw)
		if outer, outerErr := bundle.ParseOuterSeal(raw); outerErr == nil {
			if err == nil {
				t.Fatal("one seal is of both kinds")
			}
			s, err = outer, nil
		}
		if err != nil {
			return
		}
		again, err := s.Encode()
		if err != nil || string(again) != string(raw) {
			t.Fatalf("accepted %q, which is written %q (%v)", raw, again, err)
		}
	})
}

// A digest has one spelling.
func FuzzParseDigest(f *testing.F) {
	f.Add(bundle.DigestOf(nil).String())
	f.Add("sha256:")
	f.Add("SHA256:E3B0")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := bundle.ParseDigest(text)
		if err == nil && d.String() != text {
			t.Fatalf("%q is a second spelling of %s", text, d)
		}
	})
}
