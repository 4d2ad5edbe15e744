package policy

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// maxLine bounds a line: a document and its envelope.
const maxLine = ledger.MaxDocument + 4<<20

// rawLine is a line of json:raw (docs/formats/json-raw.md).
type rawLine struct {
	Content struct {
		Raw json.RawMessage `json:"raw"`
	} `json:"content"`
	Format   string      `json:"format"`
	Kind     ledger.Kind `json:"kind"`
	Modified string      `json:"modified"`
	Original struct {
		Digest string `json:"digest"`
	} `json:"original"`
	Redaction  json.RawMessage `json:"redaction"`
	Source     string          `json:"source"`
	Stream     string          `json:"stream"`
	UpstreamID string          `json:"upstreamId"`
}

func (l *rawLine) document(directory string) Document {
	return Document{
		Directory: directory, Digest: l.Original.Digest, Format: l.Format,
		Source: l.Source, Stream: l.Stream, UpstreamID: l.UpstreamID,
	}
}

// readFile calls yield for each line of a file.
func readFile(ctx context.Context, file File, yield func(directory string, line *rawLine) error) (err error) {
	content, err := file.Open(ctx)
	if err != nil {
		return fmt.Errorf("open %s: %w", file.Path, err)
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	lines := bufio.NewReaderSize(content, 64<<10)
	var buffer []byte
	for number := 1; ; number++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if buffer, err = readLine(lines, buffer[:0]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s, line %d: %w", file.Path, number, err)
		}
		var line rawLine
		if err := json.Unmarshal(buffer, &line); err != nil {
			return fmt.Errorf("%s, line %d: %w", file.Path, number, err)
		}
		if err := line.check(); err != nil {
			return fmt.Errorf("%s, line %d: %w", file.Path, number, err)
		}
		if err := yield(path.Dir(file.Path), &line); err != nil {
			return fmt.Errorf("%s, line %d (%s): %w", file.Path, number, line.UpstreamID, err)
		}
	}
}

func (l *rawLine) check() error {
	switch {
	case len(l.Redaction) > 0:
		return export.Errorf(export.CodeValidation, "%s %s is redacted; decisions cannot be made, or made again, from evidence that lacks fields", l.Kind, l.UpstreamID)
	case l.Kind == "" || len(l.Content.Raw) == 0 || l.Original.Digest == "" || l.UpstreamID == "":
		return errors.New("not a line of json:raw")
	}
	return nil
}

// readLine appends the next line to dst, without its line feed; io.EOF after
// the last one. A last line without a line feed is an error.
func readLine(r *bufio.Reader, dst []byte) ([]byte, error) {
	for {
		part, err := r.ReadSlice('\n')
		dst = append(dst, part...)
		switch {
		case err == nil:
			return dst[:len(dst)-1], nil
		case errors.Is(err, io.EOF) && len(dst) > 0:
			return dst, errors.New("ends without a line feed")
		case !errors.Is(err, bufio.ErrBufferFull):
			return dst, err
		case len(dst) > maxLine:
			return dst, fmt.Errorf("is longer than %d bytes", maxLine)
		}
	}
}
