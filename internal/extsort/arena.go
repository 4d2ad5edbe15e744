package extsort

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
)

// arena holds copies of lines in blocks, and an index without pointers, so that
// the collector has nothing to walk through.
type arena struct {
	memory    int
	blockSize int
	blocks    [][]byte // those in use are full but for the last
	used      int      // how many blocks are in use
	bytes     int      // of blocks in use, as allocated
	index     []entry
}

// entry is where a line is. Its first eight bytes decide most comparisons.
type entry struct {
	prefix            uint64
	block, from, size uint32
}

const entrySize = 24

func newArena(memory int) arena {
	memory = max(memory, 1<<10)
	return arena{memory: memory, blockSize: min(memory/8, 1<<20)}
}

func (a *arena) empty() bool { return len(a.index) == 0 }

// fits reports whether a line of that size may be added. The first always may.
func (a *arena) fits(size int) bool {
	need := a.bytes
	if !a.roomInLast(size) {
		need += max(size, a.blockSize)
	}
	entries := cap(a.index)
	if len(a.index) == entries {
		entries = a.grown()
	}
	return a.empty() || need+entries*entrySize <= a.memory
}

func (a *arena) roomInLast(size int) bool {
	if a.used == 0 {
		return false
	}
	last := a.blocks[a.used-1]
	return cap(last)-len(last) >= size
}

// grown is the capacity of the index after it has grown: by a quarter, but not
// into what is left for lines at a stroke.
func (a *arena) grown() int { return len(a.index) + max(len(a.index)/4, 16) }

func (a *arena) add(line []byte) {
	if !a.roomInLast(len(line)) {
		a.addBlock(len(line))
	}
	if len(a.index) == cap(a.index) {
		a.index = append(make([]entry, 0, a.grown()), a.index...)
	}
	block := &a.blocks[a.used-1]
	a.index = append(a.index, entry{
		prefix: prefixOf(line),
		block:  uint32(a.used - 1), from: uint32(len(*block)), size: uint32(len(line)),
	})
	*block = append(*block, line...)
}

// addBlock takes a block of an earlier filling into use, or makes one.
func (a *arena) addBlock(size int) {
	size = max(size, a.blockSize)
	if a.used == len(a.blocks) || cap(a.blocks[a.used]) < size {
		a.blocks = slices.Insert(a.blocks, a.used, make([]byte, 0, size))
	}
	a.bytes += cap(a.blocks[a.used])
	a.used++
}

func (a *arena) at(i int) []byte {
	e := &a.index[i]
	return a.blocks[e.block][e.from : e.from+e.size]
}

func (a *arena) sort() {
	slices.SortFunc(a.index, func(x, y entry) int {
		if x.prefix != y.prefix {
			return cmp.Compare(x.prefix, y.prefix)
		}
		return bytes.Compare(a.blocks[x.block][x.from:x.from+x.size], a.blocks[y.block][y.from:y.from+y.size])
	})
}

// prefixOf is the begin of a line as a number in its order. Two lines with the
// same prefix need not be equal: a missing byte counts as zero.
func prefixOf(line []byte) uint64 {
	if len(line) >= 8 {
		return binary.BigEndian.Uint64(line)
	}
	var padded [8]byte
	copy(padded[:], line)
	return binary.BigEndian.Uint64(padded[:])
}

// reset forgets the lines and keeps the memory for the next ones, except that
// of lines longer than a block.
func (a *arena) reset() {
	a.blocks = slices.DeleteFunc(a.blocks, func(b []byte) bool { return cap(b) > a.blockSize })
	for i := range a.blocks {
		a.blocks[i] = a.blocks[i][:0]
	}
	a.used, a.bytes, a.index = 0, 0, a.index[:0]
}

// release gives the memory back.
func (a *arena) release() { a.blocks, a.index, a.used, a.bytes = nil, nil, 0, 0 }
