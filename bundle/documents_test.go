package bundle_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
)

func goodManifest(t testing.TB) bundle.Manifest {
	t.Helper()
	m := bundle.Manifest{
		Schema: bundle.ManifestSchema, Version: bundle.ManifestVersion,
		ExportID: "019a0000-0000-7000-8000-000000000001", RunID: "019a0000-0000-7000-8000-000000000001",
		Tenant: "acme", Project: "web",
		Profile:     bundle.Profile{ID: "prof-json-raw", Kind: "json", Variant: "raw", Name: "json-raw", Revision: 1},
		Selectors:   json.RawMessage(`{"kinds":["advisory"]}`),
		GeneratedAt: "2026-11-21T08:00:00Z", Compression: bundle.EncoderCompression(),
		Keys: []bundle.Key{{KeyID: bundle.DigestOf([]byte("key")).String(), Algorithm: "ed25519"}},
		Tool: bundle.Tool{Name: "exportcenter", Version: "v1.2.3", Adapters: map[string]string{"json:raw": "1"}},
	}
	require.NoError(t, m.SetContents([]bundle.Content{
		content("data/raw/vex-0000000000000000.jsonl.zst", 2), content("data/raw/advisories-ffffffffffffffff.jsonl.zst", 3),
		content("data/raw/advisories-0000000000000000.jsonl.zst", 5),
	}))
	return m
}

func content(path string, records int64) bundle.Content {
	return bundle.NewContent(path, bundle.PayloadInfo{
		Digest: bundle.DigestOf([]byte(path)), Size: 100 * records,
		ContentDigest: bundle.DigestOf([]byte("content of " + path)), ContentSize: 1000 * records, Records: records,
	})
}

func TestManifestRoundTrip(t *testing.T) {
	m := goodManifest(t)
	require.Equal(t, bundle.Counts{Records: 10, Files: 3, Bytes: 1000, ByType: map[string]int64{"advisories": 8, "vex": 2}}, m.Counts)
	require.Equal(t, []int{2, 1, 0}, []int{m.Contents[0].Order, m.Contents[1].Order, m.Contents[2].Order})
	encoded, err := m.Encode()
	require.NoError(t, err)
	again, err := bundle.ParseManifest(encoded)
	require.NoError(t, err)
	require.Equal(t, m, again)
	canonical, err := bundle.Canonical(encoded)
	require.NoError(t, err)
	require.Equal(t, string(canonical), string(encoded))

	m.Project = ""
	encoded, err = m.Encode()
	require.NoError(t, err)
	require.NotContains(t, string(encoded), "project")

	require.NoError(t, m.SetContents(nil))
	encoded, err = m.Encode()
	require.NoError(t, err)
	require.Contains(t, string(encoded), `"contents":[],`)
	_, err = bundle.ParseManifest(encoded)
	require.NoError(t, err)
}

// TestManifestNamesTheFieldAtFault: one field spoiled at a time, written and read.
func TestManifestNamesTheFieldAtFault(t *testing.T) {
	long := strings.Repeat("x", 257)
	for field, spoil := range map[string]func(*bundle.Manifest){
		"schema":               func(m *bundle.Manifest) { m.Schema += "x" },
		"version":              func(m *bundle.Manifest) { m.Version = "1.2.0" },
		"runId":                func(m *bundle.Manifest) { m.RunID = "A"; m.ExportID = "A" },
		"exportId":             func(m *bundle.Manifest) { m.ExportID = "other-run" },
		"tenant":               func(m *bundle.Manifest) { m.Tenant = "Acme" },
		"project":              func(m *bundle.Manifest) { m.Project = "a/b" },
		"generatedAt":          func(m *bundle.Manifest) { m.GeneratedAt = "2026-11-21T08:00:00.5Z" },
		"profile.id":           func(m *bundle.Manifest) { m.Profile.ID = "" },
		"profile.kind":         func(m *bundle.Manifest) { m.Profile.Kind = "a\x1b[31m" },
		"profile.variant":      func(m *bundle.Manifest) { m.Profile.Variant = long },
		"profile.name":         func(m *bundle.Manifest) { m.Profile.Name = "a\xff" },
		"profile.revision":     func(m *bundle.Manifest) { m.Profile.Revision = 0 },
		"selectors":            func(m *bundle.Manifest) { m.Selectors = json.RawMessage(`[]`) },
		"selectors: JSON":      func(m *bundle.Manifest) { m.Selectors = json.RawMessage(`{"a":1,"a":1}`) },
		"compression.codec":    func(m *bundle.Manifest) { m.Compression.Codec = "gzip" },
		"compression.level":    func(m *bundle.Manifest) { m.Compression.Level = "" },
		"compression.encoder":  func(m *bundle.Manifest) { m.Compression.Encoder = "zstd" },
		"compression.frames":   func(m *bundle.Manifest) { m.Compression.Frames = "many" },
		"contents: absent":     func(m *bundle.Manifest) { m.Contents = nil },
		"contents[0]: path":    func(m *bundle.Manifest) { m.Contents[0].Path = "data/raw/x.jsonl.zst" },
		"bytes: 0":             func(m *bundle.Manifest) { m.Contents[0].Bytes = 0 },
		"8 GiB":                func(m *bundle.Manifest) { m.Contents[0].Bytes = 1 << 40 },
		"records: 0":           func(m *bundle.Manifest) { m.Contents[0].Records = 0 },
		"contentBytes":         func(m *bundle.Manifest) { m.Contents[0].ContentBytes = 3 },
		"contentType":          func(m *bundle.Manifest) { m.Contents[0].ContentType = "text/plain" },
		"digest or":            func(m *bundle.Manifest) { m.Contents[0].Digest = bundle.Digest{} },
		"does not come after":  func(m *bundle.Manifest) { slices.Reverse(m.Contents) },
		"order":                func(m *bundle.Manifest) { m.Contents[0].Order = 1 },
		"counts: 11 records":   func(m *bundle.Manifest) { m.Counts.Records++ },
		"counts: 10 records":   func(m *bundle.Manifest) { m.Counts.Files++ },
		"counts.byType":        func(m *bundle.Manifest) { m.Counts.ByType["sboms"] = 0 },
		"payloadDigest":        func(m *bundle.Manifest) { m.PayloadDigest[0]++ },
		"rerunHash":            func(m *bundle.Manifest) { m.RerunHash[0]++ },
		"keys: 0":              func(m *bundle.Manifest) { m.Keys = nil },
		"keys[0].keyId":        func(m *bundle.Manifest) { m.Keys[0].KeyID = "k1" },
		"keys[0].algorithm":    func(m *bundle.Manifest) { m.Keys[0].Algorithm = "ED" },
		"keys: not in order":   func(m *bundle.Manifest) { m.Keys = append(m.Keys, m.Keys[0]) },
		"tool.name":            func(m *bundle.Manifest) { m.Tool.Name = "" },
		"tool.version":         func(m *bundle.Manifest) { m.Tool.Version = "\n" },
		"tool.adapters: none":  func(m *bundle.Manifest) { m.Tool.Adapters = nil },
		"tool.adapters.json:r": func(m *bundle.Manifest) { m.Tool.Adapters["json:raw"] = "" },
	} {
		t.Run(field, func(t *testing.T) {
			m := goodManifest(t)
			spoil(&m)
			_, err := m.Encode()
			require.ErrorContains(t, err, field)
			require.ErrorContains(t, err, bundle.ManifestPath)
			// The same bytes from a maker that does not check.
			if encoded, err := bundle.MarshalCanonical(m); err == nil {
				_, err = bundle.ParseManifest(encoded)
				require.Error(t, err)
			}
		})
	}
}

func TestManifestOtherSpellings(t *testing.T) {
	encoded, err := goodManifest(t).Encode()
	require.NoError(t, err)
	text := string(encoded)
	for name, spoiled := range map[string]string{
		"space":          strings.Replace(text, ":", ": ", 1),
		"line feed":      text + "\n",
		"null":           strings.Replace(text, `"project":"web"`, `"project":null`, 1),
		"empty project":  strings.Replace(text, `"project":"web"`, `"project":""`, 1),
		"fraction":       strings.Replace(text, `"revision":1`, `"revision":1.0`, 1),
		"escape":         strings.Replace(text, `"acme"`, `"\u0061cme"`, 1),
		"unsorted":       strings.Replace(text, `{"compression":`, `{"tenant":"acme","compression":`, 1),
		"missing member": strings.Replace(text, `"counts":`, `"count":`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			require.NotEqual(t, text, spoiled)
			_, err := bundle.ParseManifest([]byte(spoiled))
			require.Error(t, err)
		})
	}
	for n := range encoded {
		_, err := bundle.ParseManifest(encoded[:n])
		require.Error(t, err)
	}
}

func TestProvenanceRoundTrip(t *testing.T) {
	m := goodManifest(t)
	digest := bundle.DigestOf([]byte("manifest"))
	inputs := []bundle.Input{{Name: "b", Digest: bundle.DigestOf([]byte("b"))}, {Name: "a", Digest: bundle.DigestOf([]byte("a"))}}
	p := bundle.NewProvenance(m, digest, json.RawMessage(`{"allowEmpty":true}`), inputs)
	encoded, err := p.Encode()
	require.NoError(t, err)
	again, err := bundle.ParseProvenance(encoded)
	require.NoError(t, err)
	require.Equal(t, p, again)
	require.NoError(t, again.Describes(m, digest))
	require.Error(t, again.Describes(m, bundle.DigestOf(nil)))

	// The statement as any in-toto reader sees it.
	var statement struct {
		Type          string `json:"_type"`
		PredicateType string
		Subject       []struct {
			Name   string
			Digest map[string]string
		}
		Predicate struct {
			BuildDefinition struct {
				BuildType            string
				ExternalParameters   map[string]any
				ResolvedDependencies []struct {
					Name   string
					Digest map[string]string
				}
			}
			RunDetails struct {
				Builder  struct{ ID string }
				Metadata map[string]string
				LogProof map[string]string `json:"stellaops_logProof"`
			}
		}
	}
	require.NoError(t, json.Unmarshal(encoded, &statement))
	require.Equal(t, "https://in-toto.io/Statement/v1", statement.Type)
	require.Equal(t, "https://slsa.dev/provenance/v1", statement.PredicateType)
	require.Equal(t, "manifests/export.json", statement.Subject[0].Name)
	require.Equal(t, digest.Hex(), statement.Subject[0].Digest["sha256"])
	require.Equal(t, m.PayloadDigest.Hex(), statement.Subject[1].Digest["sha256"])
	require.Equal(t, "a", statement.Predicate.BuildDefinition.ResolvedDependencies[0].Name)
	require.Equal(t, map[string]any{"allowEmpty": true}, statement.Predicate.BuildDefinition.ExternalParameters["options"])
	require.Equal(t, map[string]string{"invocationId": m.RunID, "startedOn": m.GeneratedAt}, statement.Predicate.RunDetails.Metadata)
	require.Equal(t, map[string]string{"kind": "none", "reason": "offline"}, statement.Predicate.RunDetails.LogProof)
}

func TestProvenanceNamesTheFieldAtFault(t *testing.T) {
	for field, spoil := range map[string]func(*bundle.Provenance){
		"_type":                   func(p *bundle.Provenance) { p.Type = "https://in-toto.io/Statement/v0.1" },
		"predicateType":           func(p *bundle.Provenance) { p.PredicateType = "" },
		"buildType":               func(p *bundle.Provenance) { p.Predicate.BuildDefinition.BuildType = "x" },
		"builder.id":              func(p *bundle.Provenance) { p.Predicate.RunDetails.Builder.ID = "x" },
		"builder.version":         func(p *bundle.Provenance) { p.Predicate.RunDetails.Builder.Version = nil },
		"stellaops_logProof.kind": func(p *bundle.Provenance) { p.Predicate.RunDetails.LogProof.Kind = "rekor" },
		"subject: want":           func(p *bundle.Provenance) { p.Subject = p.Subject[:1] },
		"subject payload":         func(p *bundle.Provenance) { p.Subject[1].Digest.SHA256 = "sha256:" + p.Subject[1].Digest.SHA256 },
		"resolvedDependencies: absent": func(p *bundle.Provenance) {
			p.Predicate.BuildDefinition.ResolvedDependencies = nil
		},
		"resolvedDependencies[0]": func(p *bundle.Provenance) {
			p.Predicate.BuildDefinition.ResolvedDependencies[0].Digest.SHA256 = ""
		},
		"resolvedDependencies[1]": func(p *bundle.Provenance) {
			d := &p.Predicate.BuildDefinition
			d.ResolvedDependencies = append(d.ResolvedDependencies, d.ResolvedDependencies[0])
		},
		"externalParameters.options": func(p *bundle.Provenance) { p.Predicate.BuildDefinition.ExternalParameters.Options = nil },
		"externalParameters.selectors": func(p *bundle.Provenance) {
			p.Predicate.BuildDefinition.ExternalParameters.Selectors = json.RawMessage("1")
		},
		"metadata.invocationId": func(p *bundle.Provenance) { p.Predicate.RunDetails.Metadata.InvocationID = "" },
		"metadata.startedOn":    func(p *bundle.Provenance) { p.Predicate.RunDetails.Metadata.StartedOn = "yesterday" },
	} {
		t.Run(field, func(t *testing.T) {
			p := bundle.NewProvenance(goodManifest(t), bundle.DigestOf(nil), json.RawMessage(`{}`), []bundle.Input{{Name: "a", Digest: bundle.DigestOf(nil)}})
			spoil(&p)
			_, err := p.Encode()
			require.ErrorContains(t, err, field)
		})
	}
}

func TestSealRoundTrip(t *testing.T) {
	s := bundle.NewSeal(goodManifest(t), bundle.DigestOf([]byte("archive")), 51200)
	encoded, err := s.Encode()
	require.NoError(t, err)
	again, err := bundle.ParseSeal(encoded)
	require.NoError(t, err)
	require.Equal(t, s, again)
	for field, spoil := range map[string]func(*bundle.Seal){
		"schema": func(s *bundle.Seal) { s.Schema = "" }, "runId": func(s *bundle.Seal) { s.RunID = "" }, "tenant": func(s *bundle.Seal) { s.Tenant = "" },
		"bytes": func(s *bundle.Seal) { s.Bytes = 513 }, "digest": func(s *bundle.Seal) { s.Digest = bundle.Digest{} },
	} {
		spoiled := s
		spoil(&spoiled)
		_, err := spoiled.Encode()
		require.ErrorContains(t, err, field)
	}
	for _, raw := range []string{"", "{}", string(encoded) + " ", strings.Replace(string(encoded), `"bytes":51200`, `"bytes":51200.0`, 1)} {
		_, err := bundle.ParseSeal([]byte(raw))
		require.Error(t, err)
	}
}

func TestChecksums(t *testing.T) {
	files := []bundle.Listed{{Path: "b/c", Digest: bundle.DigestOf([]byte("2"))}, {Path: "README.md", Digest: bundle.DigestOf([]byte("1"))}}
	text := bundle.Checksums(files)
	require.Equal(t, bundle.DigestOf([]byte("1")).Hex()+"  README.md\n"+bundle.DigestOf([]byte("2")).Hex()+"  b/c\n", string(text))
	again, err := bundle.ParseChecksums(text)
	require.NoError(t, err)
	require.Equal(t, []bundle.Listed{files[1], files[0]}, again)
	none, err := bundle.ParseChecksums(nil)
	require.NoError(t, err)
	require.Empty(t, none)
	for _, spoiled := range []string{"x\n", string(text) + "\n", string(text[:len(text)-1]), strings.Replace(string(text), "  b/c", "  /c", 1), string(text) + string(text)} {
		_, err := bundle.ParseChecksums([]byte(spoiled))
		require.Error(t, err, "%q", spoiled)
	}
}

func TestReadmeAndGuideFollowFromTheManifest(t *testing.T) {
	m := goodManifest(t)
	readme, guide := string(bundle.Readme(m, nil)), string(bundle.VerifyGuide(m))
	require.Equal(t, readme, string(bundle.Readme(goodManifest(t), nil)))
	for _, word := range []string{m.RunID, m.Tenant, "json:raw", "| advisories | 8 |", "| vex | 2 |", m.PayloadDigest.String(), bundle.GuidePath} {
		require.Contains(t, readme, word)
	}
	for _, word := range []string{
		m.Keys[0].KeyID, "sha256sum -c checksums.txt", "zstd -t ", "tar -xf BUNDLE", "head -c",
		"cosign verify-blob --key KEY --bundle signatures/export.sigstore.json --insecure-ignore-tlog manifests/export.json",
		"cosign verify-blob-attestation --key KEY --bundle signatures/provenance.sigstore.json --insecure-ignore-tlog --type slsaprovenance1 manifests/export.json",
		fmt.Sprintf("printf 'DSSEv1 %%d %%s %%d ' %d %s ", len(bundle.SealPayloadType), bundle.SealPayloadType),
	} {
		require.Contains(t, guide, word)
	}
}

func TestStamp(t *testing.T) {
	require.Equal(t, "2026-11-21T07:00:00Z", bundle.Stamp(time.Date(2026, 11, 21, 8, 0, 0, 999, time.FixedZone("", 3600))))
}

func FuzzParseManifest(f *testing.F) {
	encoded, err := goodManifest(f).Encode()
	require.NoError(f, err)
	f.Add(encoded)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := bundle.ParseManifest(raw)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil || string(again) != string(raw) {
			t.Fatalf("accepted %q, which is written %q (%v)", raw, again, err)
		}
	})
}

func FuzzParseProvenance(f *testing.F) {
	encoded, err := bundle.NewProvenance(goodManifest(f), bundle.DigestOf(nil), json.RawMessage(`{}`), nil).Encode()
	require.NoError(f, err)
	f.Add(encoded)
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := bundle.ParseProvenance(raw)
		if err != nil {
			return
		}
		again, err := p.Encode()
		if err != nil || string(again) != string(raw) {
			t.Fatalf("accepted %q, which is written %q (%v)", raw, again, err)
		}
	})
}

func FuzzParseChecksums(f *testing.F) {
	f.Add(bundle.Checksums([]bundle.Listed{{Path: "a", Digest: bundle.DigestOf(nil)}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		files, err := bundle.ParseChecksums(raw)
		if err == nil && string(bundle.Checksums(files)) != string(raw) {
			t.Fatalf("accepted %q", raw)
		}
	})
}
