// Package artifact says what a list of Maven artifacts holds: which file, by its
// SHA-1, is which group, artifact and version. It is a format of our own, for
// what is known of archives without an SBOM (docs/formats/evidence.md).
package artifact

import (
	"fmt"
	"strings"

	"github.com/stella-ops/exportcenter/internal/jsonobject"
)

// Format is the value of the member "format" of a list, and its version.
const Format = "stellaops.gav-list/v1"

// Artifact is one file.
type Artifact struct {
	SHA1 string // of the file, 40 lower-case hexadecimal digits
	Coordinates
}

// Coordinates name an artifact as Maven does.
type Coordinates struct {
	GroupID    string
	ArtifactID string
	Version    string
	Type       string // of the file: "jar" or "aar"
}

// MaxArtifacts bounds one list, so that each may be a product of its own in the
// ledger (ledger.MaxTerms). Cut larger lists.
const MaxArtifacts = 20_000

// maxText bounds one member of coordinates, in bytes.
const maxText = 256

// Each calls yield with every artifact of a list, in its order. An error names
// the member that is wrong.
func Each(doc jsonobject.Object, yield func(Artifact) error) error {
	format, err := doc.RequireText("format")
	if err != nil {
		return err
	}
	if format != Format {
		return fmt.Errorf("format %.80q is not %s", format, Format)
	}
	if raw := doc.Field("artifacts"); len(raw) == 0 || raw[0] != '[' {
		return fmt.Errorf("artifacts is missing or not a list")
	}
	count := 0
	return doc.Each("artifacts", func(o jsonobject.Object) error {
		if count++; count > MaxArtifacts {
			return fmt.Errorf("artifacts has too many entries, at most %d are taken; cut the list", MaxArtifacts)
		}
		a, err := read(o)
		if err != nil {
			return err
		}
		return yield(a)
	})
}

func read(o jsonobject.Object) (a Artifact, err error) {
	if a.SHA1, err = o.RequireText("sha1"); err != nil {
		return a, err
	}
	if a.SHA1 = strings.ToLower(a.SHA1); !IsSHA1(a.SHA1) {
		return a, fmt.Errorf("%s %.80q is not 40 hexadecimal digits", o.Name("sha1"), a.SHA1)
	}
	for _, member := range []struct {
		field string
		into  *string
	}{{"groupId", &a.GroupID}, {"artifactId", &a.ArtifactID}, {"version", &a.Version}} {
		if *member.into, err = o.RequireText(member.field); err != nil {
			return a, err
		}
		if !plain(*member.into) {
			return a, fmt.Errorf("%s %.80q: want 1 to %d bytes without spaces and control characters", o.Name(member.field), *member.into, maxText)
		}
	}
	kind, _, err := o.Text("archiveType")
	if err != nil {
		return a, err
	}
	if a.Type = kind; kind == "" {
		a.Type = "jar"
	}
	if !a.Valid() {
		return a, fmt.Errorf("%s %.40q is neither jar nor aar", o.Name("archiveType"), kind)
	}
	return a, nil
}

// IsSHA1 reports whether text is 40 lower-case hexadecimal digits.
func IsSHA1(text string) bool { return len(text) == 40 && strings.Trim(text, "0123456789abcdef") == "" }

// Valid reports whether the coordinates are whole, and of a type that is known.
func (c Coordinates) Valid() bool {
	return plain(c.GroupID) && plain(c.ArtifactID) && plain(c.Version) && (c.Type == "jar" || c.Type == "aar")
}

// plain reports whether text can be a part of coordinates: what else is in it, it
// cannot be mistaken for two.
func plain(text string) bool {
	return text != "" && len(text) <= maxText && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd })
}
