package exportcenter

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// `make fuzz` runs all targets. What it finds belongs into testdata/fuzz, where
// `go test` reads it ever after.

// readers are the functions that make sense of bytes from outside, by folder, each
// with the fuzz targets of its folder that reach it. "-" begins a reason why there
// is none.
var readers = map[string]string{
	// The format: what a bundle, a manifest or a signature may be made of.
	"bundle.Canonical":            "FuzzCanonical",
	"bundle.UnmarshalStrict":      "FuzzUnmarshalStrict",
	"bundle.OpenPayload":          "FuzzOpenPayload",
	"bundle.ReadLayer":            "FuzzReadLayer",
	"bundle.ParseManifest":        "FuzzParseManifest",
	"bundle.ParseProvenance":      "FuzzParseProvenance",
	"bundle.ParseChecksums":       "FuzzParseChecksums",
	"bundle.ParseHeader":          "FuzzParseHeader",
	"bundle.ParseSeal":            "FuzzParseSeal",
	"bundle.ParseOuterSeal":       "FuzzParseSeal",
	"bundle.parseSeal":            "FuzzParseSeal",
	"bundle.ParseEncryption":      "FuzzParseEncryption",
	"bundle.ParseAttestation":     "FuzzParseAttestation",
	"bundle.ParseApproval":        "FuzzParseApproval",
	"bundle.ParseDigest":          "FuzzParseDigest",
	"bundle.parseHex":             "FuzzParseDigest FuzzParseChecksums",
	"bundle.parseExact":           "FuzzParseManifest FuzzParseProvenance FuzzParseSeal",
	"bundle/delta.ParseTombstone": "FuzzParseTombstone",
	"bundle/delta.ParseResult":    "FuzzParseResult",
	"bundle/delta.keyOf":          "FuzzLine",
	"bundle/delta.parseExact":     "FuzzParseTombstone FuzzParseResult",
	"mirror.ParseState":           "FuzzParseState",
	"bundle/verify.Reader":        "FuzzReader",
	"bundle/verify.parseLine":     "FuzzLines",
	"tuf.Parse":                   "FuzzParse",
	"tuf.ReadChain":               "FuzzVerify",
	"tuf.Verify":                  "FuzzVerify",
	"signing.OpenEnvelope":        "FuzzOpenEnvelope",
	"signing.ReadEnvelope":        "FuzzOpenEnvelope",
	"signing.OpenDSSEBundle":      "FuzzOpenDSSEBundle",
	"signing.OpenMessageBundle":   "FuzzOpenMessageBundle",
	"signing.ParsePublicKey":      "FuzzParsePublicKey",
	"signing.parseDER":            "FuzzLowS",
	"signing/keyfile.open":        "FuzzOpen",
	"sealed.NewOpener":            "FuzzOpen",
	"sealed.checkAge":             "FuzzOpen",
	"sealed.parseAge":             "FuzzRecipient",
	"sealed.ParseIdentities":      "FuzzIdentities",
	"signing/dpop.Check":          "FuzzCheck",
	"signing/dpop.Target":         "FuzzTarget",
	"signing/dpop.ParseKey":       "FuzzParseKey",
	"bundle.ParseOriginal":        "FuzzParseOriginal",
	"bundle.ParseOriginalPath":    "FuzzParseOriginal",
	"bundle.EachEntry":            "FuzzEachEntry",
	"bundle.DeltaOf":              "FuzzDeltaOf",

	"internal/devissuer.parseRegister": "- reads our own file, of bounded size",

	// Decisions: packs are another's program, evidence is read again on replay.
	"finding.Read":        "FuzzRead",
	"policy.ReadPack":     "FuzzReadPack FuzzRules",
	"policy.parseVersion": "FuzzVersions",
	"policy.Evaluate":     "FuzzEvidence",

	// The record of who did what.
	"audit.Decode":          "FuzzVerify",
	"audit.Verify":          "FuzzVerify",
	"audit.OpenCheckpoint":  "FuzzVerify",
	"audit.ReadEarlier":     "FuzzVerify",
	"audit.ReadCheckpoint":  "FuzzVerify",
	"audit.parseCheckpoint": "FuzzVerify",
	"offboarding.Verify":    "FuzzVerify",
	"offboarding.Open":      "FuzzVerify",
	"offboarding.Read":      "FuzzVerify",
	"offboarding.parse":     "FuzzVerify",
	"offboarding.parseRun":  "FuzzVerify",

	// Evidence, and what it comes in.
	"internal/jsonobject.Parse": "FuzzObject",
	"internal/cvss.Score":       "FuzzScore",
	"internal/purl.Split":       "FuzzSplit",
	"internal/purl.decode":      "FuzzSplit",
	"ledger.ParseObject":        "- is the one of internal/jsonobject",
	"advisory.Read":             "FuzzRead",
	"sbom.Read":                 "FuzzRead",
	"vex.Read":                  "FuzzRead",
	"ledger/osv.Parse":          "FuzzParse",
	"ledger/openvex.Parse":      "FuzzParse",
	"ledger/csaf.Parse":         "FuzzParse",
	"ledger/cyclonedx.Parse":    "FuzzParse",
	"ledger/gavlist.Parse":      "FuzzParse",
	"ledger/findings.Parse":     "FuzzParse",
	"artifact.Each":             "FuzzEach",
	"ledger/spdx.Parse":         "FuzzParse",
	"ledger/detect.Reader":      "FuzzReader",
	"ledger/feed.openZip":       "FuzzArchive",
	"ledger/feed.newZstd":       "FuzzArchive FuzzLines",

	"ledger/attribution.Of":    "FuzzOf",
	"ledger/attribution.Parse": "- reads our own rows",

	// Requests and answers.
	"profiles.Check":               "FuzzCheck",
	"profiles.openApproval":        "FuzzCheckApproval",
	"export.ParseFieldPath":        "FuzzParseFieldPath",
	"export.ParseRunWorkflowID":    "- reads ids that this program gave; no tenant reaches Temporal",
	"adapters/jsonraw.allowed":     "FuzzRedact",
	"adapters/trivydb.intervals":   "FuzzIntervals",
	"adapters.DocumentOf":          "FuzzDocumentOf",
	"adapters.ReadRawLine":         "FuzzReadRawLine",
	"adapters.ReadEnvelope":        "FuzzEnvelope",
	"frontend.decodeLargeRecord":   "FuzzLargeRecord",
	"frontend.decodeInPlace":       "FuzzLargeRecord",
	"frontend.decodeRecord":        "FuzzDecodeRecord FuzzPlainRecord FuzzLineReader",
	"frontend.newLineReader":       "FuzzImport FuzzLineReader",
	"frontend.readHeader":          "FuzzReadHeader",
	"frontend.usableKey":           "FuzzUsableKey",
	"orchestrator.Key":             "FuzzRecord",
	"frontend.checkSelectors":      "FuzzRunRequest FuzzSelectors",
	"frontend.parseListCursor":     "FuzzListCursor",
	"frontend.parseDiffCursor":     "FuzzDiffCursor",
	"storage/postgres.parseCursor": "FuzzCursor",
	"storage/postgres.parseNotice": "- hex words that our own processes send; what is odd means: look at all",
	"client.decode":                "- encoding/json, of bounded size; what is decided by is read by the two below",
	"client.expect":                "FuzzDownloadAnswer",
	"client.ReadProfileFile":       "FuzzReadProfileFile",
	"client.importProblem":         "FuzzImportAnswer",
	"client.newEventReader":        "FuzzEventReader",
	"storage/postgres.openBlock":   "FuzzBlock",
	"storage/postgres.eachTerm":    "FuzzTermPage",
	"storage.ParseTally":           "- reads our own rows",
	"cmd/stella.openJournal":       "FuzzJournal",
	"cmd/stella.parseLabels":       "- a word of a command line, cut at its first equals sign",
	"cmd/stella.parseRange":        "FuzzParseSelect",
	"cmd/stella.parseTime":         "FuzzParseSelect",
	"cmd/stella.parseSample":       "FuzzParseSelect",
	"cmd/stella.parseSelect":       "FuzzParseSelect",
	"cmd/stella.parseSettings":     "FuzzParseSettings",
}

// writers are targets that hold what we write to a slower way of writing it.
var writers = []string{"bundle.FuzzAppendText", "adapters/jsonraw.FuzzEnvelope"}

// looksLikeReader is the habit of naming a function that reads.
var looksLikeReader = regexp.MustCompile(`^([Pp]arse|[Dd]ecode|[Uu]nmarshal)`)

// TestEveryReaderIsFuzzed holds the table to the code, both ways: its readers and
// targets exist, each target has a corpus that is checked in, no target is missing
// from it, and neither is a function that is named like a reader.
func TestEveryReaderIsFuzzed(t *testing.T) {
	functions, targets := declared(t)
	listed := map[string]bool{}
	for _, target := range writers {
		listed[target] = true
	}
	for reader, how := range readers {
		if strings.HasPrefix(how, "- ") {
			continue
		}
		if !functions[reader] {
			t.Errorf("%s is a reader in the table only", reader)
		}
		folder, _ := cutName(reader)
		for _, target := range strings.Fields(how) {
			listed[folder+"."+target] = true
		}
	}
	for target := range listed {
		folder, name := cutName(target)
		if !targets[target] {
			t.Errorf("%s is a target in the table only", target)
		}
		corpus, err := filepath.Glob(filepath.Join(filepath.FromSlash(folder), "testdata", "fuzz", name, "*"))
		if err != nil || len(corpus) == 0 {
			t.Errorf("%s has no corpus under testdata/fuzz", target)
		}
	}
	for target := range targets {
		if !listed[target] {
			t.Errorf("%s is the target of no reader in the table", target)
		}
	}
	for function := range functions {
		if _, name := cutName(function); looksLikeReader.MatchString(name) && readers[function] == "" {
			t.Errorf("%s is named like a reader of bytes from outside: give it a fuzz target, or say in the table why not", function)
		}
	}
}

// cutName cuts "folder.Name" in two.
func cutName(full string) (folder, name string) {
	i := strings.LastIndex(full, ".")
	return full[:i], full[i+1:]
}

// declared gives the functions of the project's rooms that take an argument,
// without methods, and the fuzz targets, as "folder.Name".
func declared(t *testing.T) (functions, targets map[string]bool) {
	functions, targets = map[string]bool{}, map[string]bool{}
	for folder, room := range house {
		entries, err := os.ReadDir(filepath.FromSlash(path.Join(".", folder)))
		require.NoError(t, err)
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".go") && e.Name() != "api_gen.go" {
				declaredIn(t, folder, room.floor, e, functions, targets)
			}
		}
	}
	return functions, targets
}

func declaredIn(t *testing.T, folder string, floor int, e fs.DirEntry, functions, targets map[string]bool) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(filepath.FromSlash(folder), e.Name()), nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	isTest := strings.HasSuffix(e.Name(), "_test.go")
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		switch {
		case !ok || f.Recv != nil || len(f.Type.Params.List) == 0:
		case isTest && strings.HasPrefix(f.Name.Name, "Fuzz"):
			targets[folder+"."+f.Name.Name] = true
		case !isTest && floor != testRoom:
			functions[folder+"."+f.Name.Name] = true
		}
	}
}
