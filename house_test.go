package exportcenter

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

const module = "github.com/stella-ops/exportcenter"

// plumbing is the floor of rooms without opinion: every floor may use them.
const plumbing = -1

// testing rooms hold suites and stands for tests; only tests may import them.
const testRoom = 100

// room is a folder of the house: its floor and what it is for. A new folder
// fails the test until somebody has said that in one line.
type room struct {
	floor   int
	purpose string
}

var house = map[string]room{
	"":                        {testRoom, "holds this test"},
	"cmd/exportcenter":        {7, "the server: parse, build, run, close"},
	"cmd/stella":              {7, "the client and the verifier; no engine, no database"},
	"worker":                  {6, "puts workflows and activities on task queues"},
	"frontend":                {6, "HTTP: one file per resource, auth, range download"},
	"client":                  {6, "the Go SDK that stella and other services use"},
	"internal/devissuer":      {5, "the token endpoint of an installation on one machine"},
	"internal/again":          {6, "builds bundles again from a mirror, in a scratch ledger"},
	"internal/box":            {6, "everything in one box: the supervisor behind `up`"},
	"workflows":               {5, "the order of the phases, their retries and cancellation"},
	"activities":              {4, "side effects: one short method per phase"},
	"bundle/verify":           {4, "opens a bundle offline and reports what was checked"},
	"mirror/mirrortest":       {testRoom, "mirrors and deltas of a small world, made by the adapters"},
	"mirror":                  {5, "keeps a mirror in a directory: unpacks a full one, applies deltas"},
	"fsck":                    {4, "compares rows, blobs and events, and names what diverges"},
	"storage/postgres":        {3, "rows: ledger, runs, events, outbox, behind the tenant wall"},
	"storage/files":           {3, "blobs on a filesystem"},
	"ledger/osv":              {3, "reads OSV advisories"},
	"ledger/openvex":          {3, "reads OpenVEX documents"},
	"ledger/csaf":             {3, "reads CSAF advisories and VEX documents"},
	"ledger/cyclonedx":        {3, "reads CycloneDX bills of materials and VEX documents"},
	"ledger/spdx":             {3, "reads SPDX documents"},
	"ledger/gavlist":          {3, "reads lists of Maven artifacts by their SHA-1"},
	"ledger/findings":         {3, "reads findings of another policy engine"},
	"ledger/detect":           {3, "tells evidence formats apart by content"},
	"ledger/feed":             {3, "reads files and folders of evidence into entries"},
	"ledger/attribution":      {3, "who published a document, and under which terms"},
	"ledger/sample":           {3, "a few advisories of our own, for the demo"},
	"adapters/mirrordelta":    {3, "profile mirror:delta"},
	"adapters/jsonraw":        {3, "profile json:raw"},
	"adapters/jsonpolicy":     {3, "profile json:policy"},
	"adapters/mirrorfull":     {3, "profile mirror:full"},
	"adapters/trivydb":        {3, "profile trivy:db"},
	"adapters/trivyjavadb":    {3, "profile trivy:java-db"},
	"signing/keyfile":         {3, "encrypted private keys in files"},
	"signing/dpop":            {3, "proofs that a client holds its token's key (RFC 9449)"},
	"signing/sigstore":        {3, "our signers behind sigstore's interface and theirs behind ours"},
	"storage":                 {2, "what a store must do"},
	"adapters":                {2, "what a profile kind must do"},
	"comparison":              {2, "what changed between the documents of two runs, in the words of advisories"},
	"policy":                  {2, "matches, applies VEX, decides by a policy pack, and decides again"},
	"bundle/delta":            {1, "what the two ends of a mirror's delta share: lines by key, and merges"},
	"advisory":                {1, "what an advisory says is affected"},
	"artifact":                {1, "what a list of Maven artifacts holds"},
	"finding":                 {1, "what another policy engine found"},
	"sbom":                    {1, "what a bill of materials holds"},
	"vex":                     {1, "what a VEX document states"},
	"profiles":                {1, "what the configuration of a profile may be, a schema per kind"},
	"ledger":                  {1, "the evidence ledger's words and readers"},
	"orchestrator":            {1, "what orchestrators report of exports: records, keys, what may follow"},
	"rebuild":                 {1, "compares a bundle that was built again with the one that is there"},
	"offboarding":             {1, "what is written down when a tenant leaves, and how to read it"},
	"offboarding/removal":     {4, "removes a tenant, and signs what was removed"},
	"tuf":                     {1, "TUF documents of mirrors: which keys sign what, and which files belong together"},
	"audit":                   {1, "who did what: chains, checkpoints, and how to read them"},
	"export":                  {0, "the vocabulary; standard library only"},
	"bundle":                  {0, "the format"},
	"signing":                 {0, "signers, verifiers and their envelopes"},
	"sealed":                  {0, "encrypts files for recipients, and opens them at any byte"},
	"internal/boltpages":      {plumbing, "writes bbolt databases from sorted content, page by page"},
	"internal/jsonobject":     {plumbing, "JSON objects by their exact keys, read where they lie"},
	"internal/cvss":           {plumbing, "scores of CVSS vectors, and words for them"},
	"internal/purl":           {plumbing, "package URLs: taken apart, and made of the names advisories use"},
	"internal/csaftree":       {plumbing, "the products of a CSAF document"},
	"internal/notes":          {plumbing, "what a reader leaves out, bounded"},
	"internal/extsort":        {plumbing, "sorts more lines than fit into memory"},
	"internal/scratch":        {plumbing, "directories that are gone after an attempt, also after a crash"},
	"internal/clock":          {plumbing, "time and chance as arguments"},
	"internal/config":         {plumbing, "the one configuration file"},
	"internal/pgchild":        {plumbing, "a private PostgreSQL as a child process"},
	"internal/supervise":      {plumbing, "keeps child processes running and leaves none behind"},
	"internal/durable":        {plumbing, "small files, whole or not at all"},
	"internal/devtoken":       {plumbing, "development tokens for one machine"},
	"internal/testkit":        {testRoom, "foreign programs and servers for tests"},
	"internal/fault":          {testRoom, "a name for every side effect, and what may become of it"},
	"internal/oracle":         {testRoom, "judges a run after whatever was done to it"},
	"faults":                  {testRoom, "every fault point in every mode, beside an undisturbed twin"},
	"adapters/adaptertest":    {testRoom, "the suite that defines what an adapter is"},
	"storage/storagetest":     {testRoom, "the suite that defines what a store is"},
	"storage/postgres/pgtest": {testRoom, "a migrated database per test"},
	"bundle/bundletest":       {testRoom, "honest bundles to break"},
	"frontend/frontendtest":   {testRoom, "in-memory stores behind a real frontend"},
	"e2e":                     {testRoom, "the whole house, with real parts"},
	"bench":                   {testRoom, "measures a whole run against the machine's own limit"},
}

// neverCarried lists what a program must not link, even through others, and
// why. Prefixes of import paths.
var neverCarried = []struct {
	from, reason string
	banned       []string
}{
	{"cmd/stella", "an auditor reads its dependency list; a verifier needs no engine", []string{
		"go.temporal.io/", "github.com/jackc/", "github.com/minio/", "github.com/labstack/", "github.com/pressly/",
		"github.com/open-policy-agent/", "github.com/google/osv-scalibr/",
	}},
	{"bundle/verify", "verification is a leaf: it reads bytes and trusts keys from outside", []string{
		"net/http", "net/rpc", "net/smtp", "crypto/tls", "os/exec", "plugin", "go.temporal.io/", "github.com/jackc/", "github.com/minio/", "github.com/labstack/",
		module + "/storage", module + "/ledger",
	}},
	{"workflows", "workflow code is replayed: it orders phases and touches nothing", []string{
		"github.com/jackc/", "github.com/labstack/", "github.com/minio/", "github.com/pressly/",
		module + "/storage/", module + "/frontend",
	}},
	{"export", "everybody speaks the vocabulary: it carries nothing", []string{"github.com/", "go.temporal.io/", "golang.org/"}},
}

type goPackage struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// TestHouse keeps the doors between the rooms: they only open downwards.
func TestHouse(t *testing.T) {
	folders := goFolders(t) // walking the tree makes the cached result depend on it
	for _, folder := range folders {
		if house[folder].purpose == "" {
			t.Errorf("folder %q is not in the house: give it a floor and say in one line what it is for", folder)
		}
	}
	for _, pkg := range listPackages(t) {
		from := strings.TrimPrefix(strings.TrimPrefix(pkg.ImportPath, module), "/")
		for _, imported := range pkg.Imports {
			to, ours := strings.CutPrefix(imported, module+"/")
			if ours && !mayImport(from, to) {
				t.Errorf("%s (floor %d) imports %s (floor %d): doors only open downwards",
					from, house[from].floor, to, house[to].floor)
			}
		}
	}
}

// mayImport says whether a door from one room to another exists.
func mayImport(from, to string) bool {
	lower, upper := house[to].floor, house[from].floor
	switch {
	case upper == testRoom, lower == plumbing:
		return true
	case lower == testRoom:
		return false
	}
	return lower < upper
}

// TestNeverCarried keeps heavy and dangerous things out of programs that must
// not have them.
func TestNeverCarried(t *testing.T) {
	for _, rule := range neverCarried {
		if _, err := os.Stat(filepath.FromSlash(rule.from)); err != nil {
			t.Errorf("%s is gone, but a rule speaks of it", rule.from)
			continue
		}
		for _, dep := range goList(t, "-deps", "./"+rule.from) {
			for _, banned := range rule.banned {
				if dep != module+"/"+rule.from && strings.HasPrefix(dep, banned) {
					t.Errorf("%s carries %s: %s", rule.from, dep, rule.reason)
				}
			}
		}
	}
}

// goFolders lists the folders of this module that hold Go files, "" for the top.
func goFolders(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return enter(path, entry.Name())
		}
		if strings.HasSuffix(path, ".go") {
			folder := filepath.ToSlash(filepath.Dir(path))
			found[strings.TrimPrefix(folder, ".")] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	folders := make([]string, 0, len(found))
	for folder := range found {
		folders = append(folders, folder)
	}
	sort.Strings(folders)
	return folders
}

// enter skips hidden folders, test data and nested modules.
func enter(path, name string) error {
	if path == "." {
		return nil
	}
	if strings.HasPrefix(name, ".") || name == "testdata" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	var packages []goPackage
	dec := json.NewDecoder(bytes.NewReader(goOutput(t, "list", "-json=ImportPath,Imports", "./...")))
	for {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	return strings.Fields(string(goOutput(t, append([]string{"list"}, args...)...)))
}

func goOutput(t *testing.T, args ...string) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("go", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}
