package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/sbom"
	"github.com/stella-ops/exportcenter/vex"
)

// world is evidence as its readers give it: the raw documents are the values
// themselves, so that a test says what it means.
type world struct {
	advisories []advisory.Advisory
	sboms      []sbom.Inventory
	vex        [][]vex.Statement
	// perFile is how many lines a file has; 0 is all.
	perFile int
}

func worldReaders() readers {
	return readers{advisory: readAs[advisory.Advisory], sbom: readAs[sbom.Inventory], vex: readAs[vex.Document]}
}

func readAs[T any](_ string, canonical []byte) (value T, err error) {
	return value, json.Unmarshal(canonical, &value)
}

// files writes the world's documents as json:raw lines.
func (w *world) files(t testing.TB) []File {
	var all []File
	add := func(kind ledger.Kind, lines [][]byte) {
		size := w.perFile
		if size == 0 {
			size = max(len(lines), 1)
		}
		for n := 0; n < len(lines); n += size {
			content := append(bytes.Join(lines[n:min(n+size, len(lines))], []byte{'\n'}), '\n')
			all = append(all, File{
				Path: bundle.ShardPath(kind.PayloadType(), fmt.Sprint(n), n == 0), Kind: kind, ContentDigest: bundle.DigestOf(content),
				Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
			})
		}
	}
	var lines [3][][]byte
	for _, a := range w.advisories {
		lines[0] = append(lines[0], line(t, ledger.KindAdvisory, a.ID, a))
	}
	for _, s := range w.sboms {
		lines[1] = append(lines[1], line(t, ledger.KindSBOM, s.ID, s))
	}
	for n, v := range w.vex {
		lines[2] = append(lines[2], line(t, ledger.KindVEX, fmt.Sprintf("vex-%d", n), vex.Document{Statements: v}))
	}
	add(ledger.KindAdvisory, lines[0])
	add(ledger.KindSBOM, lines[1])
	add(ledger.KindVEX, lines[2])
	return all
}

func line(t testing.TB, kind ledger.Kind, id string, document any) []byte {
	raw, err := bundle.MarshalCanonical(document)
	require.NoError(t, err)
	out, err := bundle.MarshalCanonical(map[string]any{
		"content": map[string]any{"raw": json.RawMessage(raw)}, "format": "test", "kind": kind,
		"linkset": map[string]any{"aliases": []string{}, "ecosystems": []string{}, "products": []string{}}, "modified": "2026-01-01T00:00:00.000000000Z",
		"original": map[string]any{"bytes": len(raw), "digest": bundle.DigestOf(raw).String()}, "source": "test", "stream": "s", "upstreamId": id,
	})
	require.NoError(t, err)
	return out
}

// shelf keeps what Evaluate writes.
type shelf struct {
	files map[string][]byte
}

func newShelf() *shelf { return &shelf{files: map[string][]byte{}} }

func (s *shelf) Lines(_ context.Context, path string) (Lines, error) {
	return &shelfLines{of: s, path: path}, bundle.CheckPath(path)
}

func (s *shelf) Document(_ context.Context, path string, content []byte, _ int64) error {
	s.files[path] = bytes.Clone(content)
	return nil
}

type shelfLines struct {
	bytes.Buffer
	of   *shelf
	path string
}

func (l *shelfLines) WriteLine(parts ...[]byte) error {
	for _, part := range parts {
		l.Write(part)
	}
	return l.WriteByte('\n')
}

func (l *shelfLines) Close() error {
	if _, twice := l.of.files[l.path]; twice {
		return fmt.Errorf("%s is written twice", l.path)
	}
	l.of.files[l.path] = l.Bytes()
	return nil
}

// text is all of it, in one order, for comparing runs.
func (s *shelf) text() string {
	var out strings.Builder
	for _, path := range s.paths("") {
		fmt.Fprintf(&out, "%s %d\n%s", path, len(s.files[path]), s.files[path])
	}
	return out.String()
}

func (s *shelf) paths(part string) (paths []string) {
	for path := range s.files {
		if strings.Contains(path, part) {
			paths = append(paths, path)
		}
	}
	sort.Strings(paths)
	return paths
}

func (s *shelf) findings(t testing.TB) []Finding { return linesOf[Finding](t, s, "/findings-") }
func (s *shelf) traces(t testing.TB) []Trace     { return linesOf[Trace](t, s, "/decision-traces-") }

func linesOf[T any](t testing.TB, s *shelf, part string) (all []T) {
	for _, path := range s.paths(part) {
		for raw := range bytes.Lines(s.files[path]) {
			var value T
			require.NoError(t, bundle.UnmarshalStrict(raw[:len(raw)-1], &value))
			canonical, err := bundle.Canonical(raw)
			require.NoError(t, err)
			require.Equal(t, string(canonical), string(raw[:len(raw)-1]))
			all = append(all, value)
		}
	}
	return all
}

func baselinePack(t testing.TB) []byte {
	pack, err := Baseline()
	require.NoError(t, err)
	return pack
}

// run evaluates the world by a pack, the baseline without one.
func (w *world) run(t testing.TB, change ...func(*Input)) (*shelf, Result) {
	t.Helper()
	in := Input{Files: w.files(t), Pack: baselinePack(t), SnapshotID: BaselineID, Name: BaselineName, Scratch: t.TempDir()}
	for _, c := range change {
		c(&in)
	}
	out := newShelf()
	result, err := evaluate(t.Context(), in, out, worldReaders())
	require.NoError(t, err)
	return out, result
}
