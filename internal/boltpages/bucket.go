package boltpages

// bucket is a bucket that is being written: a page per level, the leaf first.
type bucket struct {
	name    []byte
	last    []byte // the key before
	some    bool   // there was one
	nested  bool   // it has buckets inside
	levels  []node
	written bool // some of its pages are
}

// leaf is the page that items go to.
func (b *bucket) leaf() *node {
	if len(b.levels) == 0 {
		b.levels = append(b.levels, node{flags: leafPage})
	}
	return &b.levels[0]
}

// inline reports whether b goes into the page of the bucket around it.
func (b *bucket) inline() bool {
	return !b.nested && !b.written && b.leaf().used() <= maxInline
}

// reset makes b a bucket as new, with the room it has.
func (b *bucket) reset() {
	for i := range b.levels {
		b.levels[i].reset()
	}
	if len(b.levels) > 1 {
		b.levels = b.levels[:1]
	}
	b.last, b.some, b.nested, b.written = b.last[:0], false, false, false
}
