// Package scratch gives attempts directories that are gone after them, also
// after a crash.
package scratch
