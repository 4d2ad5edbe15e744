// Package frontendtest is a whole API in one process for tests: the real
// frontend over stores in memory, with an issuer of its own. It is imported by
// tests only.
package frontendtest
