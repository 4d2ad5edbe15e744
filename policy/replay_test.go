package policy

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/bundle"
)

// recorded is a shelf as a bundle has it.
func (s *shelf) recorded(evidence []File) Recorded {
	return Recorded{Evidence: evidence, Paths: s.paths(""), Open: func(_ context.Context, path string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(s.files[path])), nil
	}}
}

func replayed(t testing.TB, r Recorded) Replayed {
	t.Helper()
	report, err := replay(t.Context(), r, t.TempDir(), 4<<10, worldReaders())
	require.NoError(t, err)
	return report
}

func TestReplay(t *testing.T) {
	w := smallWorld()
	out, result := w.run(t)
	report := replayed(t, out.recorded(w.files(t)))
	require.True(t, report.Same, "%+v", report.Difference)
	require.Equal(t, result.Policy.DecisionTrace, report.DecisionTrace)
	require.EqualValues(t, 4, report.Findings)
	require.Equal(t, report.Now, report.Recorded)
}

// Whatever is changed in what was recorded, or in what it was decided on, is
// found, and the first finding that differs is named.
func TestReplayNamesWhatDiffers(t *testing.T) {
	w := smallWorld()
	replace := func(part, old, by string) func(*shelf, []File) []File {
		return func(s *shelf, evidence []File) []File {
			path := s.paths(part)[0]
			require.Contains(t, string(s.files[path]), old)
			s.files[path] = bytes.Replace(s.files[path], []byte(old), []byte(by), 1)
			return evidence
		}
	}
	blocked := ""
	{
		out, _ := w.run(t)
		for _, f := range out.findings(t) {
			if f.Action == Block {
				blocked = f.ID
			}
		}
	}
	for name, c := range map[string]struct {
		change  func(*shelf, []File) []File
		path    string
		finding string
	}{
		"a finding's action":  {replace("findings-", `"action":"block"`, `"action":"allow"`), "data/policy/findings-0000000000000000.jsonl.zst", blocked},
		"a trace's action":    {replace("traces-", `"action":"block"`, `"action":"allow"`), "data/policy/decision-traces-0000000000000000.jsonl.zst", blocked},
		"a trace's input":     {replace("traces-", `"severity":"high"`, `"severity":"none"`), "data/policy/decision-traces-0000000000000000.jsonl.zst", blocked},
		"a count":             {replace("snapshot", `"findings":4`, `"findings":3`), bundle.PolicySnapshotPath, ""},
		"the trace's digest":  {replace("snapshot", `"decisionTrace":"sha256:`, `"decisionTrace":"sha256:0000000000000000000000000000000000000000000000000000000000000000","x`), "", ""},
		"the snapshot's name": {replace("snapshot", `"name":"baseline"`, `"name":"Baseline"`), "", ""}, // it is what it is called: nothing to compare with
		"the pack": {func(s *shelf, evidence []File) []File {
			s.files[bundle.PolicyPackPath] = rulePack(t, goodRule)
			return evidence
		}, "data/policy/decision-traces-0000000000000000.jsonl.zst", "any"},
		"an advisory": {func(_ *shelf, _ []File) []File {
			other := smallWorld()
			other.advisories[0] = npm("A-1", "lodash", "4.17.22", "high")
			return other.files(t)
		}, "data/policy/decision-traces-0000000000000000.jsonl.zst", blocked},
		"an sbom that is gone": {func(_ *shelf, _ []File) []File {
			other := smallWorld()
			other.sboms = nil
			return other.files(t)
		}, "data/policy/decision-traces-0000000000000000.jsonl.zst", ""},
		"a file more": {func(s *shelf, evidence []File) []File {
			s.files["data/policy/findings-1111111111111111.jsonl.zst"] = []byte("{}\n")
			return evidence
		}, "data/policy/findings-1111111111111111.jsonl.zst", ""},
		"a file less": {func(s *shelf, evidence []File) []File {
			delete(s.files, "data/policy/findings-0000000000000000.jsonl.zst")
			return evidence
		}, "data/policy/findings-0000000000000000.jsonl.zst", ""},
		"a line less": {func(s *shelf, evidence []File) []File {
			path := s.paths("findings-")[0]
			lines := slices.Collect(bytes.Lines(s.files[path]))
			s.files[path] = bytes.Join(lines[:len(lines)-1], nil)
			return evidence
		}, "data/policy/findings-0000000000000000.jsonl.zst", "any"},
	} {
		out, _ := w.run(t)
		evidence := c.change(out, w.files(t))
		report, err := replay(t.Context(), out.recorded(evidence), t.TempDir(), 0, worldReaders())
		if name == "the trace's digest" {
			require.Error(t, err, name)
			continue
		}
		require.NoError(t, err, name)
		if c.path == "" {
			require.True(t, report.Same, name)
			continue
		}
		require.False(t, report.Same, name)
		require.Equal(t, c.path, report.Difference.Path, name)
		if c.finding == "any" {
			require.True(t, strings.HasPrefix(report.Difference.Finding, "sha256:"), name)
		} else {
			require.Equal(t, c.finding, report.Difference.Finding, "%s: %+v", name, report.Difference)
		}
	}
}

// Another version that decides the same is told, and is no difference.
func TestReplayByAnotherEngine(t *testing.T) {
	w := smallWorld()
	out, _ := w.run(t)
	snapshot := out.files[bundle.PolicySnapshotPath]
	out.files[bundle.PolicySnapshotPath] = bytes.Replace(snapshot, []byte(EngineVersion()), []byte("1.0.0"), 1)
	report := replayed(t, out.recorded(w.files(t)))
	require.True(t, report.Same)
	require.Equal(t, "1.0.0", report.Recorded.Version)
	require.Equal(t, EngineVersion(), report.Now.Version)
}

func TestReplayOfNothing(t *testing.T) {
	w := &world{advisories: []advisory.Advisory{npm("A-1", "lodash", "1.0.0", "low")}}
	out, result := w.run(t)
	require.Empty(t, out.findings(t))
	require.Equal(t, bundle.DigestOf(nil), result.Policy.DecisionTrace)
	require.True(t, replayed(t, out.recorded(w.files(t))).Same)
}
