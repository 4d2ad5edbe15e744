package trivydb

import (
	"bytes"
	"context"
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
		w.value = &systemValue{of: w}
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
