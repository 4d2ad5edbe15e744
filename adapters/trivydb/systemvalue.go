package trivydb

import (
	"encoding/json"
	"fmt"
	"strings"
)

// systemValue is the record of the document that was published last: a later
// erratum for the same id replaces an earlier fix, whenever the feed touches
// either. Its lines come in the order of publication, then of documents, so of
// two errata of one moment the one with the higher number is behind.
type systemValue struct {
	of       *databaseWriter // which has the key
	text     []byte
	document string
}

func (v *systemValue) add(rest []byte) error {
	fields, text, ok := cut(rest, 2) // published, document
	if !ok {
		return fmt.Errorf("a record of an operating system has too few fields")
	}
	if document := string(fields[1]); len(v.text) > 0 && document != v.document {
		if err := v.compare(document, text); err != nil {
			return err
		}
	}
	v.text, v.document = append(v.text[:0], text...), string(fields[1])
	return nil
}

// compare names a document whose fix does not count.
func (v *systemValue) compare(document string, text []byte) error {
	var before, next record
	if err := json.Unmarshal(v.text, &before); err != nil {
		return err
	}
	if err := json.Unmarshal(text, &next); err != nil {
		return err
	}
	if before.FixedVersion == next.FixedVersion && before.AffectedVersion == next.AffectedVersion {
		return nil
	}
	source, stream, id := ofIdentity(v.document)
	_, _, other := ofIdentity(document)
	v.of.tally.left.add(Left{source, stream, id, fmt.Sprintf("%s %s %s: %s counts, which was published later and says %s instead of %s",
		v.of.root, v.of.name, v.of.key, other, next.words(), before.words())})
	return nil
}

// words are which versions a record of an operating system is about.
func (r record) words() string {
	words := "not fixed"
	if r.FixedVersion != "" {
		words = fmt.Sprintf("fixed in %.80s", r.FixedVersion)
	}
	if r.AffectedVersion != "" {
		words += fmt.Sprintf(" and affected since %.80s", r.AffectedVersion)
	}
	return words
}

func (v *systemValue) done(t *tally) []byte {
	t.systemRecord(string(v.of.root))
	text := v.text
	v.text = v.text[:0]
	return text
}

// ofIdentity takes an identity apart.
func ofIdentity(identity string) (source, stream, id string) {
	parts := append(strings.SplitN(identity, "\x01", 3), "", "")
	return parts[0], parts[1], parts[2]
}
