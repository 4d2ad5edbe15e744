package bundle_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
)

func redactedManifest(t testing.TB) bundle.Manifest {
	m := goodManifest(t)
	m.Redaction = &bundle.Redaction{PolicyID: "acme/public", DroppedFields: map[string]int64{"advisories": 12, "vex": 0}}
	return m
}

func TestAManifestTellsWhatWasLeftOut(t *testing.T) {
	encoded, err := redactedManifest(t).Encode()
	require.NoError(t, err)
	require.Contains(t, string(encoded), `"redaction":{"droppedFields":{"advisories":12,"vex":0},"policyId":"acme/public"}`)
	again, err := bundle.ParseManifest(encoded)
	require.NoError(t, err)
	require.Equal(t, redactedManifest(t), again)

	whole, err := goodManifest(t).Encode()
	require.NoError(t, err)
	require.NotContains(t, string(whole), "redaction")
	for field, spoil := range map[string]func(*bundle.Redaction){
		"redaction.policyId":            func(r *bundle.Redaction) { r.PolicyID = "" },
		"redaction.droppedFields":       func(r *bundle.Redaction) { r.DroppedFields = nil },
		"redaction.droppedFields: has":  func(r *bundle.Redaction) { r.DroppedFields["sboms"] = 1 },
		"redaction.droppedFields.vex":   func(r *bundle.Redaction) { delete(r.DroppedFields, "vex"); r.DroppedFields["sboms"] = 1 },
		"redaction.droppedFields.advis": func(r *bundle.Redaction) { r.DroppedFields["advisories"] = -1 },
	} {
		m := redactedManifest(t)
		spoil(m.Redaction)
		_, err := m.Encode()
		require.ErrorContains(t, err, field)
	}
}

// The provenance holds the allow-list; a manifest cannot hide that there was one.
func TestManifestAndProvenanceAgreeOnTheRedaction(t *testing.T) {
	const asked = `{"redaction":{"allow":{"vex":["*"]},"policyId":"acme/public"}}`
	for _, tt := range []struct {
		m       bundle.Manifest
		options string
		agree   bool
	}{
		{redactedManifest(t), asked, true},
		{goodManifest(t), `{}`, true},
		{goodManifest(t), `{"allowEmpty":true}`, true},
		{goodManifest(t), asked, false},
		{redactedManifest(t), `{}`, false},
		{redactedManifest(t), strings.Replace(asked, "public", "other", 1), false},
		{redactedManifest(t), `{"Redaction":{"policyId":"acme/public"}}`, false},
		{goodManifest(t), `{"redaction":{}}`, false},
		{goodManifest(t), `{"redaction":null}`, false},
	} {
		digest := bundle.DigestOf([]byte("manifest"))
		err := bundle.NewProvenance(tt.m, digest, json.RawMessage(tt.options), nil).Describes(tt.m, digest)
		if tt.agree {
			require.NoError(t, err, tt.options)
		} else {
			require.ErrorContains(t, err, "options.redaction", tt.options)
		}
	}
}

func TestReadmeTellsSourcesLicencesAndWhatWasLeftOut(t *testing.T) {
	credits := []bundle.Credit{
		{Documents: 9, Place: "osv/pypa", Publisher: "PyPI Advisory Database", URL: "https://github.com/pypa/advisory-database", Licence: "CC-BY-4.0"},
		{Documents: 1, Place: "csaf/s", Publisher: "https://p.example", URL: "https://p.example", Licence: "licence not known to this program; ask the publisher"},
	}
	text := string(bundle.Readme(redactedManifest(t), credits))
	for _, part := range []string{
		"| 9 | osv/pypa | PyPI Advisory Database, https://github.com/pypa/advisory-database | CC-BY-4.0 |\n",
		"| 1 | csaf/s | https://p.example | licence not known to this program; ask the publisher |\n",
		"`acme/public`", "| advisories | 12 |\n", "left out as said above", "https://spdx.org/licenses/NAME.html",
	} {
		require.Contains(t, text, part)
	}
	whole := string(bundle.Readme(goodManifest(t), credits))
	require.NotContains(t, whole, "left out")
	require.Contains(t, string(bundle.Readme(goodManifest(t), nil)), "not known to this program; ask the publishers", "never silence")

	for range 600 {
		credits = append(credits, credits[0])
	}
	many := string(bundle.Readme(goodManifest(t), credits))
	require.Equal(t, 500, strings.Count(many, "| 9 |")+strings.Count(many, "| 1 |"))
	require.Contains(t, many, "and 102 sources more")
}
