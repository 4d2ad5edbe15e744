package frontend

import (
	"strings"
	"testing"

	"github.com/stella-ops/exportcenter/export"
)

// A cursor that is taken is one that was given out for the same comparison.
func FuzzDiffCursor(f *testing.F) {
	bare := askedDiff{from: "a", to: "b"}
	key := "advisory\npkg:npm/p\nCVE-1\nosv\nnpm"
	for _, seed := range []string{bare.cursorOf(key), bare.cursorOf("x"), bare.cursorOf("a\nb\nc\nd\x00\ne"), bare.cursorOf(key + ".v1"),
		askedDiff{from: "b", to: "a"}.cursorOf(key), "", "djE", "djEuMC4", strings.Repeat("A", 4097), "\xff", "djEu\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := parseDiffCursor(text, bare)
		if err != nil {
			if export.CodeOf(err) != export.CodeValidation || key != "" {
				t.Fatalf("%q: %q, %v", text, key, err)
			}
			return
		}
		if strings.Count(key, "\n") != 4 || bare.cursorOf(key) != text {
			t.Fatalf("%q reads as %q", text, key)
		}
		other := askedDiff{from: "a", to: "b"}
		other.filter.Only = "added"
		if _, err := parseDiffCursor(text, other); err == nil {
			t.Fatalf("%q is taken for another comparison", text)
		}
	})
}
