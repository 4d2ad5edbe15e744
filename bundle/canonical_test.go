package bundle_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gowebpki/jcs"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

// vectors reads a file of published test vectors.
func vectors(t testing.TB, file string, v any) {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, v))
}

type canonicalVectors struct {
	Canonical []struct{ Name, Input, Output string }
	Refused   []struct {
		Name, Input, Problem string
		Offset               int
	}
}

func TestCanonicalVectors(t *testing.T) {
	var v canonicalVectors
	vectors(t, "canonical.json", &v)
	require.NotEmpty(t, v.Canonical)
	require.NotEmpty(t, v.Refused)
	for _, c := range v.Canonical {
		t.Run(c.Name, func(t *testing.T) {
			out, err := bundle.Canonical([]byte(c.Input))
			require.NoError(t, err)
			require.Equal(t, c.Output, string(out))
			again, err := bundle.Canonical(out)
			require.NoError(t, err)
			require.Equal(t, c.Output, string(again))
			oracle, err := jcs.Transform([]byte(c.Input))
			require.NoError(t, err)
			require.Equal(t, string(oracle), string(out), "another implementation")
		})
	}
	for _, c := range v.Refused {
		t.Run(c.Name, func(t *testing.T) {
			out, err := bundle.Canonical([]byte(c.Input))
			var at *bundle.JSONError
			require.ErrorAs(t, err, &at)
			require.Contains(t, at.Problem, c.Problem)
			require.Equal(t, c.Offset, at.Offset, at.Problem)
			require.Contains(t, err.Error(), fmt.Sprintf("byte %d", c.Offset))
			require.Empty(t, out)
		})
	}
}

// TestCanonicalNumbers: the sample of RFC 8785 appendix B.
func TestCanonicalNumbers(t *testing.T) {
	for _, c := range []struct {
		bits uint64
		want string
	}{
		{0x0000000000000000, "0"}, {0x8000000000000000, "0"},
		{0x0000000000000001, "5e-324"}, {0x8000000000000001, "-5e-324"},
		{0x7fefffffffffffff, "1.7976931348623157e+308"}, {0xffefffffffffffff, "-1.7976931348623157e+308"},
		{0x4340000000000000, "9007199254740992"}, {0xc340000000000000, "-9007199254740992"},
		{0x4430000000000000, ""},
		{0x44b52d02c7e14af5, "9.999999999999997e+22"}, {0x44b52d02c7e14af6, "1e+23"}, {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
		{0x444b1ae4d6e2ef4e, ""}, {0x444b1ae4d6e2ef4f, ""}, {0x444b1ae4d6e2ef50, "1e+21"},
		{0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"}, {0x3eb0c6f7a0b5ed8d, "0.000001"},
		{0x41b3de4355555553, "333333333.3333332"}, {0x41b3de4355555554, "333333333.33333325"}, {0x41b3de4355555555, "333333333.3333333"},
		{0x41b3de4355555556, "333333333.3333334"}, {0x41b3de4355555557, "333333333.33333343"},
		{0xbecbf647612f3696, "-0.0000033333333333333333"}, {0x43143ff3c1cb0959, "1424953923781206.2"},
	} {
		// 25 digits after the point tell every float64 apart; the exponent
		// keeps the token from being an integer.
		token := fmt.Sprintf("%.25e", math.Float64frombits(c.bits))
		out, err := bundle.Canonical([]byte(token))
		if c.want == "" { // an integer beyond 2^53, which this format refuses
			require.ErrorContains(t, err, "2^53", token)
			continue
		}
		require.NoError(t, err, token)
		require.Equal(t, c.want, string(out), token)
	}
}

func TestCanonicalRefusesBadUTF8(t *testing.T) {
	for name, text := range map[string]string{
		"lone continuation": "\x80", "overlong slash": "\xc0\xaf", "cut short": "\xe2\x82", "surrogate": "\xed\xa0\x80",
		"beyond U+10FFFF": "\xf4\x90\x80\x80", "Latin-1": "caf\xe9",
	} {
		t.Run(name, func(t *testing.T) {
			for _, document := range []string{`["` + text + `"]`, `{"` + text + `":1}`, `["long enough for eight bytes ` + text + `"]`} {
				_, err := bundle.Canonical([]byte(document))
				require.ErrorContains(t, err, "invalid UTF-8")
			}
		})
	}
}

func TestCanonicalDepth(t *testing.T) {
	nest := func(n int, open, close string) []byte {
		return []byte(strings.Repeat(open, n) + "1" + strings.Repeat(close, n))
	}
	for name, brackets := range map[string][2]string{"arrays": {"[", "]"}, "objects": {`{"a":`, "}"}, "both": {`[{"a":`, "}]"}} {
		t.Run(name, func(t *testing.T) {
			each := strings.Count(brackets[0], "[") + strings.Count(brackets[0], "{")
			deepest := nest(bundle.MaxDepth/each, brackets[0], brackets[1])
			out, err := bundle.Canonical(deepest)
			require.NoError(t, err)
			require.Equal(t, string(deepest), string(out))
			for _, n := range []int{bundle.MaxDepth/each + 1, 100_000} {
				_, err = bundle.Canonical(nest(n, brackets[0], brackets[1]))
				require.ErrorContains(t, err, "nested deeper")
			}
		})
	}
	_, err := bundle.Canonical(bytes.Repeat([]byte("["), 10_000_000))
	require.ErrorContains(t, err, "nested deeper")
}

// TestCanonicalHostileShapes: documents built to cost more than their size.
func TestCanonicalHostileShapes(t *testing.T) {
	if testing.Short() {
		t.Skip("documents of many megabytes are left out with -short")
	}
	big := strings.Repeat("x", 8<<20)
	shapes := map[string]string{
		"a long text below objects that are all out of order": strings.Repeat(`{"b":`, bundle.MaxDepth) + `"` + big + `"` + strings.Repeat(`,"a":1}`, bundle.MaxDepth),
		"numbers that grow": "[" + strings.Repeat("1e15,", 1<<20) + "1]",
		"members backwards": backwards(300_000),
	}
	for name, text := range shapes {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := bundle.Canonical([]byte(text))
			require.NoError(t, err)
			took := time.Since(began)
			t.Logf("%d bytes in %s", len(text), took)
			require.Less(t, took, 20*time.Second)
		})
	}
}

func backwards(n int) string {
	var b strings.Builder
	b.WriteString("{")
	for i := n; i > 0; i-- {
		fmt.Fprintf(&b, `"%07d":%d,`, i, i)
	}
	b.WriteString(`"":0}`)
	return b.String()
}

func TestAppendCanonicalKeepsWhatIsThere(t *testing.T) {
	out, err := bundle.AppendCanonical([]byte("before "), []byte(`{"b":{"d":1,"c":2},"a":1}`))
	require.NoError(t, err)
	require.Equal(t, `before {"a":1,"b":{"c":2,"d":1}}`, string(out))
	out, err = bundle.AppendCanonical([]byte("before "), []byte(`{"b":`))
	require.Error(t, err)
	require.Equal(t, "before ", string(out))
}

// generated draws a JSON value with text as varied as JSON allows.
func generated(depth int) *rapid.Generator[any] {
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-c]{0,3}`), rapid.SampledFrom([]string{"\u0000", "\"\\", "\U0001F600", "\uE000", "\n", strings.Repeat("long ", 2000)}))
	leaves := []*rapid.Generator[any]{
		text.AsAny(), rapid.Float64().AsAny(), rapid.IntRange(-1<<53, 1<<53).AsAny(), rapid.Bool().AsAny(), rapid.Just[any](nil),
	}
	if depth == 0 {
		return rapid.OneOf(leaves...)
	}
	inner := rapid.Deferred(func() *rapid.Generator[any] { return generated(depth - 1) })
	return rapid.OneOf(append(leaves,
		rapid.SliceOfN(inner, 0, 5).AsAny(), rapid.MapOfN(text, inner, 0, 6).AsAny())...)
}

func TestCanonicalAgreesWithAnotherImplementation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw, err := json.MarshalIndent(rapid.MapOfN(rapid.String(), generated(3), 0, 8).Draw(t, "value"), "", rapid.SampledFrom([]string{"", " ", "\t"}).Draw(t, "indent"))
		if err != nil {
			t.Skipf("encoding/json cannot write the drawn value: %v", err)
		}
		agree(t, raw)
	})
}

type failer interface{ Fatalf(string, ...any) }

// agree holds Canonical against another implementation and encoding/json.
func agree(t failer, raw []byte) {
	ours, err := bundle.Canonical(raw)
	theirs, oracleErr := jcs.Transform(raw)
	if err != nil {
		var at *bundle.JSONError
		if !errors.As(err, &at) || at.Offset < 0 || at.Offset > len(raw) {
			t.Fatalf("error without a place: %v", err)
		}
		// We may refuse more, but only for these two reasons; the oracle in
		// turn takes some texts that are not JSON.
		stricter := strings.Contains(at.Problem, "beyond 2^53") || strings.Contains(at.Problem, "nested deeper")
		if oracleErr == nil && json.Valid(raw) && !stricter {
			t.Fatalf("refused %q: %v; the oracle gives %q", raw, err, theirs)
		}
		return
	}
	if oracleErr != nil {
		t.Fatalf("accepted %q as %q; the oracle: %v", raw, ours, oracleErr)
	}
	if !bytes.Equal(ours, theirs) {
		t.Fatalf("%q\nours   %q\noracle %q", raw, ours, theirs)
	}
	if !json.Valid(raw) || !json.Valid(ours) {
		t.Fatalf("accepted %q, which is not JSON", raw)
	}
	again, err := bundle.Canonical(ours)
	if err != nil || !bytes.Equal(again, ours) {
		t.Fatalf("%q is not canonical again: %q, %v", ours, again, err)
	}
}

func FuzzCanonical(f *testing.F) {
	var v canonicalVectors
	vectors(f, "canonical.json", &v)
	for _, c := range v.Canonical {
		f.Add([]byte(c.Input))
	}
	for _, c := range v.Refused {
		f.Add([]byte(c.Input))
	}
	f.Fuzz(func(t *testing.T, raw []byte) { agree(t, raw) })
}

// TestCanonicalRealDocuments holds every real advisory against the oracle.
func TestCanonicalRealDocuments(t *testing.T) {
	documents := testkit.RealAdvisories(t)
	for _, raw := range documents {
		agree(t, raw)
	}
	// All of them in one document, so that large objects are out of order too.
	agree(t, []byte(`{"z":[`+string(bytes.Join(documents, []byte(",")))+`],"a":1}`))
	t.Logf("%d documents", len(documents))
}

func BenchmarkCanonical(b *testing.B) {
	documents := testkit.RealAdvisories(b)
	size := 0
	for _, d := range documents {
		size += len(d)
	}
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(size))
		b.ReportAllocs()
		for b.Loop() {
			for _, d := range documents {
				if _, err := bundle.Canonical(d); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("jcs", func(b *testing.B) {
		b.SetBytes(int64(size))
		b.ReportAllocs()
		for b.Loop() {
			for _, d := range documents {
				if _, err := jcs.Transform(d); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

func ExampleCanonical() {
	out, err := bundle.Canonical([]byte(`{ "b": 1.0, "a": "\u00e9" }`))
	fmt.Println(string(out), err)
	_, err = bundle.Canonical([]byte(`{"id":1,"id":2}`))
	fmt.Println(err)
	// Output:
	// {"a":"é","b":1} <nil>
	// JSON at byte 8: duplicate key "id"
}
