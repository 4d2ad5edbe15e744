package policy

import (
	"crypto/sha256"
	"io"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
)

// SnapshotSchema names the form of data/policy/snapshot.json.
const SnapshotSchema = "https://stellaops.io/export-center/policy-snapshot/v1"

// Snapshot is data/policy/snapshot.json: by what was decided, on what, and how
// it came out.
type Snapshot struct {
	Schema        string        `json:"schema"`
	SnapshotID    string        `json:"snapshotId"`
	Name          string        `json:"name"`
	PolicyVersion string        `json:"policyVersion"`
	PackDigest    bundle.Digest `json:"packDigest"`
	Engine        Engine        `json:"engine"`
	InputsHash    bundle.Digest `json:"inputsHash"`
	DecisionTrace bundle.Digest `json:"decisionTrace"`
	Counts        Counts        `json:"counts"`
	Evidence      Evidence      `json:"evidence"`
	Unread        Unread        `json:"unread"`
}

// Engine is what decided. Another engine may decide otherwise about the same.
type Engine struct {
	Name    string `json:"name"` // opa, or imported
	Version string `json:"version"`
	// Capabilities is the digest of what packs may use.
	Capabilities string `json:"capabilities"`
	Evaluator    string `json:"evaluator"` // Version of this package
	Matcher      string `json:"matcher"`
}

// Counts is how it came out.
type Counts struct {
	Findings    int64            `json:"findings"`
	ByAction    map[string]int64 `json:"byAction"`
	BySeverity  map[string]int64 `json:"bySeverity"`
	ByEcosystem map[string]int64 `json:"byEcosystem"`
	// Undetermined findings are of versions that could not be compared.
	Undetermined int64 `json:"undetermined"`
	// Stated findings have a VEX statement.
	Stated int64 `json:"stated"`
}

// Evidence counts what was read, and what of it could not meet anything.
type Evidence struct {
	Advisories int64 `json:"advisories"`
	// Withdrawn advisories match nothing.
	Withdrawn        int64 `json:"withdrawn"`
	AffectedPackages int64 `json:"affectedPackages"`
	// AffectedWithoutPackage name no ecosystem and no package URL.
	AffectedWithoutPackage int64 `json:"affectedWithoutPackage"`
	SBOMs                  int64 `json:"sboms"`
	Components             int64 `json:"components"`
	ComponentsWithoutPurl  int64 `json:"componentsWithoutPurl"`
	// ComponentsWithoutEcosystem have a package URL of a type that advisories do
	// not speak of.
	ComponentsWithoutEcosystem int64 `json:"componentsWithoutEcosystem"`
	// ComponentsWithoutRelease are of a distribution whose release nothing says.
	ComponentsWithoutRelease int64 `json:"componentsWithoutRelease"`
	VEXDocuments             int64 `json:"vexDocuments"`
	Statements               int64 `json:"statements"`
	FindingLists             int64 `json:"findingLists"` // of another engine
	Other                    int64 `json:"other"`        // documents of other kinds
}

// Unread is what a reader of evidence made nothing of.
type Unread struct {
	Count int64 `json:"count"`
	// First are the lexically first of them, at most maxUnread, each cut as texts
	// of publishers are.
	First []string `json:"first"`
}

const maxUnread = 100

// note counts text, and keeps it if it is one of the first.
func (u *Unread) note(text string) {
	u.Count++
	text = cut(text)
	at, there := slices.BinarySearch(u.First, text)
	if there || at >= maxUnread {
		return
	}
	u.First = slices.Insert(u.First, at, text)
	u.First = u.First[:min(len(u.First), maxUnread)]
}

// InputsHash names the evidence and the pack that were decided on: the SHA-256
// over, for each file of evidence and the pack, in order of path,
//
//	<path> LF <64 lower-case hex digits of the content's SHA-256> LF
//
// The content of a file of evidence is its lines, uncompressed, the pack's is
// the pack; its path is data/policy/pack.tar.gz. So another compressor changes
// nothing.
func InputsHash(files []File, pack bundle.Digest) bundle.Digest {
	lines := make([]string, 0, len(files)+1)
	for _, f := range files {
		lines = append(lines, f.Path+"\n"+f.ContentDigest.Hex()+"\n")
	}
	lines = append(lines, bundle.PolicyPackPath+"\n"+pack.Hex()+"\n")
	slices.Sort(lines)
	h := sha256.New()
	io.WriteString(h, strings.Join(lines, ""))
	return bundle.Digest(h.Sum(nil))
}

// engineNow is what this program decides with.
func engineNow(name string) Engine {
	if name == EngineImported {
		return Engine{Name: name, Evaluator: Version}
	}
	return Engine{Name: name, Version: EngineVersion(), Capabilities: bundle.DigestOf(capabilitiesFile).String(), Evaluator: Version, Matcher: MatcherName}
}
