package ledger

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// Bounds of an observation's parts, in bytes and numbers. The texts are index
// keys (a b-tree entry has room for about 2,700 bytes).
const (
	MaxName       = 128  // source and stream
	MaxUpstreamID = 512  // upstream id
	MaxTerm       = 1024 // subject, product, ecosystem, alias
	MaxTerms      = 20000
)

// maxCanonical bounds the canonical form, which is longer than the original
// where that writes long numbers short.
const maxCanonical = MaxDocument + MaxDocument/4

// ValidName reports whether name can be a source or a stream: 1 to 128
// letters, digits and . _ + - with a letter or digit first. Such a name can
// stand in a log line, a file name and a URL without being anything else.
func ValidName(name string) bool {
	if len(name) == 0 || len(name) > MaxName || !isAlphanumeric(name[0]) {
		return false
	}
	for i := 1; i < len(name); i++ {
		if !isAlphanumeric(name[i]) && !isNameMark(name[i]) {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func isNameMark(c byte) bool { return c == '.' || c == '_' || c == '+' || c == '-' }

// CleanName makes a name of anything, for defaults taken from file names:
// other characters become one hyphen, "" becomes fallback.
func CleanName(name, fallback string) string {
	var b strings.Builder
	hyphen := false
	for _, c := range []byte(name) {
		if isAlphanumeric(c) || b.Len() > 0 && isNameMark(c) {
			b.WriteByte(c)
			hyphen = c == '-'
		} else if b.Len() > 0 && !hyphen {
			b.WriteByte('-')
			hyphen = true
		}
	}
	clean := b.String()
	clean = strings.TrimRight(clean[:min(len(clean), MaxName)], "-._+")
	if clean == "" {
		return fallback
	}
	return clean
}

// Kinds lists every kind of evidence.
var Kinds = []Kind{KindAdvisory, KindVEX, KindSBOM, KindFinding, KindPolicy, KindAttestation, KindArtifact}

// Valid reports whether k is one of the kinds.
func (k Kind) Valid() bool { return slices.Contains(Kinds, k) }

// Validate checks everything the ledger and its readers rely on, and names the
// first field at fault. Importers call it on what they made, the store on what
// it is given.
func (o Observation) Validate() error {
	if err := o.check(); err != nil {
		return err
	}
	if o.Digest != bundle.DigestOf(o.Raw) {
		return fmt.Errorf("digest %s is not that of the bytes", o.Digest)
	}
	return nil
}

// check is Validate for one who has just made the digest of these bytes.
func (o *Observation) check() error {
	switch {
	case o.Project != "" && o.Project != NoProject && !export.ValidTenant(o.Project):
		return fmt.Errorf("project %.80q: want lower-case letters, digits and inner hyphens", o.Project)
	case !o.Kind.Valid():
		return fmt.Errorf("kind %.80q is unknown", o.Kind)
	case !ValidName(o.Format):
		return fmt.Errorf("format %.80q is not a name", o.Format)
	case !ValidName(o.Source):
		return fmt.Errorf("source %.80q: want 1 to %d letters, digits and . _ + -", o.Source, MaxName)
	case !ValidName(o.Stream):
		return fmt.Errorf("stream %.80q: want 1 to %d letters, digits and . _ + -", o.Stream, MaxName)
	case o.UpstreamID == "":
		return fmt.Errorf("upstream id is empty")
	}
	if err := checkText("upstream id", o.UpstreamID, MaxUpstreamID); err != nil {
		return err
	}
	if err := checkText("subject", o.Subject, MaxTerm); err != nil {
		return err
	}
	if err := o.checkTerms(); err != nil {
		return err
	}
	for i, s := range o.Severities {
		if !Severity(s).Valid() || i > 0 && o.Severities[i-1] >= s {
			return fmt.Errorf("severities: %.40q is none of %v, or not in order", s, Severities)
		}
	}
	return o.checkContent()
}

func (o *Observation) checkTerms() error {
	for _, axis := range [...]struct {
		name  string
		terms []string
	}{{"ecosystem", o.Ecosystems}, {"product", o.Products}, {"alias", o.Aliases}} {
		if len(axis.terms) > MaxTerms {
			return fmt.Errorf("%d different values of %s, at most %d are taken", len(axis.terms), axis.name, MaxTerms)
		}
		for i, term := range axis.terms {
			if err := checkText(axis.name, term, MaxTerm); err != nil {
				return err
			}
			if term == "" || i > 0 && axis.terms[i-1] >= term {
				return fmt.Errorf("%s list is not sorted, unique and without empty values at %.80q", axis.name, term)
			}
		}
	}
	return nil
}

func (o *Observation) checkContent() error {
	switch {
	case len(o.Raw) == 0:
		return fmt.Errorf("the document is empty")
	case len(o.Raw) > MaxDocument:
		return fmt.Errorf("the document has %d bytes, at most %d are taken", len(o.Raw), MaxDocument)
	case len(o.Canonical) > maxCanonical:
		return fmt.Errorf("the canonical form (RFC 8785) of the document has %d bytes, at most %d are taken: its numbers are written out", len(o.Canonical), maxCanonical)
	case len(o.Canonical) == 0 || bytes.IndexByte(o.Canonical, '\n') >= 0:
		return fmt.Errorf("the canonical form is empty or holds a line feed")
	}
	if o.Modified != "" {
		if _, err := time.Parse(ModifiedLayout, o.Modified); err != nil {
			return fmt.Errorf("modified %.80q is not a time in the ledger's form", o.Modified)
		}
	}
	return nil
}

// checkText refuses what cannot be an index key, a line of a list or a text in
// the database: too long, not UTF-8, or with control characters.
func checkText(field, s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("%s %.80q... has %d bytes, at most %d are taken", field, s, len(s), limit)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("%s %.80q is not UTF-8", field, s)
	}
	for i := 0; i < len(s); i++ { // bytes of longer characters are beyond both
		if s[i] < 0x20 || s[i] == 0x7f {
			return fmt.Errorf("%s %.80q holds a control character", field, s)
		}
	}
	return nil
}
