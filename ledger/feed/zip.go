package feed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// readZip reads a zip archive by its index, one record at a time: the standard
// library holds the whole index, which is 300 MB for a million members.
func (r Reader) readZip(ctx context.Context, f file, stream string, src fs.File) error {
	at, ok := src.(io.ReaderAt)
	if !ok {
		return r.reject(f.shown, "", "a zip archive is read from a file only")
	}
	z, err := openZip(at, f.size)
	if err != nil {
		return r.reject(f.shown, "", cause(err))
	}
	if z.records > maxEntries {
		return r.reject(f.shown, "", fmt.Sprintf("has %d entries, at most %d are read", z.records, maxEntries))
	}
	index := bufio.NewReaderSize(io.NewSectionReader(at, z.offset, z.length), 64<<10)
	whole := &meter{packed: func() int64 { return f.size }}
	last := "the beginning"
	for range z.records {
		if err := ctx.Err(); err != nil {
			return err
		}
		record, err := nextRecord(index)
		if err != nil {
			return r.reject(f.shown, "after "+last, cause(err))
		}
		last = label(record.name)
		if err := r.zipMember(ctx, f, stream, z, record, whole); err != nil {
			return err
		}
		if errors.Is(whole.err, errBomb) || errors.Is(whole.err, errExpanded) {
			return nil // and the member was rejected for it
		}
	}
	if _, err := index.ReadByte(); !errors.Is(err, io.EOF) {
		return r.reject(f.shown, "after "+last, "its index holds more than it counts")
	}
	return nil
}

func (r Reader) zipMember(ctx context.Context, f file, stream string, z zipFile, record zipRecord, whole *meter) error {
	if hidden(record.name) || record.isDir() {
		return nil
	}
	if reason := record.unwanted(); reason != "" {
		return r.reject(f.shown, label(record.name), reason)
	}
	content, err := z.open(record)
	if err != nil {
		return r.reject(f.shown, label(record.name), cause(err))
	}
	defer content.Close() //nolint:errcheck // a decompressor in memory
	whole.src, whole.err = content, nil
	return r.readMember(ctx, f, stream, archived{name: record.name, size: int64(min(record.size, 1<<62)), src: whole})
}

// Bits of zip records.
const (
	zipEncrypted = 1
	zipStore     = 0
	zipDeflate   = 8
	unixType     = 0xf000
	unixFile     = 0x8000
	unixDir      = 0x4000
	unixLink     = 0xa000
)

// isDir reports whether the record is a folder.
func (z zipRecord) isDir() bool { return strings.HasSuffix(z.name, "/") || z.mode&unixType == unixDir }

// unwanted is why a member is not read, "" for a plain file.
func (z zipRecord) unwanted() string {
	switch kind := z.mode & unixType; {
	case kind == unixLink:
		return "a link in an archive is not followed"
	case kind != 0 && kind != unixFile:
		return "a device or pipe, not a file"
	case z.flags&zipEncrypted != 0:
		return "is encrypted"
	case z.method != zipStore && z.method != zipDeflate:
		return fmt.Sprintf("is compressed by method %d; only stored and deflated members are read", z.method)
	}
	return ""
}
