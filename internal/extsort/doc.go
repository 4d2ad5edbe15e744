// Package extsort sorts more lines than fit into memory.
package extsort
