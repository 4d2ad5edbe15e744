package frontend

import (
	"errors"
	"io"
	"strings"
	"unicode"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/feed"
)

// archiveOptions say of an archive what a record says of itself.
type archiveOptions struct{ source, stream, file string }

// tarOptions reads the parameters that belong to an archive.
func tarOptions(p ImportDocumentsParams) (archiveOptions, error) {
	for name, value := range map[string]string{"source": p.Source, "stream": p.Stream} {
		if value != "" && !ledger.ValidName(value) {
			return archiveOptions{}, parameterError(name, "want 1 to 128 letters, digits and . _ + -")
		}
	}
	if len(p.File) > maxNameText || strings.ContainsFunc(p.File, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }) {
		return archiveOptions{}, parameterError("file", "want at most 4096 bytes of UTF-8 without control characters")
	}
	return archiveOptions{source: p.Source, stream: p.Stream, file: p.File}, nil
}

// noTarOptions refuses what would have no effect.
func noTarOptions(p ImportDocumentsParams) error {
	for name, value := range map[string]string{"source": p.Source, "stream": p.Stream, "file": p.File} {
		if value != "" {
			return parameterError(name, "belongs to application/x-tar; records say it themselves")
		}
	}
	return nil
}

func parameterError(name, problem string) error {
	err := export.Errorf(export.CodeValidation, "parameter %s: %s", name, problem)
	err.Field = name
	return err
}

// readTar imports the members of an archive.
func (i *importResponse) readTar(body *patientReader) error {
	src := &remembering{Reader: body}
	var ended error // of the import, which the reader hands back as it is
	each := func(err error) error {
		if ended = i.settle(err); ended == nil {
			ended = i.finishLarge(body)
		}
		return ended
	}
	reader := feed.Reader{
		Source: i.archive.source, Stream: i.archive.stream,
		Large: func() error {
			ended = i.beginLarge(body)
			return ended
		},
		Entry: func(e ledger.Entry) error {
			before := i.counts
			i.counts.Read++
			return each(i.take(e, before))
		},
		Reject: func(r ledger.Rejection) error {
			if src.failed() {
				return errStopped // and the request's own end explains it
			}
			i.counts.Read++
			return each(&rejected{ledger.Entry{File: r.File, Name: r.Entry}, errors.New(r.Reason)})
		},
	}
	err := reader.ReadTar(i.ctx, i.archive.file, src)
	switch {
	case ended != nil:
		return ended
	case src.failed():
		return badBody(src.err)
	}
	return err
}

var errStopped = errors.New("the body ended")

// remembering keeps the error that ended a body.
type remembering struct {
	io.Reader
	err error
}

func (r *remembering) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil {
		r.err = err
	}
	return n, err
}

// failed reports whether the body broke off.
func (r *remembering) failed() bool { return r.err != nil && !errors.Is(r.err, io.EOF) }
