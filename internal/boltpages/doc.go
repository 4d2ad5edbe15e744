// Package boltpages writes a bbolt database from content that comes sorted, in
// one pass, with one page per level in memory. The bytes depend on the content
// alone. The bbolt library cannot promise that: it spills nested buckets in the
// order of a Go map, and what it freed on the way stays in the file.
//
// What is written is the format of go.etcd.io/bbolt v1.4, version 2 of it:
//
//	page 0, 1   meta: magic, version, page size, root bucket, freelist,
//	            high-water mark, transaction, FNV-1a of the 56 bytes before
//	page 2      the freelist, empty
//	page 3...   leaves and branches, in the order in which they fill up;
//	            the root bucket's own root comes last
//
// A page has a header of 16 bytes (id, flags, count, overflow), then an element
// for each item, then keys and values back to back. What does not fit a page
// runs on in overflow pages. A bucket is an item whose value is 16 bytes: its
// root page and a sequence; one without buckets inside whose only leaf takes at
// most a quarter of a page is inline: root page 0, and the leaf behind it.
//
// Numbers are little-endian: the library maps the file as it lies, so this is
// the form for machines of that order, which all of Trivy's common ones are.
package boltpages
