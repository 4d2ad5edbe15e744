package vex_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/vex"
)

// Every statement about a product in the real OpenVEX documents is read.
func TestRealCorpusOpenVEX(t *testing.T) {
	documents, statements, pairs := 0, 0, 0
	for _, file := range testkit.RealFiles(t, "vex/openvex-*.tar.zst") {
		var doc struct {
			Statements []struct {
				Vulnerability struct{ Name, ID string }
				Products      []struct{ Subcomponents []any }
			}
		}
		if json.Unmarshal(file.Content, &doc) != nil || len(doc.Statements) == 0 {
			continue
		}
		canonical, err := bundle.Canonical(file.Content)
		require.NoError(t, err)
		got, err := vex.Read("openvex", canonical)
		require.NoError(t, err, file.Name)
		require.Empty(t, got.Unread, file.Name)
		documents++
		statements += len(doc.Statements)
		want := 0
		for _, s := range doc.Statements {
			want += len(s.Products)
		}
		stated := 0
		for _, s := range got.Statements {
			stated += len(s.Products)
			require.NotEmpty(t, s.Vulnerability)
			require.NotEmpty(t, s.At)
		}
		require.Equal(t, want, stated, file.Name)
		pairs += stated
	}
	require.Equal(t, 187, documents)
	require.Equal(t, 18580, statements)
	require.Equal(t, 18626, pairs)
}

func TestRealCorpusCSAF(t *testing.T) {
	documents, statements := 0, 0
	for _, file := range testkit.RealFiles(t, "vex/csaf-*.tar.zst") {
		canonical, err := bundle.Canonical(file.Content)
		require.NoError(t, err)
		var doc struct {
			Vulnerabilities []struct {
				ProductStatus map[string][]string `json:"product_status"`
			}
		}
		require.NoError(t, json.Unmarshal(file.Content, &doc))
		got, err := vex.Read("csaf", canonical)
		require.NoError(t, err, file.Name)
		documents++
		statements += len(got.Statements)
		states := map[vex.Status]bool{}
		for _, s := range got.Statements {
			states[s.Status] = true
		}
		for _, v := range doc.Vulnerabilities {
			for status := range v.ProductStatus {
				word := strings.TrimPrefix(strings.TrimPrefix(status, "known_"), "first_")
				if word != "recommended" && word != "last_affected" {
					require.True(t, states[vex.Status(word)], "%s %s", file.Name, status)
				}
			}
		}
	}
	require.Equal(t, 16, documents)
	require.Greater(t, statements, 30)
}

// Every analysis of a real CycloneDX document is read, or named.
func TestRealCorpusCycloneDX(t *testing.T) {
	documents, analyses := 0, 0
	for _, file := range append(testkit.RealFiles(t, "vex/cyclonedx-*.tar.zst"), testkit.RealFiles(t, "sbom/sbom-utility-*.tar.zst")...) {
		canonical, err := bundle.Canonical(file.Content)
		var doc struct {
			BomFormat       string
			Vulnerabilities []struct {
				ID       string
				Affects  []any
				Analysis struct{ State string }
			}
		}
		if err != nil || json.Unmarshal(file.Content, &doc) != nil || doc.BomFormat != "CycloneDX" {
			continue
		}
		got, err := vex.Read("cyclonedx", canonical)
		require.NoError(t, err, file.Name)
		documents++
		stated := map[string]bool{}
		for _, s := range got.Statements {
			stated[s.Vulnerability] = true
		}
		for _, v := range doc.Vulnerabilities {
			if v.Analysis.State != "" && len(v.Affects) > 0 && !stated[v.ID] {
				require.NotEmpty(t, got.Unread, "%s %s", file.Name, v.ID)
			}
			if stated[v.ID] {
				analyses++
			}
		}
	}
	require.Greater(t, documents, 40)
	require.Equal(t, 95, analyses)
}

func FuzzRead(f *testing.F) {
	f.Add(uint8(2), []byte(openvexDocument))
	f.Add(uint8(0), []byte(csafDocument))
	f.Add(uint8(1), []byte(cyclonedxDocument))
	f.Fuzz(func(t *testing.T, which uint8, raw []byte) {
		format := vex.Formats[int(which)%len(vex.Formats)]
		_, _ = vex.Read(format, raw) // whatever it is, it does not panic
		canonical, err := bundle.Canonical(raw)
		if err != nil {
			return
		}
		d, err := vex.Read(format, canonical)
		if err != nil {
			require.Less(t, len(err.Error()), 1000)
			return
		}
		for _, s := range d.Statements {
			require.NotEmpty(t, s.Vulnerability)
			require.NotEmpty(t, s.Products)
			require.True(t, s.Status.Valid())
		}
		again, err := vex.Read(format, canonical)
		require.NoError(t, err)
		require.Equal(t, d, again)
	})
}
