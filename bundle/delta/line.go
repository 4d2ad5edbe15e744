package delta

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/jsonobject"
)

// Line is a line of json:raw (docs/formats/json-raw.md). It points into the text it
// was read from.
type Line struct {
	// Text has no line feed.
	Text []byte

	read     bool
	key      Key
	size     int64
	original bundle.Digest
	place    string // "" until it was asked for
}

// Key names a document within a mirror, and gives its place.
type Key struct {
	Kind       string `json:"kind"`
	Source     string `json:"source"`
	Stream     string `json:"stream"`
	Subject    string `json:"subject"`
	UpstreamID string `json:"upstreamId"`
}

// String is the document's place in an export, as ledger.Row.Key makes it: bytewise
// order of these is the order of documents, and a shard's name is made of one.
func (k Key) String() string {
	return k.Kind + "\n" + k.Subject + "\n" + k.UpstreamID + "\n" + k.Source + "\n" + k.Stream
}

// ErrLine is wrapped when a line is not of its form.
var ErrLine = errors.New("not a line of its form")

// evidenceStart is what stands before the evidence in a line.
const evidenceStart = `{"content":{"raw":`

// Key is the document that the line is about.
func (l *Line) Key() (Key, error) {
	err := l.parse()
	return l.key, err
}

// Size is the length of the evidence in the line, which is what a cut depends on
// besides the key (bundle.CutBefore).
func (l *Line) Size() (int64, error) {
	err := l.parse()
	return l.size, err
}

// Original is the digest of the document as it was imported.
func (l *Line) Original() (bundle.Digest, error) {
	err := l.parse()
	return l.original, err
}

// parse reads the line, once.
func (l *Line) parse() error {
	if l.read {
		return nil
	}
	if err := l.take(); err != nil {
		return fmt.Errorf("%w: %w: %.80q", ErrLine, err, l.Text)
	}
	l.read = true
	return nil
}

func (l *Line) take() error {
	if !bytes.HasPrefix(l.Text, []byte(evidenceStart)) {
		return errors.New("it does not begin with evidence")
	}
	line, err := jsonobject.Parse("", l.Text)
	if err != nil {
		return err
	}
	evidence := jsonobject.FieldOf(line.Field("content"), "raw")
	if len(evidence) == 0 || evidence[0] != '{' {
		return errors.New("its evidence is no object")
	}
	l.size = int64(len(evidence))
	if l.key, err = keyOf(line); err != nil {
		return err
	}
	digest, _ := jsonobject.TextOf(jsonobject.FieldOf(line.Field("original"), "digest"))
	l.original, err = bundle.ParseDigest(digest)
	return err
}

// keyOf reads the members that a key is made of. Of these only subject may be
// absent, and stream empty.
func keyOf(o jsonobject.Object) (k Key, err error) {
	for _, member := range []struct {
		name  string
		value *string
		may   bool // be empty
	}{
		{"kind", &k.Kind, false}, {"source", &k.Source, false}, {"upstreamId", &k.UpstreamID, false},
		{"stream", &k.Stream, true}, {"subject", &k.Subject, true},
	} {
		value, _, err := o.Text(member.name)
		if err == nil && value == "" && !member.may {
			err = fmt.Errorf("%s is missing", member.name)
		}
		if err == nil {
			err = checkMember(member.name, value)
		}
		if err != nil {
			return k, err
		}
		*member.value = value
	}
	return k, nil
}

// checkMember refuses what would make two orders of one: control characters sort
// below the line feed that joins the members of a key.
func checkMember(name, value string) error {
	for i := range len(value) {
		if value[i] < ' ' {
			return fmt.Errorf("%s holds the control character 0x%02x", name, value[i])
		}
	}
	return nil
}
