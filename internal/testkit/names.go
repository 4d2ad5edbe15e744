package testkit

import (
	"fmt"
	"slices"
	"strings"
)

// Names are what somebody could call a tenant, a project, a profile or a file: ways out
// of a directory, separators of paths, keys and ids, look-alikes of other names, names
// that some system keeps for itself, and names that are only long. Some are good names.
func Names() []string {
	names := []string{
		// Good ones, and their neighbours.
		"acme", "a", "0", "a-b", "acme-1", strings.Repeat("a", 63), "con", "nul", "aux", "xn--80ak6aa92e", "staging", "sha256", "export-run", "default",
		strings.Repeat("a", 64), "-a", "a-", "-", "--", "ACME", "Acme", "aCme", "a_b", "a.b", "acme ", " acme", "acme\n", "a b", "_", "__", "", " ",
		// Ways out.
		".", "..", "...", "../b", "..\\b", "../../etc/passwd", "a/../b", "a/..", "/", "//", "/etc/passwd", "\\", "\\\\host\\share", "C:", "C:\\b", "c:b",
		"a/b", "a//b", "/a", "a/", "./a", "a/.", "~", "~root", "%2e%2e%2fb", "..%2fb", "%2f", "a%2fb", "%252e%252e%252fb", "..%c0%afb", "..%5cb", "%00", "a%00b",
		"..;/b", "....//b", "..\x00/b", "file:///etc/passwd", "http://evil.example/", "../" + strings.Repeat("../", 40) + "b",
		// What other things are made of: keys, ids, subjects, patterns, queries.
		"a:b", "a@b", "a#b", "a?b", "a&b", "a=b", "a*", "*", "a,b", "a;b", "a|b", "a>b", "a<b", "a\"b", "a'b", "a`b", "a$b", "${a}", "$(a)", "{a}", "[a]", "(a)", "a!b", "a^b", "a+b",
		"a%b", "%s", "%n", "a--", "a'--", "' or '1'='1", "a';drop table runs;--", "export-run/globex", "acme/0192f3c4-5d6e-7f80-9a1b-000000000001", "export-run/acme/x", "latest", "a:latest",
		"con.txt", "nul.", "com1:", "lpt1.tar", "a.tar", ".a", ".git", ".ssh", "a.", "a..b", "a.partial", ".stella-a.partial", "context.json", "-rf", "--help", "-o",
		// Look-alikes of acme, and other writings of a name.
		"аcme", "acmе", "αcme", "a\u0441me", "acme\u200b", "\u200bacme", "ac\u200dme", "ac\u00adme", "\ufeffacme", "acme\u2060", "acme\u3164", "acme\u115f", "ac\u034fme", "acme\ufe0f",
		"\uff41\uff43\uff4d\uff45", "\U0001d41a\U0001d41c\U0001d426\U0001d41e", "ⓐⓒⓜⓔ", "ⅽ", "ﬁle", "file", "ſ", "s", "K", "k", "İ", "i", "ı", "ß", "ss", "é", "e\u0301", "Å", "å", "A\u030a", "\u212b", "ﬃ",
		"\u0430", "ａ", "日本", "👩\u200d🚀", "\u202eemca", "\u2066a\u2069", "a\u2024b", "\uff0e\uff0e\uff0fb", "a\u2215b", "a\u2044b", "a\uff0fb", "a\u29f8b", "a\ufe68b", "\u2025/b",
		// Not text, and too much of it.
		"\xff", "a\xffb", "\xc0\xae\xc0\xae/b", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\ufffdb", "\ufffe", "\U0010ffff", "\U000e0001a",
		strings.Repeat("a", 255), strings.Repeat("a", 256), strings.Repeat("a", 1000), strings.Repeat("é", 1000), strings.Repeat("../", 333), strings.Repeat("a/", 500), strings.Repeat("\u0301", 1000), strings.Repeat("a", 100_000),
		"null", "undefined", "NaN", "true", "0x0", "1e3", "2026-11-21",
	}
	for c := range rune(0xa1) {
		if c < 0x20 || c >= 0x7f {
			names = append(names, fmt.Sprintf("ac%cme", c))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
