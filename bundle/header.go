package bundle

import (
	"fmt"
	"strings"
)

// The one form of a tar header: POSIX USTAR, a regular file, mode 0644, owner
// and group 0 without names, and one modification time for all.
const (
	BlockSize   = 512
	nameField   = 100
	prefixField = 155
	// ModTime is 2025-01-01T00:00:00Z, the pinned time of the contract.
	ModTime = 1735689600
	// MaxFile is the greatest size eleven octal digits hold: one byte below 8 GiB.
	MaxFile = 1<<33 - 1
	// TrailerSize is the size of the two zero blocks an archive ends with.
	TrailerSize = 2 * BlockSize
)

// Header gives the 512-byte header of a file. A path beyond 100 bytes is split
// at the last slash that leaves at most 155 bytes before it; what does not fit
// so is refused: there is no second form.
func Header(path string, size int64) ([BlockSize]byte, error) {
	var h [BlockSize]byte
	if size < 0 || size > MaxFile {
		return h, fmt.Errorf("archive entry %s: %d bytes do not fit a tar header (at most 8 GiB - 1)", path, size)
	}
	if err := CheckPath(path); err != nil {
		return h, fmt.Errorf("archive entry: %w", err)
	}
	prefix, name, ok := splitPath(path)
	if !ok {
		return h, fmt.Errorf("archive entry %s: path cannot be split for a tar header (100 bytes, or 155 before a slash)", path)
	}
	copy(h[0:], name)
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	putOctal(h[124:136], size)
	putOctal(h[136:148], ModTime)
	copy(h[148:], "        ")
	h[156] = '0'
	copy(h[257:], "ustar\x0000")
	copy(h[329:], "0000000\x000000000\x00")
	copy(h[345:], prefix)
	var sum int64
	for _, b := range h {
		sum += int64(b)
	}
	putOctal(h[148:155], sum)
	return h, nil
}

// splitPath splits path for the name and prefix fields.
func splitPath(path string) (prefix, name string, ok bool) {
	if len(path) <= nameField {
		return "", path, true
	}
	slash := strings.LastIndexByte(path[:min(len(path), prefixField+1)], '/')
	if slash <= 0 || len(path)-slash-1 > nameField {
		return "", "", false
	}
	return path[:slash], path[slash+1:], true
}

// putOctal fills field with octal digits and a final NUL.
func putOctal(field []byte, n int64) {
	last := len(field) - 1
	field[last] = 0
	for i := last - 1; i >= 0; i-- {
		field[i] = byte('0' + n&7)
		n >>= 3
	}
}

// ParseHeader reads what Header writes. Any other header - another mode, time,
// owner, type, or the same in another spelling - is an error.
func ParseHeader(h [BlockSize]byte) (path string, size int64, err error) {
	path = fieldText(h[0:nameField])
	if prefix := fieldText(h[345 : 345+prefixField]); prefix != "" {
		path = prefix + "/" + path
	}
	for _, b := range h[124:135] {
		if b < '0' || b > '7' {
			return "", 0, fmt.Errorf("tar header of %.300q: size is not octal", path)
		}
		size = size<<3 | int64(b-'0')
	}
	want, err := Header(path, size)
	if err != nil {
		return "", 0, err
	}
	if h != want {
		return "", 0, fmt.Errorf("tar header of %s: %w", path, difference(h, want))
	}
	return path, size, nil
}

// headerFields are the fields of a header by their first byte (POSIX.1-2017
// pax, "ustar Interchange Format"). The checksum is the last to be looked at: it
// differs whenever another field does.
var headerFields = []struct {
	name     string
	from, to int
}{
	{"name", 0, 100}, {"mode", 100, 108}, {"uid", 108, 116}, {"gid", 116, 124}, {"size", 124, 136}, {"mtime", 136, 148},
	{"typeflag", 156, 157}, {"linkname", 157, 257}, {"magic", 257, 263}, {"version", 263, 265}, {"uname", 265, 297}, {"gname", 297, 329},
	{"devmajor", 329, 337}, {"devminor", 337, 345}, {"prefix", 345, 500}, {"padding", 500, 512}, {"chksum", 148, 156},
}

// difference names the first field in which h is not the one form.
func difference(h, want [BlockSize]byte) error {
	for _, field := range headerFields {
		for i := field.from; i < field.to; i++ {
			if h[i] != want[i] {
				return fmt.Errorf("%s: byte %d is 0x%02x, the one form has 0x%02x", field.name, i, h[i], want[i])
			}
		}
	}
	return nil
}

// fieldText gives the text of a header field, up to its first NUL.
func fieldText(field []byte) string {
	for i, b := range field {
		if b == 0 {
			return string(field[:i])
		}
	}
	return string(field)
}

// padding is the number of zero bytes after a file of size bytes.
func padding(size int64) int64 { return -size & (BlockSize - 1) }

// EntrySize is what a file of size bytes takes in an archive.
func EntrySize(size int64) int64 { return BlockSize + size + padding(size) }
