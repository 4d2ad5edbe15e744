package trivydb

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// value is what the lines of one key make.
type value interface {
	// add adds the next line's part behind the key.
	add(rest []byte) error
	// done gives the value.
	done(*tally) []byte
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
