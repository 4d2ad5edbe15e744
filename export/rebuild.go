package export

import "fmt"

// Rebuilt is what came of building a run again: how its bundle compares with the
// one that is recorded (docs/rebuild.md).
type Rebuilt struct {
	Verdict RebuildVerdict `json:"verdict"`
	// First is the first difference, nil when there is none.
	First *RebuildDifference `json:"first,omitempty"`
	// Files and Bytes were compared: entries of the bundle, as they are stored.
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
	// Recorded and Now are what built the bundle, then and now.
	Recorded RebuildTool `json:"recorded"`
	Now      RebuildTool `json:"now"`
	// NotCompared says what was not compared, and why; empty when everything was.
	NotCompared []string `json:"notCompared,omitempty"`
}

// RebuildTool is what the bytes of a bundle depend on besides its inputs.
type RebuildTool struct {
	Version string `json:"version"` // of this program: manifest.tool.version
	Encoder string `json:"encoder"` // of payload files: library@version, level and frame
}

// RebuildVerdict is how two bundles of the same inputs compare.
type RebuildVerdict string

// Verdicts.
const (
	// RebuildIdentical: every byte that was compared is the same.
	RebuildIdentical RebuildVerdict = "identical"
	// RebuildEncoder: the content of every payload file is the same, its compressed
	// form is not: another encoder wrote it.
	RebuildEncoder RebuildVerdict = "encoder"
	// RebuildVersion: every payload file is the same; what describes them differs in
	// the version of the program and its adapters alone.
	RebuildVersion RebuildVerdict = "version"
	// RebuildDiffers: something else differs.
	RebuildDiffers RebuildVerdict = "different"
)

// RebuildDifference is where two bundles part.
type RebuildDifference struct {
	Path string `json:"path"`
	// What is how the entry differs: "bytes", "missing" (the rebuilt bundle lacks it),
	// "additional" (only the rebuilt bundle has it), or "digest" where one side's bytes
	// are gone and only the digest can be compared.
	What string `json:"what"`
	// Offset is the first byte that differs, in the entry as it is stored.
	Offset int64 `json:"offset"`
	// Line is the first line that differs, from 1, in the content of a file of lines; 0
	// in others, and where only the compressed form differs.
	Line int64 `json:"line,omitempty"`
	// Document is what the recorded line is about: kind, source/stream and id.
	Document string `json:"document,omitempty"`
	// Member is the first member that differs of an entry that is one JSON object.
	Member string `json:"member,omitempty"`
	// SameContent: what the file holds is the same, uncompressed.
	SameContent bool `json:"sameContent,omitempty"`
}

// String says where, in one line.
func (d RebuildDifference) String() string {
	switch d.What {
	case "missing":
		return d.Path + " is in the bundle and was not built again"
	case "additional":
		return d.Path + " was built again and is not in the bundle"
	case "digest":
		return d.Path + " has another digest; its bytes are gone"
	}
	text := fmt.Sprintf("%s differs from byte %d on", d.Path, d.Offset)
	switch {
	case d.Line > 0 && d.Document != "":
		text += fmt.Sprintf(", line %d, %s", d.Line, d.Document)
	case d.Line > 0:
		text += fmt.Sprintf(", line %d", d.Line)
	case d.Member != "":
		text += ", member " + d.Member
	case d.SameContent:
		text += "; its content is the same"
	}
	return text
}

// Rebuildable says why a run cannot be built again and compared, nil when it can.
func (r Run) Rebuildable() error {
	kind := r.Kind + ":" + r.Variant
	switch {
	case r.RebuildOf != "":
		return Errorf(CodeStateConflict, "run %s is a rebuild itself and has no bundle; rebuild run %s", r.ID, r.RebuildOf)
	case r.State != StateSucceeded && r.State != StatePartial && r.State != StateExpired:
		return Errorf(CodeStateConflict, "the run is %s: there is no bundle that a rebuild could be compared with", r.State)
	case r.Reach != nil:
		return Errorf(CodeStateConflict, "the run read the evidence of other tenants, and the approvals were for that reading: it is not read again for a rebuild")
	case kind == "mirror:delta":
		return Errorf(CodeStateConflict, "a delta follows from two mirrors: rebuild those, and apply it (stella mirror apply), which compares every byte with the second")
	}
	return nil
}
