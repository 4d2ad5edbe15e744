package policy

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/stretchr/testify/require"
)

// wantCapabilities is what capabilities.json must be: OPA's own declarations of
// the functions that are allowed, one on each line.
func wantCapabilities(t *testing.T) []byte {
	var out bytes.Buffer
	out.WriteString("{\"allow_net\": [],\n \"features\": [\"keywords_in_refs\", \"rego_v1\"],\n \"future_keywords\": [],\n \"builtins\": [")
	written := 0
	for _, b := range ast.CapabilitiesForThisVersion().Builtins {
		if !slices.Contains(allowed, b.Name) {
			continue
		}
		require.False(t, b.Nondeterministic, b.Name)
		bare := *b
		bare.Description, bare.Categories = "", nil
		raw, err := json.Marshal(bare)
		require.NoError(t, err)
		if written++; written > 1 {
			out.WriteByte(',')
		}
		out.WriteString("\n  ")
		out.Write(raw)
	}
	require.Equal(t, len(allowed), written, "a name in the list is none of OPA's, or there twice")
	out.WriteString("\n ]}\n")
	return out.Bytes()
}

func TestTheCapabilitiesFileIsTheList(t *testing.T) {
	want := wantCapabilities(t)
	if os.Getenv("UPDATE_CAPABILITIES") != "" {
		require.NoError(t, os.WriteFile("capabilities.json", want, 0o644))
		return
	}
	require.True(t, bytes.Equal(want, Capabilities()), "capabilities.json is not the list: UPDATE_CAPABILITIES=1 go test ./policy -run Capabilities")
}

// What reads anything but its arguments is not in the list, whatever OPA calls
// it next.
func TestNothingImpureIsAllowed(t *testing.T) {
	for _, prefix := range []string{"http.", "net.", "rand.", "opa.", "io.", "crypto.x509", "providers.", "time.now", "time.format", "time.clock", "time.date", "time.parse_ns", "uuid.rfc", "json.match_schema", "json.verify_schema", "trace", "internal.test"} {
		require.False(t, slices.ContainsFunc(allowed, func(name string) bool { return strings.HasPrefix(name, prefix) }), prefix)
	}
	caps, err := capabilities()
	require.NoError(t, err)
	require.NotNil(t, caps.AllowNet)
	require.Empty(t, caps.AllowNet)
	require.Len(t, caps.Builtins, len(allowed))
}
