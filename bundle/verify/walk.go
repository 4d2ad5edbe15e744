package verify

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/sealed"
)

// entry is where an entry is in the archive.
type entry struct {
	path string
	at   int64 // of its header
	size int64
}

func (e entry) body() int64 { return e.at + bundle.BlockSize }
func (e entry) end() int64  { return e.at + bundle.EntrySize(e.size) }

// walk reads every header and what lies between the entries.
func (v *verifier) walk(ctx context.Context) *Failure {
	known := map[string]bool{}
	for _, path := range bundle.FixedPaths() {
		known[path] = true
	}
	if !v.within { // what is opened is a plain bundle
		for _, path := range bundle.EncryptionPaths() {
			known[path] = true
		}
	}
	v.byPath = map[string]int{}
	v.lastPath, v.originals = "", originals{}
	at := int64(0)
	for {
		if ctx.Err() != nil {
			return fail(ClassOther, ReasonInterrupted, "", "interrupted: %v", ctx.Err())
		}
		e, last, failure := v.header(at)
		if failure != nil {
			return failure
		}
		if last {
			if failure := v.ofOneKind(); failure != nil {
				return failure
			}
			v.passed("archive structure", "")
			return v.trailer(at)
		}
		if failure := v.admit(e, known); failure != nil {
			return failure
		}
		at = e.end()
	}
}

// header reads the header at at; last reports that the zero blocks begin there.
func (v *verifier) header(at int64) (e entry, last bool, failure *Failure) {
	var block [bundle.BlockSize]byte
	if failure := v.read(block[:], at); failure != nil {
		return e, false, failure
	}
	if block == ([bundle.BlockSize]byte{}) {
		return e, true, nil
	}
	path, size, err := bundle.ParseHeader(block)
	if err != nil {
		return e, false, fail(ClassContent, ReasonHeader, "", "at byte %d: %v", at, err)
	}
	return entry{path: path, at: at, size: size}, false, nil
}

// admit checks an entry's place and padding and takes it in.
func (v *verifier) admit(e entry, known map[string]bool) *Failure {
	if v.lastPath == e.path {
		return fail(ClassContent, ReasonDuplicate, e.path, "is there twice")
	}
	if v.lastPath != "" && !bundle.PathBefore(v.lastPath, e.path) {
		return fail(ClassContent, ReasonOrder, e.path, "comes after %s", v.lastPath)
	}
	v.lastPath = e.path
	original := bundle.IsOriginal(e.path)
	if original {
		if failure := v.originalPath(e.path); failure != nil {
			return failure
		}
	} else if !known[e.path] && !bundle.IsPayload(e.path) && !bundle.IsTUF(e.path) && !strings.HasPrefix(e.path, bundle.ApprovalsDir) {
		return fail(ClassContent, ReasonUnknown, e.path, "is not an entry of a bundle")
	}
	if len(v.entries) >= v.limits.Entries {
		return fail(ClassContent, ReasonTooMany, e.path, "more than %d entries", v.limits.Entries)
	}
	if e.end() > v.size {
		return fail(ClassContent, ReasonTruncated, e.path, "the archive ends inside it, at byte %d", v.size)
	}
	pad := make([]byte, e.end()-e.body()-e.size)
	if failure := v.read(pad, e.body()+e.size); failure != nil {
		return failure
	}
	for _, b := range pad {
		if b != 0 {
			return fail(ClassContent, ReasonPadding, e.path, "its padding is not zero")
		}
	}
	if original { // there may be millions: what is kept of them is where they are
		v.originals.add(e)
		return nil
	}
	v.byPath[e.path] = len(v.entries)
	v.entries = append(v.entries, e)
	return nil
}

// trailer checks that two zero blocks begin at at and end the archive.
func (v *verifier) trailer(at int64) *Failure {
	var blocks [bundle.TrailerSize]byte
	if failure := v.read(blocks[:], at); failure != nil {
		return failure
	}
	if blocks != ([bundle.TrailerSize]byte{}) || at+bundle.TrailerSize != v.size {
		return fail(ClassContent, ReasonTrailing, "", "after the last entry, at byte %d, come not two zero blocks and the end", at)
	}
	return nil
}

// read fills p from the archive.
func (v *verifier) read(p []byte, at int64) *Failure {
	if len(p) == 0 {
		return nil
	}
	if at+int64(len(p)) > v.size {
		return fail(ClassContent, ReasonTruncated, "", "the archive ends at byte %d, in the middle", v.size)
	}
	if n, err := v.archive.ReadAt(p, at); n < len(p) {
		return unreadable(err)
	}
	return nil
}

// unreadable tells a file that became shorter from one that cannot be read.
func unreadable(err error) *Failure {
	if errors.Is(err, sealed.ErrTampered) || errors.Is(err, sealed.ErrForm) { // of a bundle that is opened
		return fail(ClassContent, ReasonCiphertext, "", "%v", err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fail(ClassContent, ReasonTruncated, "", "the archive became shorter while it was read")
	}
	return fail(ClassOther, ReasonUnreadable, "", "read the archive: %v", err)
}

// require checks that the entries every bundle has are there.
func (v *verifier) require(context.Context) *Failure {
	paths := bundle.FixedPaths()
	if v.isEncrypted() {
		paths = append(paths, bundle.EncryptionPaths()...)
	}
	for _, path := range paths {
		if _, ok := v.byPath[path]; !ok {
			return fail(ClassAbsent, ReasonMissing, path, "is not in the archive")
		}
	}
	v.passed("required entries", "")
	return nil
}

// document reads an entry as a whole, once: what is verified and what is
// parsed are the same bytes.
func (v *verifier) document(path string) ([]byte, *Failure) {
	if text, ok := v.documents[path]; ok {
		return text, nil
	}
	e := v.entries[v.byPath[path]]
	if e.size > v.limits.Document {
		return nil, fail(ClassContent, ReasonTooLarge, path, "%d bytes, more than %d", e.size, v.limits.Document)
	}
	text := make([]byte, e.size)
	if failure := v.read(text, e.body()); failure != nil {
		return nil, failure
	}
	if v.documents == nil {
		v.documents = map[string][]byte{}
	}
	v.documents[path] = text
	return text, nil
}
