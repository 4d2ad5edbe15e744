package testkit

import "testing"

func TestThereAreManyNames(t *testing.T) {
	if n := len(Names()); n < 250 {
		t.Fatalf("%d names, want at least 250", n)
	}
}

func TestThereAreManyNaughtyStrings(t *testing.T) {
	seen := map[string]bool{}
	for _, text := range NaughtyStrings() {
		seen[text] = true
	}
	if len(seen) < 250 {
		t.Fatalf("%d strings, want at least 250", len(seen))
	}
}
