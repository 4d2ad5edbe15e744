package comparison

// Ways in which a document changes.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// What changed of a document.
const (
	SeverityAspect  = "severity"   // a score or a word for how bad it is
	RangeAspect     = "range"      // which versions of which packages are affected
	FixedAspect     = "fixed"      // which versions fix it
	WithdrawnAspect = "withdrawn"  // whether, or since when, it is withdrawn
	AliasesAspect   = "aliases"    // its other ids
	StatusAspect    = "status"     // what VEX statements say of a product
	PartsAspect     = "components" // what a bill of materials lists
	OtherAspect     = "other"      // nothing of these: texts, references, times
)

// Aspects are all of them, in the order in which they are told.
var Aspects = []string{SeverityAspect, RangeAspect, FixedAspect, WithdrawnAspect, AliasesAspect, StatusAspect, PartsAspect, OtherAspect}

// Change is what became of one document from one run to the other.
type Change struct {
	Change string // Added, Removed or Changed
	Kind   string
	Source string
	Stream string
	ID     string
	// Aliases are those of the newer revision, sorted.
	Aliases []string
	// What changed, of Aspects in their order; nil unless Change is Changed.
	What []string

	// Severity is by what it is of. Of a document that was added it has what it says
	// as a whole, as To, and of one that was removed as From.
	Severity  []SeverityChange
	Packages  []PackageChange
	Withdrawn *Words
	// AliasesAdded and AliasesRemoved are sorted.
	AliasesAdded, AliasesRemoved []string
	Statements                   []StatementChange
	Components                   *Counts
	// More counts the parts that are left out of the lists above, because a document
	// may have a million of them.
	More int
	// Note says why a document was not understood, "" when both were.
	Note string
}

// SeverityChange is about the document, one of its vulnerabilities, or one package.
type SeverityChange struct {
	Of       Subject
	From, To Severity
}

// Subject is what a part of a document is about; members are "" where it does not say.
type Subject struct{ Vulnerability, Ecosystem, Name, Module string }

// Severity is all that is said of one thing; the zero value is nothing.
type Severity struct {
	Word string // the gravest: critical, high, medium, low or none
	// Said are the vectors, and words without one, as published, sorted.
	Said []string
}

// PackageChange is about a package that is affected in one of the two, or differently.
type PackageChange struct {
	Of     Subject
	Change string
	// Ranges read "SEMVER: introduced 0, fixed 1.2.3", the events in the document's
	// order; sorted.
	RangesAdded, RangesRemoved []string
	// Versions that are listed one by one are counted.
	VersionsAdded, VersionsRemoved int
	FixedAdded, FixedRemoved       []string // versions, sorted
}

// Words are a text before and after, "" where there was none.
type Words struct{ From, To string }

// StatementChange is about what a document says of a vulnerability in a product. A
// status is "" where it says nothing.
type StatementChange struct {
	Vulnerability string
	Product       string
	// Within are the parts of the product that it is narrowed to, sorted, joined by spaces.
	Within   string
	From, To string
}

// Counts of components: of one that is listed twice, both.
type Counts struct{ Added, Removed int }

// mostParts bounds what is told of one document.
const mostParts = 500

// budget is how many parts can still be told.
type budget struct{ left, more int }

// take reports whether one more part can be told, and counts it when not.
func (b *budget) take() bool {
	if b.left == 0 {
		b.more++
		return false
	}
	b.left--
	return true
}

// few gives as many of texts as can be told.
func (b *budget) few(texts []string) []string {
	told := texts[:min(len(texts), b.left)]
	b.left -= len(told)
	b.more += len(texts) - len(told)
	if len(told) == 0 {
		return nil
	}
	return told
}
