package bundle

import (
	"errors"
	"fmt"
	"io"
	"sort"
)

// Member is an entry of an archive: a path and the blob behind it. When Entries is
// set it is many entries that follow each other, and the blob has them as they stand in
// the archive, headers and padding included (EntryWriter); Path is the first one's.
type Member struct {
	Path    string
	Size    int64
	Digest  Digest
	Entries bool
}

// span is what the member takes in an archive.
func (m Member) span() int64 {
	if m.Entries {
		return m.Size
	}
	return EntrySize(m.Size)
}

// header is what stands before the member's blob; nothing before one of entries.
func (m Member) header() ([]byte, error) {
	if m.Entries {
		return nil, m.checkEntries()
	}
	header, err := Header(m.Path, m.Size)
	return header[:], err
}

// padding is what stands behind the member's blob.
func (m Member) padding() int64 { return m.span() - m.Size - int64(m.lead()) }

// lead is the length of header.
func (m Member) lead() int {
	if m.Entries {
		return 0
	}
	return BlockSize
}

func (m Member) checkEntries() error {
	if err := CheckPath(m.Path); err != nil {
		return fmt.Errorf("archive entries: %w", err)
	}
	if m.Size < BlockSize || m.Size%BlockSize != 0 {
		return fmt.Errorf("archive entries from %s: %d bytes are not whole blocks", m.Path, m.Size)
	}
	return nil
}

// Source is an open blob.
type Source interface {
	io.ReaderAt
	io.Closer
}

// ErrShortBlob is wrapped when a blob ends before its size. The view breaks
// off there: an archive is never padded with bytes nobody stored.
var ErrShortBlob = errors.New("blob is shorter than its size")

// Table is the outline of an archive: its members and where each begins. It does
// not change, so many views may share one; it holds about 150 bytes per member.
type Table struct {
	members []Member
	starts  []int64 // where each member's header begins
	body    int64   // end of the last member
}

// NewTable lays out the archive of members, which must be in archive order and
// are the table's from now on.
func NewTable(members []Member) (*Table, error) {
	t := &Table{members: members, starts: make([]int64, len(members))}
	for i, m := range members {
		if _, err := m.header(); err != nil {
			return nil, err
		}
		if i > 0 && !PathBefore(members[i-1].Path, m.Path) {
			return nil, fmt.Errorf("archive entry %s does not come after %s", m.Path, members[i-1].Path)
		}
		t.starts[i] = t.body
		t.body += m.span()
	}
	return t, nil
}

// Len is the number of members.
func (t *Table) Len() int { return len(t.members) }

// Size is the length of the archive.
func (t *Table) Size() int64 { return t.body + TrailerSize }

// View makes an archive of the table's members that takes its blobs from open. It
// opens nothing yet.
func (t *Table) View(open func(Member) (Source, error)) *View {
	return &View{table: t, open: open, size: t.Size(), current: -1}
}

// View is an archive that exists nowhere: computed from its members, readable
// from any byte, it holds no blob in memory and opens one only while it reads
// from it. Read and Seek are for one reader; ReadAt may be called by many at
// once.
type View struct {
	table *Table
	open  func(Member) (Source, error)
	size  int64 // with the trailer, if there is one

	at      int64 // of Read
	current int   // member whose blob is open for Read, -1 if none
	source  Source
}

// NewView makes the archive of members, which must be in archive order. It
// opens nothing yet.
func NewView(members []Member, open func(Member) (Source, error)) (*View, error) {
	t, err := NewTable(members)
	if err != nil {
		return nil, err
	}
	return t.View(open), nil
}

// NewPrefixView is the archive of members without the two blocks that end it:
// of all members but the seal, it is what the seal's digest is over.
func NewPrefixView(members []Member, open func(Member) (Source, error)) (*View, error) {
	v, err := NewView(members, open)
	if err != nil {
		return nil, err
	}
	v.size = v.table.body
	return v, nil
}

// Size is the length of the archive.
func (v *View) Size() int64 { return v.size }

// ReadAt implements io.ReaderAt; it opens the blobs it needs and closes them.
func (v *View) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read archive at %d: negative offset", off)
	}
	n := 0
	for n < len(p) {
		read, err := v.readPiece(p[n:], off+int64(n), v.openOnce)
		n += read
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// openOnce opens a member's blob for one read.
func (v *View) openOnce(i int) (Source, func(), error) {
	source, err := v.open(v.table.members[i])
	if err != nil {
		return nil, nil, err
	}
	return source, func() { source.Close() }, nil
}

// openKept opens a member's blob and keeps it for the next Read.
func (v *View) openKept(i int) (Source, func(), error) {
	if v.current != i {
		v.drop()
		source, err := v.open(v.table.members[i])
		if err != nil {
			return nil, nil, err
		}
		v.current, v.source = i, source
	}
	return v.source, func() {}, nil
}

func (v *View) drop() {
	if v.source != nil {
		v.source.Close()
	}
	v.current, v.source = -1, nil
}

// Read implements io.Reader.
func (v *View) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := v.readPiece(p, v.at, v.openKept)
	v.at += int64(n)
	return n, err
}

// Seek implements io.Seeker. Any byte of the archive costs the same.
func (v *View) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += v.at
	case io.SeekEnd:
		offset += v.size
	}
	if offset < 0 || whence < io.SeekStart || whence > io.SeekEnd {
		return 0, fmt.Errorf("seek archive to %d: no such place", offset)
	}
	v.at = offset
	return offset, nil
}

// Close closes the blob that is open for Read.
func (v *View) Close() error {
	v.drop()
	return nil
}

// readPiece reads from one piece of the archive: a header, a blob, padding, or
// the trailer.
func (v *View) readPiece(p []byte, off int64, open func(int) (Source, func(), error)) (int, error) {
	if off >= v.size {
		return 0, io.EOF
	}
	if off >= v.table.body {
		return zero(p, v.size-off), nil
	}
	i := sort.Search(len(v.table.starts), func(i int) bool { return v.table.starts[i] > off }) - 1
	m, at := v.table.members[i], off-v.table.starts[i]
	if at < int64(m.lead()) {
		header, err := m.header()
		if err != nil {
			return 0, err
		}
		return copy(p, header[at:]), nil
	}
	if at -= int64(m.lead()); at >= m.Size {
		return zero(p, m.Size+m.padding()-at), nil
	}
	source, done, err := open(i)
	if err != nil {
		return 0, fmt.Errorf("archive entry %s: %w", m.Path, err)
	}
	defer done()
	return readBlob(source, m, p[:min(int64(len(p)), m.Size-at)], at)
}

func zero(p []byte, n int64) int {
	p = p[:min(int64(len(p)), n)]
	clear(p)
	return len(p)
}

func readBlob(source Source, m Member, p []byte, at int64) (int, error) {
	n, err := source.ReadAt(p, at)
	if n == len(p) {
		return n, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %d of %d bytes", ErrShortBlob, at+int64(n), m.Size)
	}
	return n, fmt.Errorf("archive entry %s: %w", m.Path, err)
}
