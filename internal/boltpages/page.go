package boltpages

import "encoding/binary"

// Sizes in bytes. The page size is in the meta pages, so a file means the same
// on machines with other pages of memory.
const (
	pageSize    = 4096
	pageHeader  = 16
	elementSize = 16 // of branches and of leaves
	maxInline   = pageSize / 4
)

// Flags of pages, and of the leaf elements that are buckets.
const (
	branchPage   = 0x01
	leafPage     = 0x02
	metaPage     = 0x04
	freelistPage = 0x10
	bucketFlag   = 0x01
)

// node is a page that is being filled.
type node struct {
	flags uint16
	items []item
	data  []byte // keys and values, back to back
}

// item is what the page says of a key. A branch has the page of a child, a
// leaf the flags and the size of a value.
type item struct {
	child uint64
	flags uint32
	key   int
	value int
}

// used is the number of bytes of the page so far.
func (n *node) used() int { return pageHeader + elementSize*len(n.items) + len(n.data) }

// fits reports whether another item goes into the pages that n takes anyway.
func (n *node) fits(key, value int) bool {
	taken := (n.used() + pageSize - 1) / pageSize * pageSize
	return len(n.items) == 0 || n.used()+elementSize+key+value <= taken
}

func (n *node) add(it item, key, value []byte) {
	it.key, it.value = len(key), len(value)
	n.items = append(n.items, it)
	n.data = append(append(n.data, key...), value...)
}

// firstKey is what a branch above knows n by.
func (n *node) firstKey() []byte { return n.data[:n.items[0].key] }

// takeLast takes the last item out of n, with its key.
func (n *node) takeLast() (item, []byte) {
	last := n.items[len(n.items)-1]
	at := len(n.data) - last.key - last.value
	key := append([]byte(nil), n.data[at:at+last.key]...)
	n.items, n.data = n.items[:len(n.items)-1], n.data[:at]
	return last, key
}

// reset empties n. What an unusually large value left behind is given back.
func (n *node) reset() {
	n.items, n.data = n.items[:0], n.data[:0]
	if cap(n.data) > 16*pageSize {
		n.data = nil
	}
}

// appendTo appends the page under an id, without what fills it up.
func (n *node) appendTo(to []byte, id uint64, overflow uint32) []byte {
	to = binary.LittleEndian.AppendUint64(to, id)
	to = binary.LittleEndian.AppendUint16(to, n.flags)
	to = binary.LittleEndian.AppendUint16(to, uint16(len(n.items)))
	to = binary.LittleEndian.AppendUint32(to, overflow)
	position := elementSize * len(n.items) // of the data, as seen from the element
	for _, it := range n.items {
		if n.flags == leafPage {
			to = binary.LittleEndian.AppendUint32(to, it.flags)
			to = binary.LittleEndian.AppendUint32(to, uint32(position))
			to = binary.LittleEndian.AppendUint32(to, uint32(it.key))
			to = binary.LittleEndian.AppendUint32(to, uint32(it.value))
		} else {
			to = binary.LittleEndian.AppendUint32(to, uint32(position))
			to = binary.LittleEndian.AppendUint32(to, uint32(it.key))
			to = binary.LittleEndian.AppendUint64(to, it.child)
		}
		position += it.key + it.value - elementSize
	}
	return append(to, n.data...)
}

// appendMeta appends a meta page of a database whose pages are all below end.
func appendMeta(to []byte, id, root, end uint64) []byte {
	begin := len(to) + pageHeader
	to = (&node{flags: metaPage}).appendTo(to, id, 0)
	to = binary.LittleEndian.AppendUint32(to, 0xED0CDAED) // magic
	to = binary.LittleEndian.AppendUint32(to, 2)          // version
	to = binary.LittleEndian.AppendUint32(to, pageSize)
	to = binary.LittleEndian.AppendUint32(to, 0) // flags
	to = binary.LittleEndian.AppendUint64(to, root)
	to = binary.LittleEndian.AppendUint64(to, 0) // sequence
	to = binary.LittleEndian.AppendUint64(to, freelistAt)
	to = binary.LittleEndian.AppendUint64(to, end)
	to = binary.LittleEndian.AppendUint64(to, id) // transaction: its parity is the page
	to = binary.LittleEndian.AppendUint64(to, sum64(to[begin:]))
	return fill(to)
}

// sum64 is FNV-1a with 64 bits.
func sum64(text []byte) uint64 {
	sum := uint64(14695981039346656037)
	for _, b := range text {
		sum = (sum ^ uint64(b)) * 1099511628211
	}
	return sum
}

// fill appends zeros up to the end of a page.
func fill(to []byte) []byte {
	if rest := len(to) % pageSize; rest > 0 {
		to = append(to, zeros[rest:]...)
	}
	return to
}

var zeros [pageSize]byte
