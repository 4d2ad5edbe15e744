package bundle

import (
	"regexp"
	"strconv"
	"strings"
)

// TUFDir holds the TUF metadata of a mirror (docs/formats/tuf.md). It is no
// payload: it speaks of the payload, and it ends when the payload does not.
const TUFDir = "tuf/"

// Paths of the metadata that is there once. Roots are numbered besides.
const (
	TUFRootPath      = TUFDir + "root.json" // the newest of the roots
	TUFTargetsPath   = TUFDir + "targets.json"
	TUFSnapshotPath  = TUFDir + "snapshot.json"
	TUFTimestampPath = TUFDir + "timestamp.json"
)

// MaxTUFRoots bounds the chain of roots: what TUF clients follow at once.
const MaxTUFRoots = 256

const tufRootSuffix = ".root.json"

var tufRootForm = regexp.MustCompile(`^[1-9][0-9]{0,2}$`)

// TUFRootPathOf is where the root of a version lies.
func TUFRootPathOf(version int64) string {
	return TUFDir + strconv.FormatInt(version, 10) + tufRootSuffix
}

// TUFRootVersion gives the version in the path of a numbered root, 0 for any
// other path.
func TUFRootVersion(path string) int64 {
	name, found := strings.CutSuffix(strings.TrimPrefix(path, TUFDir), tufRootSuffix)
	if !found || !strings.HasPrefix(path, TUFDir) || !tufRootForm.MatchString(name) {
		return 0
	}
	version, err := strconv.ParseInt(name, 10, 64)
	if err != nil || version > MaxTUFRoots {
		return 0
	}
	return version
}

// IsTUF reports whether path is one of TUF metadata.
func IsTUF(path string) bool {
	switch path {
	case TUFRootPath, TUFTargetsPath, TUFSnapshotPath, TUFTimestampPath:
		return true
	}
	return TUFRootVersion(path) > 0
}
