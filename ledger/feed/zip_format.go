package feed

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"
)

// What is here is the layout of zip archives (APPNOTE 6.3.10, sections 4.3 and
// 4.5.3), as far as reading members by the index needs it.

var (
	errZip   = errors.New("it is not a zip archive, or is cut off")
	errIndex = errors.New("the index of the zip archive is damaged")
	errCRC   = errors.New("the content does not agree with its size and checksum")
)

// zipFile is an archive and where its index is.
type zipFile struct {
	at             io.ReaderAt
	offset, length int64
	records        uint64
}

const (
	endLength   = 22
	end64Length = 56
	locLength   = 20
)

// openZip finds the index, which the last record of the file points to.
func openZip(at io.ReaderAt, size int64) (zipFile, error) {
	z := zipFile{at: at}
	tail := make([]byte, min(size, endLength+0xffff))
	if _, err := at.ReadAt(tail, size-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return z, err
	}
	le := binary.LittleEndian
	end := len(tail) - endLength
	for end >= 0 && (!bytes.HasPrefix(tail[end:], []byte("PK\x05\x06")) || end+endLength+int(le.Uint16(tail[end+20:])) != len(tail)) {
		end--
	}
	if end < 0 {
		return z, errZip
	}
	record := tail[end:]
	z.records = uint64(le.Uint16(record[10:]))
	length, offset := uint64(le.Uint32(record[12:])), uint64(le.Uint32(record[16:]))
	last := uint64(size) - uint64(len(tail)-end)
	if loc := end - locLength; loc >= 0 && bytes.HasPrefix(tail[loc:], []byte("PK\x06\x07")) {
		where := le.Uint64(tail[loc+8:])
		wide := make([]byte, end64Length)
		if where > uint64(size)-end64Length || readAt(at, wide, where) != nil || !bytes.HasPrefix(wide, []byte("PK\x06\x06")) {
			return z, errIndex
		}
		z.records, length, offset, last = le.Uint64(wide[32:]), le.Uint64(wide[40:]), le.Uint64(wide[48:]), where
	}
	if offset > last || length > last-offset {
		return z, errIndex
	}
	z.offset, z.length = int64(offset), int64(length)
	return z, nil
}

func readAt(at io.ReaderAt, p []byte, where uint64) error {
	_, err := io.ReadFull(io.NewSectionReader(at, int64(where), int64(len(p))), p)
	return err
}

// zipRecord is what the index says of a member.
type zipRecord struct {
	name                 string
	flags, method        uint16
	mode                 uint32 // of Unix, 0 when not given
	crc                  uint32
	packed, size, offset uint64
}

func nextRecord(index io.Reader) (zipRecord, error) {
	var z zipRecord
	var fixed [46]byte
	if _, err := io.ReadFull(index, fixed[:]); err != nil || !bytes.HasPrefix(fixed[:], []byte("PK\x01\x02")) {
		return z, errIndex
	}
	le := binary.LittleEndian
	z.flags, z.method, z.crc = le.Uint16(fixed[8:]), le.Uint16(fixed[10:]), le.Uint32(fixed[16:])
	z.packed, z.size, z.offset = uint64(le.Uint32(fixed[20:])), uint64(le.Uint32(fixed[24:])), uint64(le.Uint32(fixed[42:]))
	if made := fixed[5]; made == 3 || made == 19 { // Unix, macOS
		z.mode = le.Uint32(fixed[38:]) >> 16
	}
	name, extra, comment := int(le.Uint16(fixed[28:])), int(le.Uint16(fixed[30:])), int(le.Uint16(fixed[32:]))
	rest := make([]byte, name+extra+comment)
	if _, err := io.ReadFull(index, rest); err != nil {
		return z, errIndex
	}
	z.name = string(rest[:name])
	return z, z.widen(rest[name : name+extra])
}

// widen takes sizes and offset that did not fit from the zip64 extra field.
func (z *zipRecord) widen(extra []byte) error {
	le := binary.LittleEndian
	for len(extra) >= 4 {
		id, length := le.Uint16(extra), int(le.Uint16(extra[2:]))
		if extra = extra[4:]; length > len(extra) {
			return nil // some writers pad carelessly
		}
		field := extra[:length]
		if extra = extra[length:]; id != 1 {
			continue
		}
		for _, value := range []*uint64{&z.size, &z.packed, &z.offset} {
			if *value != 0xffffffff {
				continue
			}
			if len(field) < 8 {
				return errIndex
			}
			*value, field = le.Uint64(field), field[8:]
		}
	}
	return nil
}

// open gives a member's content, which fails at its end when it does not agree
// with the index.
func (z zipFile) open(r zipRecord) (io.ReadCloser, error) {
	var local [30]byte
	limit := uint64(z.offset)
	if r.offset > limit || limit-r.offset < uint64(len(local)) || readAt(z.at, local[:], r.offset) != nil || !bytes.HasPrefix(local[:], []byte("PK\x03\x04")) {
		return nil, errIndex
	}
	le := binary.LittleEndian
	start := r.offset + uint64(len(local)) + uint64(le.Uint16(local[26:])) + uint64(le.Uint16(local[28:]))
	if start > limit || r.packed > limit-start {
		return nil, errIndex
	}
	packed := io.NewSectionReader(z.at, int64(start), int64(r.packed))
	c := &checked{src: io.NopCloser(packed), crc: crc32.NewIEEE(), want: r}
	if r.method == zipDeflate {
		c.src = flate.NewReader(packed)
	}
	return c, nil
}

// checked compares a member with its record when it ends.
type checked struct {
	src  io.ReadCloser
	crc  hash.Hash32
	read uint64
	want zipRecord
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.crc.Write(p[:n])
	c.read += uint64(n)
	if c.read > c.want.size || errors.Is(err, io.EOF) && (c.read != c.want.size || c.crc.Sum32() != c.want.crc) {
		return n, errCRC
	}
	return n, err
}

func (c *checked) Close() error { return c.src.Close() }
