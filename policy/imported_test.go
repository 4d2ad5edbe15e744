package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// otherFindings are a list of another engine, as a file of evidence.
func otherFindings(t testing.TB, findings string) File {
	raw := json.RawMessage(fmt.Sprintf(`{"format":"stellaops.findings/v1","policy":{"name":"acme","version":"7"},"findings":[%s]}`, findings))
	content := line(t, ledger.KindFinding, "nightly", raw)
	content = append(replaceOnce(t, content, `"format":"test"`, `"format":"findings"`), '\n')
	file := fileOf(string(content))
	file.Path = bundle.ShardPath(ledger.KindFinding.PayloadType(), "", true)
	return file
}

const otherFinding = `{"advisory":"CVE-2","aliases":["GHSA-2"],"component":"pkg:pypi/Foo.Bar@1.0","ref":"r","sbom":"pkg:oci/app@1","severity":"high","action":"allow","reason":"not reachable","rules":["reach"],"fixed":["1.1"]}`

// A run may take another engine's findings: they are in order, as they were
// decided, and nothing else is decided; replay finds a changed one.
func TestImportedFindings(t *testing.T) {
	w := smallWorld()
	files := append(w.files(t), otherFindings(t, otherFinding+`,`+strings.ReplaceAll(otherFinding, "CVE-2", "CVE-1")+`,`+otherFinding))
	in := Input{Files: files, Pack: baselinePack(t), Scratch: t.TempDir(), Engine: EngineImported, Memory: 1 << 10}
	out := newShelf()
	result, err := evaluate(t.Context(), in, out, worldReaders())
	require.NoError(t, err)
	found := out.findings(t)
	require.Len(t, found, 2)
	require.Equal(t, []string{"CVE-1", "CVE-2"}, []string{found[0].Advisory.ID, found[1].Advisory.ID})
	require.Equal(t, Allow, found[1].Action)
	require.Equal(t, imported, found[1].Match)
	require.Equal(t, Component{Ecosystem: "PyPI", Name: "foo-bar", Purl: "pkg:pypi/Foo.Bar@1.0", Ref: "r", Version: "1.0"}, found[1].Component)
	require.Equal(t, "imported", result.Snapshot.Engine.Name)
	require.EqualValues(t, 1, result.Snapshot.Evidence.FindingLists)
	require.EqualValues(t, 7, result.Snapshot.Evidence.Other)
	require.True(t, replayed(t, out.recorded(files)).Same)
	other := fileOf(string(line(t, ledger.KindFinding, "scan", map[string]any{"of": "another format"})) + "\n")
	in.Files, in.Scratch = append(slices.Clone(files), other), t.TempDir()
	result, err = evaluate(t.Context(), in, newShelf(), worldReaders())
	require.NoError(t, err)
	require.EqualValues(t, 8, result.Snapshot.Evidence.Other)
	in.Files = files
	changed := append(w.files(t), otherFindings(t, strings.ReplaceAll(otherFinding, `"allow"`, `"block"`)))
	report := replayed(t, out.recorded(changed))
	require.False(t, report.Same)
	require.NotEmpty(t, report.Difference.Finding)

	in.Engine, in.Scratch = "", t.TempDir()
	out = newShelf()
	result, err = evaluate(t.Context(), in, out, worldReaders())
	require.NoError(t, err)
	require.EqualValues(t, 1, result.Snapshot.Evidence.Other)
	require.Len(t, out.findings(t), 4, "without the option the pack decides")
}

func TestImportedFindingsThatContradict(t *testing.T) {
	for findings, want := range map[string]string{
		otherFinding + "," + strings.ReplaceAll(otherFinding, `"allow"`, `"block"`): "decides twice about CVE-2",
		strings.ReplaceAll(otherFinding, `"allow"`, `"maybe"`):                      "findings[0].action",
	} {
		in := Input{Files: []File{otherFindings(t, findings)}, Pack: baselinePack(t), Scratch: t.TempDir(), Engine: EngineImported}
		_, err := evaluate(t.Context(), in, newShelf(), worldReaders())
		require.ErrorContains(t, err, want)
		require.Equal(t, export.CodeValidation, export.CodeOf(err))
	}
	_, err := Evaluate(t.Context(), Input{Pack: baselinePack(t), Scratch: t.TempDir(), Engine: "cel"}, newShelf())
	require.ErrorContains(t, err, `"cel"`)
}

func replaceOnce(t testing.TB, text []byte, old, by string) []byte {
	require.Contains(t, string(text), old)
	return []byte(strings.ReplaceAll(string(text), old, by))
}
