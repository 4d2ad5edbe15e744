package testkit

import "testing"

func TestThereAreManyNames(t *testing.T) {
	if n := len(Names()); n < 250 {
		t.Fatalf("%d names, want at least 250", n)
	}
}
