package mirror

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
)

// StateSchema is what a state file calls its own form.
const StateSchema = "https://stellaops.io/export-center/mirror-state/v1"

// State is what a directory knows of its mirror besides the mirror itself. It is
// nobody's word but the directory's: what counts is checked against the signed
// manifest beside it.
type State struct {
	Schema string `json:"schema"`
	// Mirror is what is in the directory.
	Mirror Identity `json:"mirror"`
	// ArchiveDigest is of the bundle that the files are, "" where they are its content
	// in other bytes.
	ArchiveDigest string `json:"archiveDigest"`
	// Repacked counts the payload files whose lines are the bundle's, packed by another
	// encoder.
	Repacked int64 `json:"repacked"`
	// Applied are the deltas that led here, the last one last, at most maxApplied.
	Applied []Applied `json:"applied"`
}

// Identity is which mirror something is.
type Identity struct {
	ExportID       string        `json:"exportId"`
	ManifestDigest bundle.Digest `json:"manifestDigest"`
	Generation     int64         `json:"generation"`
}

// Applied is a delta that was applied.
type Applied struct {
	ExportID       string        `json:"exportId"`
	ManifestDigest bundle.Digest `json:"manifestDigest"`
	Generation     int64         `json:"generation"` // where it led
}

// maxApplied bounds what is remembered: an older delta ends at an older generation,
// and is refused for that.
const maxApplied = 1000

// maxState bounds a state file.
const maxState = 1 << 20

// Encode gives the bytes of a state file, in RFC 8785 form.
func (s State) Encode() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", stateName, err)
	}
	return bundle.MarshalCanonical(s)
}

func (s State) check() error {
	switch {
	case s.Schema != StateSchema:
		return fmt.Errorf("schema: %.100q is not %s; a newer stella wrote it", s.Schema, StateSchema)
	case s.Mirror.ExportID == "" || s.Mirror.ManifestDigest.IsZero() || s.Mirror.Generation < 1:
		return fmt.Errorf("mirror: names none")
	case s.Repacked < 0 || (s.Repacked > 0) != (s.ArchiveDigest == ""):
		return fmt.Errorf("repacked: %d, with archiveDigest %.100q", s.Repacked, s.ArchiveDigest)
	case s.Applied == nil || len(s.Applied) > maxApplied:
		return fmt.Errorf("applied: absent, or more than %d", maxApplied)
	}
	if s.ArchiveDigest != "" {
		if _, err := bundle.ParseDigest(s.ArchiveDigest); err != nil {
			return fmt.Errorf("archiveDigest: %w", err)
		}
	}
	for i, a := range s.Applied {
		if a.ExportID == "" || a.ManifestDigest.IsZero() || a.Generation < 1 || a.Generation > s.Mirror.Generation {
			return fmt.Errorf("applied[%d]: names no delta that led here", i)
		}
	}
	return nil
}

// ParseState reads what Encode writes, and nothing else.
func ParseState(raw []byte) (s State, err error) {
	if err := bundle.UnmarshalStrict(raw, &s); err != nil {
		return State{}, fmt.Errorf("%s: %w", stateName, err)
	}
	again, err := s.Encode()
	if err == nil && string(again) != string(raw) {
		err = fmt.Errorf("%s: %w", stateName, bundle.ErrNotCanonical)
	}
	if err != nil {
		return State{}, err
	}
	return s, nil
}

// after is the state once a delta has led to the mirror to.
func (s State) after(d Applied, to Identity) State {
	applied := append(append([]Applied{}, s.Applied...), d)
	return State{Schema: StateSchema, Mirror: to, Applied: applied[max(0, len(applied)-maxApplied):]}
}

// has reports whether a delta was applied.
func (s State) has(manifest bundle.Digest) bool {
	for _, a := range s.Applied {
		if a.ManifestDigest == manifest {
			return true
		}
	}
	return false
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	file, _, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return raw, err
}

// Names in the directory of a mirror:
//
//	current -> generations/000000000012     the mirror; replaced as a whole
//	generations/000000000012/state.json     what led to it
//	generations/000000000012/tree/...       its entries, each a file
//	building/                               the next one, while it is made
//	applying.json                           what a command that is not done applies
//	lock                                    of the command at work
const (
	currentName     = "current"
	generationsName = "generations"
	buildingName    = "building"
	stateName       = "state.json"
	treeName        = "tree"
	lockName        = "lock"
	journalName     = "applying.json"
	newSuffix       = ".new"
)

// generationDir is the directory of a generation, within that of the mirror.
func generationDir(generation int64) string {
	return filepath.Join(generationsName, fmt.Sprintf("%012d", generation))
}

// litter are the names of what a command that ended on the way leaves in a directory.
var litter = []string{buildingName, currentName + newSuffix, journalName + newSuffix}

// ours reports whether a name in the directory is one of a mirror.
func ours(name string) bool {
	switch strings.TrimSuffix(name, newSuffix) {
	case currentName, generationsName, buildingName, lockName, journalName:
		return true
	}
	return false
}
