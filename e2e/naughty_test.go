package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

// TestNaughtyStrings takes texts that somebody may take for something else through a
// house: what people write about profiles and runs comes back byte for byte or is
// refused by its field, and what evidence says is in the bundle as it was imported.
func TestNaughtyStrings(t *testing.T) {
	t.Parallel() // a house of its own, which mostly waits
	h := openHouse(t)
	c, err := client.New(h.env["STELLA_SERVER"], h.env["STELLA_TOKEN"])
	require.NoError(t, err)
	t.Run("of profiles", func(t *testing.T) { naughtyProfiles(t, c) })
	t.Run("of runs", func(t *testing.T) { naughtyRuns(t, c) })
	t.Run("in evidence", func(t *testing.T) { h.naughtyEvidence(t, c) })
}

// refusal is the problem of a refused call, which must be one of its request.
func refusal(t *testing.T, err error) *client.Problem {
	t.Helper()
	var p *client.Problem
	require.True(t, errors.As(err, &p), "%v", err)
	require.True(t, p.Status >= 400 && p.Status < 500, "%v", err)
	require.False(t, strings.ContainsFunc(p.Message, unicode.IsControl), "%q", p.Message)
	return p
}

func naughtyProfiles(t *testing.T, c *client.Client) {
	made, err := c.CreateProfile(t.Context(), client.ProfileRequest{Name: "naughty", Kind: "json", Variant: "raw"}, "")
	require.NoError(t, err)
	kept := 0
	for _, text := range testkit.NaughtyStrings() {
		changed, err := c.UpdateProfile(t.Context(), made.ID, "*", client.ProfilePatch{Description: &text})
		if err != nil {
			require.Contains(t, refusal(t, err).Message, "description", "%q", text)
			continue
		}
		kept++
		require.Equal(t, text, changed.Description)
		again, err := c.GetProfile(t.Context(), made.ID)
		require.NoError(t, err)
		require.Equal(t, text, again.Description)
	}
	require.Greater(t, kept, 200)
}

// naughtyRuns asks for runs with as many texts as fit. One that is refused names the
// place of the text it is refused for, which is then left out.
func naughtyRuns(t *testing.T, c *client.Client) {
	ask := func(request client.RunRequest) (client.Run, error) {
		request.ProfileID, request.Options.AllowEmpty = "json:raw", true
		return c.CreateRun(t.Context(), request, "")
	}
	stored := func(run client.Run) client.Run {
		again, err := c.GetRun(t.Context(), run.RunID)
		require.NoError(t, err)
		return again
	}
	element := regexp.MustCompile(`\[(\d+)\]`)
	for name, list := range map[string]func(*client.Selectors) *[]string{
		"include": func(s *client.Selectors) *[]string { return &s.Include }, "exclude": func(s *client.Selectors) *[]string { return &s.Exclude },
		"sources": func(s *client.Selectors) *[]string { return &s.Sources }, "ecosystems": func(s *client.Selectors) *[]string { return &s.Ecosystems },
		"sbomSubjects": func(s *client.Selectors) *[]string { return &s.SbomSubjects },
	} {
		texts := testkit.NaughtyStrings()
		kept := 0
		for len(texts) > 0 {
			part := texts[:min(len(texts), 100)]
			var request client.RunRequest
			*list(&request.Selectors) = part
			run, err := ask(request)
			if err != nil {
				p := refusal(t, err)
				require.Len(t, p.Details, 1, "%v", err)
				place := element.FindStringSubmatch(p.Details[0].Field)
				require.True(t, strings.HasPrefix(p.Details[0].Field, "selectors."+name+"[") && place != nil, "%v", err)
				at, err := strconv.Atoi(place[1])
				require.NoError(t, err)
				texts = slices.Delete(slices.Clone(texts), at, at+1)
				continue
			}
			again := stored(run).Selectors
			require.ElementsMatch(t, part, *list(&again), name)
			kept += len(part)
			texts = texts[len(part):]
		}
		require.Greater(t, kept, 10, name)
	}
	value := regexp.MustCompile(`the value of (k\d+) `)
	labels, refused := client.Labels{}, 0
	for i, text := range testkit.NaughtyStrings() {
		labels[fmt.Sprintf("k%d", i)] = text
		for len(labels) == 32 || i == len(testkit.NaughtyStrings())-1 && len(labels) > 0 {
			run, err := ask(client.RunRequest{Labels: labels})
			if err == nil {
				require.Equal(t, labels, stored(run).Labels)
				labels = client.Labels{}
				break
			}
			named := value.FindStringSubmatch(refusal(t, err).Message)
			require.NotNil(t, named, "%v", err)
			delete(labels, named[1])
			refused++
		}
	}
	require.Less(t, refused, 60)
}

// naughtyDocuments are an advisory, a VEX document and an SBOM for a text, by their own
// ids, and advisories around what is no text.
func naughtyDocuments() (good, bad map[string][]byte) {
	good, bad = map[string][]byte{}, map[string][]byte{}
	for i, text := range testkit.NaughtyStrings() {
		literal := testkit.Literal(text)
		id := fmt.Sprintf("NAUGHTY-%d", i)
		good[id] = fmt.Appendf(nil, `{"id":%q,"modified":"2026-01-01T00:00:00Z","summary":%s,"details":%s,"affected":[{"package":{"ecosystem":"npm","name":%s}}]}`, id, literal, literal, literal)
		id = fmt.Sprintf("https://example.test/vex-%d", i)
		good[id] = fmt.Appendf(nil, `{"@context":"https://openvex.dev/ns/v0.2.0","@id":%q,"author":%s,"timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[{"vulnerability":{"name":"CVE-2026-1","description":%s},"products":[{"@id":"pkg:npm/a"}],"status":"not_affected","impact_statement":%s}]}`,
			id, literal, literal, literal)
		id = fmt.Sprintf("urn:uuid:00000000-0000-4000-8000-%012d", i)
		good[id] = fmt.Appendf(nil, `{"bomFormat":"CycloneDX","specVersion":"1.5","serialNumber":%q,"version":1,"metadata":{"component":{"type":"application","name":%s}},"components":[{"type":"library","name":%s}]}`, id, literal, literal)
	}
	for i, literal := range testkit.NaughtyLiterals() {
		if strings.HasPrefix(literal, `"`) {
			id := fmt.Sprintf("NO-TEXT-%d", i)
			bad[id] = fmt.Appendf(nil, `{"id":%q,"modified":"2026-01-01T00:00:00Z","summary":%s}`, id, literal)
		}
	}
	return good, bad
}

func (h *house) naughtyEvidence(t *testing.T, c *client.Client) {
	good, bad := naughtyDocuments()
	rejected := map[string]string{}
	settled, err := c.ImportDocuments(t.Context(), records(good, bad), client.Import{Settled: func(s client.Settled) error {
		for _, r := range s.Rejections {
			rejected[r.Entry] = r.Reason
		}
		return nil
	}})
	require.NoError(t, err)
	for id := range bad {
		require.NotEmpty(t, rejected[id], "%s: what is no text is not imported: %s", id, bad[id])
	}
	for id, reason := range rejected {
		require.False(t, strings.ContainsFunc(reason, unicode.IsControl), "%q", reason)
		if good[id] != nil {
			require.Regexp(t, "subject .* (holds a control character|has [0-9]+ bytes)|name is missing", reason, "a name to find it by, not a text")
			delete(good, id)
		}
	}
	require.Greater(t, len(good), 3*len(testkit.NaughtyStrings())-60)
	require.EqualValues(t, len(good), settled.Summary.Accepted)

	archive := filepath.Join(t.TempDir(), "bundle.tar")
	var run exported
	h.must(t, &run, "export", "run", "json:raw", "--select", "source=naughty", "--wait", "--output", archive)
	require.Equal(t, "succeeded", run.Status)
	var report struct {
		Status   string
		Records  int
		Evidence struct{ Identical, Rewritten int }
	}
	h.must(t, &report, "verify", archive, "--trust", h.env["STELLA_TRUST"], "--evidence")
	require.Equal(t, "verified", report.Status)
	require.Equal(t, len(good), report.Records)
	raw, err := os.ReadFile(archive)
	require.NoError(t, err)
	require.Equal(t, run.ArchiveDigest, bundle.DigestOf(raw).String())

	want := map[string][]byte{}
	for _, document := range good {
		want[bundle.DigestOf(document).String()] = document
	}
	require.Len(t, want, len(good))
	files, err := filepath.Glob(filepath.Join(unpack(t, archive), "data/raw/*.zst"))
	require.NoError(t, err)
	for _, file := range files {
		eachLine(t, file, func(line []byte) {
			var doc struct {
				Original struct{ Digest string }
				Content  struct{ Raw json.RawMessage }
			}
			require.NoError(t, json.Unmarshal(line, &doc))
			imported := want[doc.Original.Digest]
			require.NotNil(t, imported, "nobody imported it: %.200s", line)
			delete(want, doc.Original.Digest)
			canonical, err := bundle.Canonical(imported)
			require.NoError(t, err)
			require.Equal(t, string(canonical), string(doc.Content.Raw), "text by text, byte by byte")
			original, err := c.Original(t.Context(), doc.Original.Digest)
			require.NoError(t, err)
			require.Equal(t, imported, original)
		})
	}
	require.Empty(t, want, "imported, and not in the bundle")
}

// records are the documents in the order of their ids, each with its id as its entry.
func records(sets ...map[string][]byte) iter.Seq2[client.ImportRecord, error] {
	return func(yield func(client.ImportRecord, error) bool) {
		for _, set := range sets {
			for _, id := range slices.Sorted(maps.Keys(set)) {
				if !yield(client.ImportRecord{Source: "naughty", Stream: "strings", File: "naughty", Entry: id, Bytes: set[id]}, nil) {
					return
				}
			}
		}
	}
}
