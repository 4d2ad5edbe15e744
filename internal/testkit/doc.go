// Package testkit holds what tests of several rooms need: foreign servers that
// start on demand and end with the test binary.
package testkit
