// Package storagetest is the definition of "a store": one suite per kind that every
// implementation (storage.Objects, storage.Profiles) passes, and a store in memory for the unit
// tests of other rooms, which passes it too.
package storagetest
