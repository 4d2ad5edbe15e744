package trivydb

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/stella-ops/exportcenter/internal/boltpages"
)

// Root buckets without packages inside.
const (
	sourceRoot = "data-source"
	detailRoot = "vulnerability"
)

// writeDatabase writes the buckets in the order of their keys.
func (b *building) writeDatabase(ctx context.Context, to *boltpages.Writer) error {
	w := &databaseWriter{to: to, tally: b.tally, platforms: b.platforms}
	for line, err := range b.buckets.Sorted(ctx) {
		if err != nil {
			return err
		}
		if err := w.take(line); err != nil {
			return err
		}
	}
	if err := w.end(); err != nil {
		return err
	}
	return to.Close()
}

// databaseWriter turns sorted lines into keys and values. It holds one key and
// what its documents say, so far.
type databaseWriter struct {
	to        *boltpages.Writer
	tally     *tally
	platforms platforms

	root, name []byte // of the open buckets; nil for none
	key        []byte // nil for none
	value      value
}

// value is what the lines of one key make.
type value interface {
	// add adds the next line's part behind the key.
	add(rest []byte) error
	// done gives the value.
	done(*tally) []byte
}

// take takes a line: root, package (not in the roots without), key, and what
// stands behind it.
func (w *databaseWriter) take(line []byte) error {
	root, rest, ok := bytes.Cut(line, []byte(separator))
	var name, key []byte
	if nested(root) && ok {
		name, rest, ok = bytes.Cut(rest, []byte(separator))
	}
	if ok {
		key, rest, ok = bytes.Cut(rest, []byte(separator))
	}
	if !ok {
		return fmt.Errorf("a line of the database has too few fields: %.200q", line)
	}
	if w.key == nil || !bytes.Equal(w.root, root) || !bytes.Equal(w.name, name) || !bytes.Equal(w.key, key) {
		if err := w.turn(root, name, key); err != nil {
			return err
		}
	}
	if err := w.value.add(rest); err != nil {
		return fmt.Errorf("%s %s %s: %w", root, name, key, err)
	}
	return nil
}

func nested(root []byte) bool { return string(root) != sourceRoot && string(root) != detailRoot }

// turn writes the key that is complete and goes to the next.
func (w *databaseWriter) turn(root, name, key []byte) error {
	if err := w.put(); err != nil {
		return err
	}
	otherRoot := !bytes.Equal(w.root, root)
	if otherRoot || !bytes.Equal(w.name, name) {
		if err := w.endPackage(); err != nil {
			return err
		}
		if otherRoot {
			if err := w.beginRoot(root); err != nil {
				return err
			}
		}
		if nested(root) {
			w.name = append(w.name[:0], name...)
			if err := w.to.Begin(name); err != nil {
				return err
			}
			w.tally.systemPackage(string(root))
		}
	}
	w.key = append(w.key[:0], key...)
	return nil
}

func (w *databaseWriter) beginRoot(root []byte) error {
	if w.root != nil {
		if err := w.to.End(); err != nil {
			return err
		}
	}
	w.root = append(w.root[:0], root...)
	switch {
	case string(root) == sourceRoot:
		w.value = &sourceValue{}
	case string(root) == detailRoot:
		w.value = &detailValue{}
	case string(root) == redHatRoot:
		w.value = &redHatValue{platforms: w.platforms}
	case string(root) == redHatCPERoot:
		w.value = &plainValue{}
	case bytes.Contains(root, []byte("::")):
		w.value = &languageValue{}
	default:
		w.value = &systemValue{root: string(root)}
	}
	return w.to.Begin(root)
}

func (w *databaseWriter) put() error {
	if w.key == nil {
		return nil
	}
	err := w.to.Put(w.key, w.value.done(w.tally))
	w.key = nil
	return err
}

func (w *databaseWriter) endPackage() error {
	if w.name == nil {
		return nil
	}
	w.name = nil
	return w.to.End()
}

func (w *databaseWriter) end() error {
	if err := w.put(); err != nil {
		return err
	}
	if err := w.endPackage(); err != nil {
		return err
	}
	if w.root == nil {
		return nil
	}
	return w.to.End()
}

// languageValue is a record that joinLanguages made.
type languageValue struct{ text []byte }

func (v *languageValue) add(rest []byte) error {
	if len(v.text) > 0 {
		return fmt.Errorf("two records of one key")
	}
	v.text = append(v.text, rest...)
	return nil
}

func (v *languageValue) done(t *tally) []byte {
	text := v.text
	v.text = v.text[:0]
	return text
}

// systemValue is the record of the document that was modified last: a later
// erratum for the same id replaces an earlier fix. Its lines come in the order
// of modification times.
type systemValue struct {
	root string
	text []byte
}

func (v *systemValue) add(rest []byte) error {
	_, text, ok := cut(rest, 2) // modified, document
	if !ok {
		return fmt.Errorf("a record of an operating system has too few fields")
	}
	v.text = append(v.text[:0], text...)
	return nil
}

func (v *systemValue) done(t *tally) []byte {
	t.systemRecord(v.root)
	return v.text
}

// sourceValue is the publisher of a bucket's documents, or, of a mixed bucket,
// nobody in particular.
type sourceValue struct {
	text []byte
	some bool
}

func (v *sourceValue) add(rest []byte) error {
	_, text, ok := cut(rest, 1) // publisher
	if !ok {
		return fmt.Errorf("a data source has too few fields")
	}
	if !v.some {
		v.text, v.some = append(v.text[:0], text...), true
		return nil
	}
	if bytes.Equal(v.text, text) {
		return nil
	}
	var before, next dataSource
	if err := json.Unmarshal(v.text, &before); err != nil {
		return err
	}
	if err := json.Unmarshal(text, &next); err != nil {
		return err
	}
	v.text = append(v.text[:0], encode(before.join(next))...)
	return nil
}

func (v *sourceValue) done(*tally) []byte {
	v.some = false
	return v.text
}

// detailValue joins what documents say of an id, in the order of precedence.
type detailValue struct {
	text   []byte // of the first
	level  string // its severity
	joined *detail
	some   bool
}

func (v *detailValue) add(rest []byte) error {
	fields, text, ok := cut(rest, 3) // precedence, document, severity
	if !ok {
		return fmt.Errorf("a detail has too few fields")
	}
	if !v.some {
		v.text, v.level, v.some = append(v.text[:0], text...), string(fields[2]), true
		return nil
	}
	if v.joined == nil {
		v.joined = &detail{}
		if err := json.Unmarshal(v.text, v.joined); err != nil {
			return err
		}
	}
	var next detail
	if err := json.Unmarshal(text, &next); err != nil {
		return err
	}
	v.joined.merge(next)
	return nil
}

func (v *detailValue) done(t *tally) []byte {
	if v.joined != nil {
		v.text, v.level = append(v.text[:0], encode(v.joined)...), v.joined.Severity
	}
	t.vulnerability(v.level)
	v.some, v.joined = false, nil
	return v.text
}
