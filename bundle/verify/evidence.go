package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"

	"github.com/stella-ops/exportcenter/bundle"
)

// WithEvidence also reads the evidence of a json:raw or json:policy bundle or a mirror: that each has its
// documented form, that it agrees with the manifest on the redaction, and
// whether its evidence is byte for byte what was imported. Of a full mirror every document
// must have its original; that takes 32 bytes of memory for each original. It needs the bundle
// alone: an original that was canonical itself is proved by its digest.
func WithEvidence() Option { return func(v *verifier) { v.evidence = true } }

// Evidence counts the documents of a bundle by what could be proved of them.
type Evidence struct {
	// Identical documents are byte for byte what was imported.
	Identical int64 `json:"identical"`
	// Rewritten ones were not canonical when they were imported; only who has
	// the original can compare.
	Rewritten int64 `json:"rewritten"`
	// Redacted lines lack fields.
	Redacted int64 `json:"redacted"`
}

const (
	rawStart = `{"content":{"raw":`
	rawEnd   = `},`
	// maxEnvelope is more than the greatest lists of a document take.
	maxEnvelope = 64 << 20
)

// lineReader takes content as it streams by, however it is cut. Of a document it
// keeps a hash; of a line only the envelope.
type lineReader struct {
	policy string // of the manifest's redaction, "" without one
	known  known  // nil: originals are not looked for
	found  Evidence
	fields int64 // dropped
	line   int64

	at       int // place in rawStart, then behind it
	depth    int
	text     bool // within a string
	escape   bool
	raw      hash.Hash
	rawBytes int64
	rest     []byte // behind the evidence
}

func newLineReader(policy string) *lineReader { return &lineReader{policy: policy, raw: sha256.New()} }

// Write takes a part of the content.
func (l *lineReader) Write(p []byte) (int, error) {
	for i := 0; i < len(p); {
		var err error
		switch {
		case l.at < len(rawStart):
			if p[i] != rawStart[l.at] {
				err = fmt.Errorf("does not begin with %s", rawStart)
			}
			l.at, i = l.at+1, i+1
		case l.at == len(rawStart):
			n, whole := l.document(p[i:])
			l.raw.Write(p[i : i+n])
			if i, l.rawBytes = i+n, l.rawBytes+int64(n); whole {
				l.at++
			}
		case p[i] == '\n':
			err, i = l.end(), i+1
		default:
			n := i
			for n < len(p) && p[n] != '\n' {
				n++
			}
			if len(l.rest)+n-i > maxEnvelope {
				err = fmt.Errorf("has more than %d bytes behind its evidence", maxEnvelope)
			} else {
				l.rest = append(l.rest, p[i:n]...)
			}
			i = n
		}
		if err != nil {
			return 0, fmt.Errorf("line %d %w", l.line+1, err)
		}
	}
	return len(p), nil
}

// document gives how much of p belongs to the evidence, an object, and whether
// it ends there.
func (l *lineReader) document(p []byte) (n int, whole bool) {
	for i, c := range p {
		switch {
		case l.escape:
			l.escape = false
		case l.text:
			l.text, l.escape = c != '"', c == '\\'
		case c == '"':
			l.text = true
		case c == '{' || c == '[':
			l.depth++
		case c == '}' || c == ']':
			if l.depth--; l.depth == 0 {
				return i + 1, true
			}
		}
	}
	return len(p), false
}

// end looks at a line that is whole.
func (l *lineReader) end() error {
	if len(l.rest) < len(rawEnd) || string(l.rest[:len(rawEnd)]) != rawEnd {
		return errors.New("has something beside its evidence")
	}
	l.rest[1] = '{' // for the comma: the members behind content are an object
	var line bundle.RawLine
	if err := parseLine(l.rest[1:], &line); err != nil {
		return err
	}
	if err := l.count(line); err != nil {
		return err
	}
	l.line++
	l.at, l.rawBytes, l.rest = 0, 0, l.rest[:0]
	l.raw.Reset()
	return nil
}

func parseLine(text []byte, line *bundle.RawLine) error {
	if err := bundle.UnmarshalStrict(text, line); err != nil {
		return fmt.Errorf("behind its evidence: %w", err)
	}
	again, err := bundle.MarshalCanonical(line)
	if err != nil {
		return fmt.Errorf("behind its evidence: %w", err)
	}
	if string(again) != string(text) {
		return errors.New("is not in its one form behind its evidence")
	}
	return nil
}

func (l *lineReader) count(line bundle.RawLine) error {
	policy, dropped := "", int64(0)
	if line.Redaction != nil {
		policy, dropped = line.Redaction.PolicyID, line.Redaction.DroppedFields
	}
	identical := bundle.Digest(l.raw.Sum(nil)) == line.Original.Digest
	switch {
	case policy != l.policy:
		return fmt.Errorf("is of redaction %.140q, the manifest's is %.140q", policy, l.policy)
	case dropped < 0 || dropped > 1<<40:
		return fmt.Errorf("lacks %d fields, which is no count", dropped)
	case l.known != nil && !l.known.has(line.Kind, line.Original.Digest):
		return fmt.Errorf("has the original %s, which the mirror does not have", bundle.OriginalPath(line.Kind, line.Original.Digest))
	case identical && line.Original.Bytes != l.rawBytes:
		return fmt.Errorf("has its original's digest, but %d bytes and not %d", l.rawBytes, line.Original.Bytes)
	case identical:
		l.found.Identical++
	case dropped > 0:
		l.found.Redacted++
	default:
		l.found.Rewritten++
	}
	l.fields += dropped
	return nil
}

// whole reports a line that has no end.
func (l *lineReader) whole() error {
	if l.at > 0 {
		return fmt.Errorf("line %d has no end", l.line+1)
	}
	return nil
}

// checkEvidence reads the lines of every payload file again, now that all is
// known to be as it was signed.
func (v *verifier) checkEvidence(ctx context.Context) *Failure {
	if !v.evidence {
		return nil
	}
	if p := v.manifest.Profile; p.Kind != "json" && p.Kind != "mirror" {
		return fail(ClassOther, ReasonEvidence, "", "a bundle of profile %s:%s holds no evidence as it was imported; those of json:raw and json:policy and mirrors do", p.Kind, p.Variant)
	}
	contents := slices.DeleteFunc(slices.Clone(v.manifest.Contents), func(c bundle.Content) bool { return !bundle.IsEvidence(c.Path) })
	policy := ""
	if v.manifest.Redaction != nil {
		policy = v.manifest.Redaction.PolicyID
	}
	readers := make([]*lineReader, len(contents))
	failures := make([]*Failure, len(readers))
	v.parallel(len(readers), func(i int) {
		c := contents[i]
		failures[i] = v.guarded(c.Path, func() *Failure { // all of it: a panic here would end the process
			readers[i] = newLineReader(policy)
			if v.wantsOriginals() {
				readers[i].known = v.known
			}
			return v.readLines(ctx, c, readers[i])
		})
	})
	total, dropped := Evidence{}, map[string]int64{}
	for i, c := range contents {
		if failures[i] != nil {
			return failures[i]
		}
		total.Identical += readers[i].found.Identical
		total.Rewritten += readers[i].found.Rewritten
		total.Redacted += readers[i].found.Redacted
		dropped[c.Type()] += readers[i].fields
	}
	v.report.Evidence = &total
	if v.manifest.Redaction == nil {
		return nil
	}
	for _, kind := range slices.Sorted(maps.Keys(dropped)) {
		if failure := v.compare("dropped fields of "+kind, bundle.ManifestPath, number(v.manifest.Redaction.DroppedFields[kind]),
			number(dropped[kind]), ClassContent, ReasonEvidence); failure != nil {
			return failure
		}
	}
	return nil
}

// readLines reads the lines of a payload file. It hashes what it reads: the file
// may have changed since the step before.
func (v *verifier) readLines(ctx context.Context, c bundle.Content, lines *lineReader) *Failure {
	e := v.entries[v.byPath[c.Path]]
	h := sha256.New()
	section := io.NewSectionReader(v.archive, e.body(), e.size)
	content, err := bundle.OpenPayload(io.TeeReader(interruptible{ctx, section}, h))
	if err != nil {
		return fail(ClassContent, ReasonFrame, c.Path, "%v", err)
	}
	defer content.Close()
	if _, err = copyAll(lines, content); err == nil {
		err = lines.whole()
	}
	switch {
	case ctx.Err() != nil:
		return fail(ClassOther, ReasonInterrupted, "", "interrupted: %v", ctx.Err())
	case err != nil:
		return fail(ClassContent, ReasonEvidence, c.Path, "%v", err)
	case bundle.Digest(h.Sum(nil)) != v.stored(c):
		return fail(ClassContent, ReasonPayloadDigest, c.Path, "changed while the archive was read")
	}
	return nil
}
