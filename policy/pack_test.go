package policy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

const (
	goodManifest = `{"revision":"r1","rego_version":1}`
	goodRule     = "package stellaops.policy\n\ndecision := {\"action\": \"warn\", \"reason\": input.advisory.id, \"rules\": [\"all\"]}\n"
)

// entry is an entry of a pack.
type entry struct{ name, content string }

func packOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	for _, e := range entries {
		header := tar.Header{Name: e.name, Typeflag: tar.TypeReg, Mode: 0o600, Size: int64(len(e.content))}
		if strings.HasSuffix(e.name, "/") {
			header.Typeflag, header.Size = tar.TypeDir, 0
		}
		if target, ok := strings.CutPrefix(e.content, "-> "); ok {
			header.Typeflag, header.Linkname, header.Size, e.content = tar.TypeSymlink, target, 0, ""
		}
		require.NoError(t, archive.WriteHeader(&header))
		_, err := archive.Write([]byte(e.content))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	require.NoError(t, zipped.Close())
	return out.Bytes()
}

func rulePack(t testing.TB, rule string, more ...entry) []byte {
	return packOf(t, append([]entry{{".manifest", goodManifest}, {"rules.rego", rule}}, more...)...)
}

func TestPacksAsOPABuildsThem(t *testing.T) {
	for _, pack := range [][]byte{
		rulePack(t, goodRule),
		packOf(t, entry{"/data.json", `{"a":{"b":1}}`}, entry{"/.manifest", goodManifest}, entry{"/x/y.rego", goodRule}, entry{"/x/", ""}),
		packOf(t, entry{"./.manifest", goodManifest}, entry{"./rules.rego", goodRule}, entry{"a/data.json", `{"c":2}`}, entry{"data.json", `{"a":{"b":1}}`}),
		rulePack(t, goodRule, entry{".signatures.json", "{}"}, entry{"rules_test.rego", "package stellaops.policy_test\n\ntest_a if 1 == 1\n"}),
	} {
		p, err := ReadPack(pack)
		require.NoError(t, err)
		require.Equal(t, "r1", p.Revision)
		require.Equal(t, bundle.DigestOf(pack), p.Digest)
	}
}

// baselineDigest is that of the built-in pack.
const baselineDigest = "sha256:5c1dd1f1ef08de7479775724782e1555888088a0a28b566cc7a16a41a7c4ffe4"

func TestThePackOfThisProgram(t *testing.T) {
	pack := baselinePack(t)
	require.Equal(t, pack, baselinePack(t))
	require.Equal(t, baselineDigest, bundle.DigestOf(pack).String(),
		"its bytes changed: with them what a run without a snapshot decides by; name a new revision, and this digest")
	p, err := ReadPack(pack)
	require.NoError(t, err)
	require.Equal(t, "baseline-1", p.Revision)
}

// What is refused, and what the one who wrote it is told.
func TestRefusedPacks(t *testing.T) {
	call := func(expression string) string { return goodRule + "\nx := " + expression + "\n" }
	for name, c := range map[string]struct {
		pack []byte
		want string
	}{
		"not gzip":       {[]byte("rules"), "not a .tar.gz file"},
		"cut":            {rulePack(t, goodRule)[:120], "unexpected EOF"},
		"bit":            {flip(rulePack(t, goodRule), 5), ""},
		"empty":          {packOf(t), "no .manifest"},
		"no manifest":    {packOf(t, entry{"a.rego", goodRule}), "no .manifest"},
		"no revision":    {packOf(t, entry{".manifest", `{}`}, entry{"a.rego", goodRule}), `"revision" is empty`},
		"rego v0":        {packOf(t, entry{".manifest", `{"revision":"a","rego_version":0}`}, entry{"a.rego", goodRule}), "rego_version"},
		"wasm":           {packOf(t, entry{".manifest", `{"revision":"a","wasm":[{"module":"x"}]}`}, entry{"a.rego", goodRule}), "wasm"},
		"odd member":     {packOf(t, entry{".manifest", `{"revision":"a","revison":"b"}`}, entry{"a.rego", goodRule}), "revison"},
		"twice a key":    {packOf(t, entry{".manifest", `{"revision":"a","revision":"b"}`}, entry{"a.rego", goodRule}), "manifest"},
		"no rules":       {packOf(t, entry{".manifest", goodManifest}), "no .rego file"},
		"other file":     {rulePack(t, goodRule, entry{"policy.wasm", "x"}), `"policy.wasm"`},
		"yaml data":      {rulePack(t, goodRule, entry{"data.yaml", "a: 1"}), `"data.yaml"`},
		"twice a file":   {rulePack(t, goodRule, entry{"/rules.rego", goodRule}), "there twice"},
		"outside":        {rulePack(t, goodRule, entry{"../x.rego", goodRule}), "../x.rego"},
		"inside out":     {rulePack(t, goodRule, entry{"a/../../x.rego", goodRule}), "x.rego"},
		"link":           {rulePack(t, goodRule, entry{"x.rego", "-> /etc/passwd"}), "neither a file nor a directory"},
		"data twice":     {rulePack(t, goodRule, entry{"data.json", `{"a":1}`}, entry{"a/data.json", `{}`}), `"a"`},
		"data hidden":    {rulePack(t, goodRule, entry{"data.json", `{"stellaops":{"policy":{"decision":{"action":"allow"}}}}`}), "conflict"},
		"data no object": {rulePack(t, goodRule, entry{"data.json", `[]`}), "must be an object"},
		"no decision":    {rulePack(t, "package stellaops.policy\n\nverdict := 1\n"), "no rule is data.stellaops.policy.decision"},
		"other package":  {rulePack(t, "package policy\n\ndecision := 1\n"), "no rule is"},
		"syntax":         {rulePack(t, "package stellaops.policy\n\ndecision {\n"), "rules.rego:4"},
		"v0 syntax":      {rulePack(t, "package stellaops.policy\n\ndecision = x { x := 1 }\n"), "rules.rego:3"},
		"undefined":      {rulePack(t, goodRule+"\nx := y\n"), "rules.rego:5"},
		"recursion":      {rulePack(t, goodRule+"\nx := y\ny := x\n"), "recursive"},

		"http.send":      {rulePack(t, call(`http.send({"method": "get", "url": "http://x"})`)), "rules.rego:5: http.send is not allowed"},
		"lookup":         {rulePack(t, call(`net.lookup_ip_addr("x")`)), "rules.rego:5: net.lookup_ip_addr is not"},
		"cidr":           {rulePack(t, call(`net.cidr_contains("10.0.0.0/8", "10.0.0.1")`)), "rules.rego:5: net.cidr_contains is not"},
		"now":            {rulePack(t, call(`time.now_ns()`)), "rules.rego:5: time.now_ns is not"},
		"zone":           {rulePack(t, call(`time.clock([0, "Local"])`)), "rules.rego:5: time.clock is not"},
		"rand":           {rulePack(t, call(`rand.intn("a", 5)`)), "rules.rego:5: rand.intn is not"},
		"runtime":        {rulePack(t, call(`opa.runtime()`)), "rules.rego:5: opa.runtime is not"},
		"uuid":           {rulePack(t, call(`uuid.rfc4122("a")`)), "rules.rego:5: uuid.rfc4122 is not"},
		"jwt":            {rulePack(t, call(`io.jwt.decode_verify("a", {})`)), "rules.rego:5: io.jwt.decode_verify is not"},
		"schema":         {rulePack(t, call(`json.match_schema({}, {"$ref": "http://x"})`)), "rules.rego:5: json.match_schema is not"},
		"in a body":      {rulePack(t, goodRule+"\nx if {\n\tinput.a\n\ttime.now_ns() > 5\n}\n"), "rules.rego:7: time.now_ns is not"},
		"comprehension":  {rulePack(t, call(`[y | y := rand.intn("a", 5)]`)), "rules.rego:5: rand.intn is not"},
		"every":          {rulePack(t, goodRule+"\nx if every y in input.a { time.now_ns() > y }\n"), "time.now_ns is not"},
		"replaced":       {rulePack(t, goodRule+"\nx if input.a with opa.runtime as {}\n"), "rules.rego:5: opa.runtime is not"},
		"replacement":    {rulePack(t, goodRule+"\nx if count(input.a) == 1 with count as http.send\n"), "http.send is not"},
		"in a test":      {rulePack(t, goodRule, entry{"rules_test.rego", "package p_test\n\ntest_x if time.now_ns() > 0\n"}), "rules_test.rego:3: time.now_ns is not"},
		"default":        {rulePack(t, goodRule+"\nf(x) := y if {\n\ty := opa.runtime().env[x]\n}\n"), "rules.rego:6: opa.runtime is not"},
		"template":       {rulePack(t, goodRule+"\nx := $\"{input.a}\"\n"), "rules.rego:5"},
		"too many bytes": {make([]byte, MaxPack+1), "at most"},
		"bomb":           {rulePack(t, goodRule, entry{"data.json", `{"a":"` + strings.Repeat("a", maxUnpacked) + `"}`}), "more than 16777216 bytes"},
		"many rules":     {rulePack(t, goodRule, entry{"more.rego", "package more\n#" + strings.Repeat("a", maxRego-len(goodRule))}), "rules.rego: the .rego files have more than 1048576 bytes"},
		"shift":          {rulePack(t, call(`bits.lsh(1, 300000000000)`)), "rules.rego:5: bits.lsh is not allowed"},
		"product":        {rulePack(t, call(`product([1, 2])`)), "rules.rego:5: product is not allowed"},
		"paths":          {rulePack(t, call(`graph.reachable_paths({}, {})`)), "rules.rego:5: graph.reachable_paths is not"},
		"globs":          {rulePack(t, call(`regex.globs_match("a*", "b*")`)), "rules.rego:5: regex.globs_match is not"},
		"too many files": {packOf(t, many()...), "more than 1000 entries"},
		"behind the end": {behind(t), "after the end"},
	} {
		_, err := ReadPack(c.pack)
		if assert.ErrorContains(t, err, c.want, name) {
			assert.Equal(t, export.CodePolicySnapshot, export.CodeOf(err), name)
			assert.Less(t, len(err.Error()), 1000, name)
			assert.NotContains(t, err.Error(), "\n", name)
		}
	}
}

func flip(b []byte, fromEnd int) []byte {
	b = bytes.Clone(b)
	b[len(b)-fromEnd] ^= 1
	return b
}

func many() (all []entry) {
	for n := range 1001 {
		all = append(all, entry{"d" + strings.Repeat("x", n%100) + string(rune('a'+n/100)) + "/", ""})
	}
	return all
}

func behind(t testing.TB) []byte {
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	require.NoError(t, archive.Close())
	_, err := zipped.Write([]byte("more"))
	require.NoError(t, err)
	require.NoError(t, zipped.Close())
	return out.Bytes()
}

// A decision that is not exactly one is an error that names the finding.
func TestNoDecisionIsAnError(t *testing.T) {
	head := "package stellaops.policy\n\n"
	for rule, want := range map[string]string{
		`decision := {"action": "block", "reason": "r", "rules": ["a"]} if input.nothing`: "is undefined",
		`decision := "block"`: "must be {",
		`decision := {"action": "Block", "reason": "r", "rules": ["a"]}`:                                         `action is "Block"`,
		`decision := {"action": "", "reason": "r", "rules": ["a"]}`:                                              "action is",
		`decision := {"action": "block", "reason": "", "rules": ["a"]}`:                                          "reason must",
		`decision := {"action": "block", "reason": "r", "rules": []}`:                                            "rules must",
		`decision := {"action": "block", "reason": "r"}`:                                                         "rules must",
		`decision := {"action": "block", "reason": "r", "rules": ["a"], "more": 1}`:                              "more",
		`decision := {"action": "block", "reason": 1, "rules": ["a"]}`:                                           "must be {",
		`decision := {"action": "block", "reason": sprintf("%d", [numbers.range(1, 5)]), "rules": ["", "b"]}`:    "empty",
		"decision := {\"action\": a, \"reason\": \"r\", \"rules\": [\"a\"]} if some a in [\"block\", \"allow\"]": "the pack failed",
		`decision := {"action": "block", "reason": to_number("x"), "rules": ["a"]}`:                              "the pack failed",
		`decision := {"action": "allow", "reason": "r", "rules": {"b", "a"}}`:                                    "",
	} {
		p, err := ReadPack(rulePack(t, head+rule+"\n"))
		require.NoError(t, err, rule)
		e, err := newEngine(t.Context(), p)
		require.NoError(t, err)
		d, err := e.decide(t.Context(), "F-1", []byte(`{"a":1}`))
		if want == "" {
			require.NoError(t, err)
			require.Equal(t, []string{"a", "b"}, d.Rules)
			continue
		}
		require.ErrorContains(t, err, want, rule)
		require.ErrorContains(t, err, "F-1")
	}
}

func TestAPackThatDoesNotEnd(t *testing.T) {
	p, err := ReadPack(rulePack(t, "package stellaops.policy\n\ndecision := {\"action\": \"allow\", \"reason\": \"r\", \"rules\": [\"a\"]} if {\n\tn := numbers.range(1, 100000)\n\tsome a in n\n\tsome b in n\n\ta * b < 0\n}\n"))
	require.NoError(t, err)
	e, err := newEngine(t.Context(), p)
	require.NoError(t, err)
	e.limit = 50_000_000 // 50 ms
	_, err = e.decide(t.Context(), "F-1", []byte(`{}`))
	require.ErrorContains(t, err, "took longer")
	require.Equal(t, export.CodePolicySnapshot, export.CodeOf(err))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = e.decide(ctx, "F-1", []byte(`{}`))
	require.ErrorIs(t, err, context.Canceled)
}

func FuzzReadPack(f *testing.F) {
	f.Add([]byte{})
	f.Add(rulePack(f, goodRule))
	f.Add(packOf(f, entry{".manifest", goodManifest}, entry{"a/data.json", `{"a":1}`}, entry{"x.rego", "package x"}))
	f.Add(baselinePack(f))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if p, err := ReadPack(raw); err == nil {
			require.NotEmpty(t, p.Revision)
			require.NotEmpty(t, p.modules)
		}
	})
}

// FuzzRules reads Rego and data inside a pack that is whole.
func FuzzRules(f *testing.F) {
	f.Add(goodRule, `{}`, goodManifest)
	f.Add(goodRule+"\nx := time.now_ns()\n", `{"a":{"b":[1]}}`, `{"revision":""}`)
	f.Fuzz(func(t *testing.T, rule, data, manifest string) {
		p, err := ReadPack(packOf(t, entry{".manifest", manifest}, entry{"x.rego", rule}, entry{"data.json", data}))
		if err == nil {
			require.NotEmpty(t, p.Revision)
		}
	})
}
