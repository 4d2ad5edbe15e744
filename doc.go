// Package exportcenter is the top of the house; its rooms are listed, with
// their floors, in house_test.go and described in docs/architecture.md.
package exportcenter
