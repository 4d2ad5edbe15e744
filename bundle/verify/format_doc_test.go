package verify_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/signing"
)

func formatPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/formats/bundle.md")
	require.NoError(t, err)
	return string(page)
}

// TestFormatPageNamesWhatTheCodeNames: the page and the code use the same words.
func TestFormatPageNamesWhatTheCodeNames(t *testing.T) {
	page := formatPage(t)
	words := append(bundle.FixedPaths(),
		bundle.ManifestPayloadType, bundle.StatementPayloadType, bundle.SealPayloadType, bundle.PayloadContentType, bundle.ArchiveContentType,
		bundle.ManifestSchema, bundle.ManifestVersion, bundle.SealSchema, bundle.StatementType, bundle.PredicateType, bundle.BuildType, bundle.BuilderID,
		bundle.ApprovalPayloadType, bundle.PayloadSubject, bundle.EncoderCompression().Frames, bundle.EncoderCompression().Codec,
		string(verify.ClassContent), string(verify.ClassSignature), string(verify.ClassAbsent), string(verify.ClassOther),
		verify.StatusVerified, verify.StatusFailed, verify.StatusUnopened, verify.StatusSameContent)
	words = append(words, reasons(t)...)
	for _, word := range words {
		require.True(t, strings.Contains(page, "`"+word+"`"), "docs/formats/bundle.md does not name %q", word)
	}
	for _, number := range []string{
		"beyond " + strconv.Itoa(bundle.MaxDepth) + ":", "window of at most " + strconv.Itoa(bundle.MaxWindow>>20) + " MiB",
		strconv.Itoa(bundle.ModTime), strconv.FormatInt(bundle.ModTime, 8), "At most 100,000 entries", "At most 16 MiB",
	} {
		require.True(t, strings.Contains(page, number), "docs/formats/bundle.md does not say %q", number)
	}
	require.Equal(t, verify.Limits{Document: 16 << 20, Entries: 100_000}, verify.DefaultLimits())
	require.EqualValues(t, 16<<20, signing.MaxEnvelope)

	// And nothing that looks like an entry's path is not one.
	known := map[string]bool{}
	for _, path := range bundle.FixedPaths() {
		known[path] = true
	}
	for _, found := range regexp.MustCompile("`((?:manifests|signatures)/[a-z.]+)`").FindAllStringSubmatch(page, -1) {
		require.True(t, known[found[1]], "the page names %s", found[1])
	}
}

// reasons are the values of the constants of type Reason in report.go.
func reasons(t *testing.T) (values []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "report.go", nil, 0)
	require.NoError(t, err)
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Reason" {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			values = append(values, value)
		}
		return true
	})
	require.Greater(t, len(values), 30)
	return values
}

// TestFormatPageExamples: the JSON on the page is what the code reads.
func TestFormatPageExamples(t *testing.T) {
	var examples [][]byte
	for _, part := range strings.Split(formatPage(t), "```json\n")[1:] {
		text, _, ok := strings.Cut(part, "```")
		require.True(t, ok)
		canonical, err := bundle.Canonical([]byte(text))
		require.NoError(t, err)
		examples = append(examples, canonical)
	}
	require.True(t, len(examples) == 4, "%d examples", len(examples))
	a, err := bundle.ParseApproval(examples[1])
	require.NoError(t, err)
	m, err := bundle.ParseManifest(examples[0])
	require.NoError(t, err)
	p, err := bundle.ParseProvenance(examples[2])
	require.NoError(t, err)
	require.NoError(t, p.Describes(m, bundle.DigestOf(examples[0])))
	s, err := bundle.ParseSeal(examples[3])
	require.NoError(t, err)
	require.Equal(t, m.RunID, s.RunID)
	require.Equal(t, m.Tenant, a.Reader)
}
