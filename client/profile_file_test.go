package client_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
)

const wholeFile = `apiVersion: stellaops.io/export.v1
kind: ExportProfile
metadata:
  name: nightly
  revision: r3
  description: every night
  labels:
    ticket: "1042"
    yes: "no"
spec:
  kind: json
  variant: raw
  include: [vex]
  policySnapshotMode: required
  distribution: [http]
  compression: {codec: zstd, level: 3}
  encryption: {enabled: false}
  retention: {mode: none}
  quotas: {maxBytes: 9007199254740993, maxRunsPerDay: 3}
  approvals:
    - {tenant: globex, approver: ops, expiresAt: 2027-01-01T00:00:00Z, signature: "{}"}
  redaction: {policyId: p, allow: {vex: ["*"]}, linkset: [aliases]}
  guard: {maxDropPercent: 0, maxAgeHours: 48, canaries: [CVE-2026-1], expiresHours: 24}
`

// A file becomes a profile's configuration, and that the file again.
func TestProfileFileIsWholeBothWays(t *testing.T) {
	f, err := client.ReadProfileFile([]byte(wholeFile))
	require.NoError(t, err)
	request, err := f.Request()
	require.NoError(t, err)
	require.Len(t, request.Config, 10)
	require.Equal(t, client.Labels{"ticket": "1042", "yes": "no"}, request.Labels)
	again, err := client.ProfileFileOf(client.Profile{Name: "nightly", Revision: 3, Kind: "json", Variant: "raw",
		Description: request.Description, Labels: request.Labels, Config: request.Config})
	require.NoError(t, err)
	require.Equal(t, f, again)
	var out bytes.Buffer
	require.NoError(t, again.Write(&out))
	third, err := client.ReadProfileFile(out.Bytes())
	require.NoError(t, err)
	require.Equal(t, f, third)
	_, err = client.ProfileFileOf(client.Profile{Name: "x", Config: client.ProfileConfig{"newer": 1}})
	require.ErrorContains(t, err, "newer")
}

func FuzzReadProfileFile(f *testing.F) {
	for _, seed := range []string{wholeFile, "", "a: &a [*a]", "x: !!binary x", "apiVersion: stellaops.io/export.v1\nkind: ExportProfile\nmetadata: {name: a}\nspec: {kind: a, variant: b}",
		"<<: {kind: x}", strings.Repeat("[", 10_000), "---\n---\n", "\xff", "metadata: {labels: {1: 2}}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		file, err := client.ReadProfileFile(raw)
		if err != nil {
			if strings.Contains(err.Error(), "client.") || strings.Contains(err.Error(), "map[") {
				t.Fatalf("%q: a Go type in %v", raw, err)
			}
			return
		}
		var out bytes.Buffer
		if err := file.Write(&out); err != nil {
			t.Fatal(err)
		}
		again, err := client.ReadProfileFile(out.Bytes())
		if err != nil {
			t.Fatalf("%q was written as %q, and that is %v", raw, out.String(), err)
		}
		if a, err := again.Request(); err != nil || a.Name != file.Metadata.Name {
			t.Fatalf("%q: %v", raw, err)
		}
	})
}
