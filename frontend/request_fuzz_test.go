package frontend

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// Whatever is asked for becomes a run with selectors in their one form, or an
// error with a code that is the client's to read.
func FuzzRunRequest(f *testing.F) {
	for _, seed := range []string{
		`{"profileId":"json:raw"}`, `{"profileId":"prof-json-raw","selectors":{"kinds":["vex","advisory","vex"]}}`,
		`{"profileId":"json:raw","selectors":{"ecosystems":["npm","PyPI"],"sources":["osv"]},"labels":{"a":"b"}}`,
		`{"profileId":"json:raw","options":{"allowEmpty":true}}`, `{"profileId":"json:raw","options":{"redaction":{"policyId":"p","allow":{"advisory":["id","affected[].package"]}}}}`,
		`{"profileId":"json:raw","selectors":{"kinds":["virus"]}}`, `{"profileId":"json:raw","labels":{"":"x"}}`, `{"profileID":1}`, `[]`,
	} {
		f.Add([]byte(seed))
	}
	s := &Server{ids: func() string { return "0192f3c4-5d6e-7f80-9a1b-000000000001" }, clock: func() time.Time { return time.Unix(0, 0) }}
	profile, _ := export.BuiltinProfile("json:raw")
	f.Fuzz(func(t *testing.T, raw []byte) {
		var request RunRequest
		if bundle.UnmarshalStrict(raw, &request) != nil {
			return
		}
		who := Principal{Tenant: "acme"}
		ask := func(request RunRequest) (askedRun, export.Run, error) {
			asked, err := readRun(request)
			if err != nil {
				return asked, export.Run{}, err
			}
			run, err := s.runOf(who, profile, asked)
			return asked, run, err
		}
		asked, run, err := ask(request)
		if err != nil {
			var coded *export.Error
			if !errors.As(err, &coded) || coded.Message == "" || meanings[coded.Code].status/100 != 4 {
				t.Fatalf("%s: refused without a reason for the client: %v", raw, err)
			}
			return
		}
		key := "key"
		before, err := asked.keyOf(&key, who, profile)
		if err != nil {
			t.Fatal(err)
		}
		// What was understood is understood the same when it is sent as it was kept.
		kept, err := json.Marshal(run.Selectors)
		if err != nil {
			t.Fatal(err)
		}
		request.Selectors = Selectors{}
		if err := json.Unmarshal(kept, &request.Selectors); err != nil {
			t.Fatal(err)
		}
		askedAgain, again, err := ask(request)
		if err != nil {
			t.Fatalf("%s became %s, and that is refused: %v", raw, kept, err)
		}
		if keptAgain, err := json.Marshal(again.Selectors); err != nil || string(keptAgain) != string(kept) {
			t.Fatalf("%s became %s, and that became %s (%v)", raw, kept, keptAgain, err)
		}
		after, err := askedAgain.keyOf(&key, who, profile)
		if err != nil || before != after {
			t.Fatalf("%s: the same request has two hashes (%v)", raw, err)
		}
	})
}

// A member of the issuer's key set is a public key that we verify with, or it is
// passed over.
func FuzzUsableKey(f *testing.F) {
	for _, seed := range []string{
		`{"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`,
		`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`,
		`{"kty":"RSA","e":"AQAB","n":"AQ"}`, `{"kty":"oct","k":"c2VjcmV0"}`, `{"kty":"PQ"}`, `7`, `{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		key, usable := usableKey(raw)
		if !usable {
			return
		}
		for algorithm := range tokenAlgorithms {
			if fits(key, algorithm) {
				return
			}
		}
		if key.algorithm == "" {
			t.Fatalf("%s is usable for nothing", raw)
		}
	})
}
