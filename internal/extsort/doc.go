// Package extsort sorts more lines than fit into memory.
//
// Lines are gathered in an arena until it is full, sorted there, and written to
// a run: a file in a directory that the caller owns. At the end the runs are
// merged, at most maxOpen of them at a time, and fewer when their longest lines
// do not fit into memory together:
//
//	while more runs are left than may be open:
//	    merge the oldest ones into one new run, as few as are too many
//	yield the merge of what is left
//
// A run is its lines, each after its length as a uvarint. Nothing else reads it.
//
// Two libraries were looked at. github.com/lanrat/extsort counts lines, not
// bytes, so long lines take any amount of memory, and hands each over through a
// channel. github.com/bsm/extsort bounds bytes, but allocates each entry and has
// had no release since April 2023. What is here allocates nothing per line.
package extsort
