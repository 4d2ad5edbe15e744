// Package storagetest is the definition of "a store": one suite that every
// implementation of storage.Objects passes, and a store in memory for the unit
// tests of other rooms, which passes it too.
package storagetest
