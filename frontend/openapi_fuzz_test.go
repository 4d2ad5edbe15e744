package frontend_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// fuzzRequests is how many requests TestOpenAPIFuzz sends.
const fuzzRequests = 5000

// TestOpenAPIFuzz sends requests made from the OpenAPI document: each member is
// as the document says, at its limits, beyond them, of another type, or
// something naughty. Nothing of it may be a failure of the server, and every
// answer is as the document says. SEED=n repeats a round.
func TestOpenAPIFuzz(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SEED"); text != "" {
		parsed, err := strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
		seed = parsed
	}
	t.Logf("SEED=%d", seed)
	w := frontendtest.New(t, func(c *frontend.Config) { c.Trust = verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))} })
	finished, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	f := &requestFuzz{Rand: rand.New(rand.NewPCG(seed, 5)), ids: []string{finished.ID, w.Run("acme", export.StatePending).ID, absentID}}
	client := &http.Client{Transport: frontendtest.NewContract(t)}
	operations := describedOperations(t)
	answers := map[int]int{}
	for i := range fuzzRequests {
		d := operations[i%len(operations)]
		req, text := f.request(d, w.URL, w.Token(t, "acme"))
		resp, err := client.Do(req)
		require.NoError(t, err, text)
		if resp.Header.Get("Content-Type") != "text/event-stream" { // that of a run that waits has no end
			_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
		}
		resp.Body.Close()
		require.NoError(t, err, text)
		answers[resp.StatusCode]++
		if resp.StatusCode >= 500 && d.ID != "Ready" {
			t.Fatalf("request %d was answered %d:\n%s", i, resp.StatusCode, text)
		}
	}
	t.Logf("%d operations, answers by status: %v", len(operations), answers)
	require.Greater(t, answers[200]+answers[202], fuzzRequests/20, "hardly anything was accepted: the requests reach no handler")
	require.Greater(t, answers[400], fuzzRequests/20, "hardly anything was refused: the requests are too tame")
	for line := range strings.Lines(w.Log.String()) {
		require.NotContains(t, line, "panic")
	}
}

// naughty are texts that have broken other programs.
var naughty = []string{
	"", " ", "\x00", "a\x00b", "\r\nX-Injected: 1", "../../etc/passwd", "..\\..\\", "'; drop table export_runs; --", "\" or 1=1 --",
	"{{7*7}}", "${jndi:ldap://127.0.0.1/a}", "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "\x1b[2J", "\u202egnp.exe", "\ufeff", "\ufffd",
	"ｓｅｌｅｃｔ", "İ", "ﬀ", "e\u0301", "👩‍👩‍👧‍👦", "%00", "%2e%2e%2f", "null", "true", "NaN", "-0", "1e400", "0x10", "1_000", "9223372036854775808",
	"2026-02-30T00:00:00Z", "0000-00-00T00:00:00Z", "CON", ".", "~", "*", "pkg:npm/%2a", "pkg:", strings.Repeat("a", 70_000), strings.Repeat("%41", 400),
}

// tortured are bodies that are hardly JSON.
var tortured = []string{
	"", "{", "}", "[]", "null", "1", `""`, "{}{}", "{} x", `{"profileId":"json:raw","profileId":"json:raw"}`, `{"PROFILEID":"json:raw"}`,
	`{"profileId":"json:raw","labels":{"a":"\ud800"}}`, "\xef\xbb\xbf{}", "{\"profileId\":\"json\xff\"}", strings.Repeat("[", 20_000),
	`{"a":` + strings.Repeat(`{"a":`, 5_000) + "1" + strings.Repeat("}", 5_001), `{"profileId":1e999}`, "{\"profileId\":\"a\nb\"}", `{'profileId':'x'}`, "{/**/}",
	`{"profileId":"json:raw",}`, `{"options":{"allowEmpty":"true"}}`, `{"__proto__":{"x":1}}`, `{"profileId":{"$ne":null}}`,
}

// requestFuzz makes requests.
type requestFuzz struct {
	*rand.Rand
	ids []string
}

// tame reports whether a member is to be as the document says.
func (f *requestFuzz) tame() bool { return f.IntN(5) > 0 }

// wild reports whether it is to be something else altogether.
func (f *requestFuzz) wild() bool { return f.IntN(25) == 0 }

func (f *requestFuzz) request(d described, base, token string) (*http.Request, string) {
	path, query, header := d.Path, url.Values{}, http.Header{}
	for _, ref := range d.params {
		p := ref.Value
		switch {
		case p.In == "path":
			path = strings.Replace(path, "{"+p.Name+"}", url.PathEscape(f.pathValue(p.Name)), 1)
		case !p.Required && f.IntN(3) > 0:
		case p.In == "query":
			query.Set(p.Name, shortened(text(f.value(p.Schema.Value, 0))))
		case p.In == "header":
			header.Set(p.Name, headerText(text(f.value(p.Schema.Value, 0))))
		}
	}
	mediaType, body := f.body(d)
	req, err := http.NewRequest(d.Method, base+path+"?"+query.Encode(), strings.NewReader(body))
	if err != nil { // an address that no client could send
		req, _ = http.NewRequest(d.Method, base+d.Path, strings.NewReader(body))
	}
	req.Header = header
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	if !f.wild() {
		req.Header.Del("X-Stella-Tenant")
		req.Header.Del("X-StellaOps-Tenant")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return req, fmt.Sprintf("%s %s\n%v\n\n%.2000q", req.Method, req.URL, header, body)
}

func (f *requestFuzz) pathValue(name string) string {
	if f.tame() {
		if sample := sampleIDs[name]; sample != "" {
			return sample
		}
		return f.ids[f.IntN(len(f.ids))]
	}
	bad := naughty[f.IntN(len(naughty))]
	if bad == "" || bad == "." || len(bad) > 2000 {
		return "x"
	}
	return bad
}

func (f *requestFuzz) body(d described) (mediaType, body string) {
	if d.op.RequestBody == nil {
		return "", ""
	}
	content := d.op.RequestBody.Value.Content
	mediaTypes := slices.Sorted(maps.Keys(content))
	mediaType = mediaTypes[f.IntN(len(mediaTypes))]
	switch f.IntN(10) {
	case 0:
		return mediaType, tortured[f.IntN(len(tortured))]
	case 1:
		return []string{"", "text/plain", "application/json; charset=utf-16", "application/xml", "a/b;c"}[f.IntN(5)], "{}"
	case 2:
		_, sample := d.sampleBody()
		return mediaType, f.spoil(sample)
	}
	schema := content[mediaType].Schema
	if schema == nil || !strings.Contains(mediaType, "json") {
		_, sample := d.sampleBody()
		return mediaType, f.spoil(sample)
	}
	raw, err := json.Marshal(f.value(schema.Value, 0))
	if err != nil {
		return mediaType, "{}"
	}
	return mediaType, string(raw)
}

// spoil changes bytes of a text.
func (f *requestFuzz) spoil(s string) string {
	raw := []byte(s)
	for range f.IntN(4) {
		if len(raw) > 0 {
			raw[f.IntN(len(raw))] = byte(f.IntN(256))
		}
	}
	return string(raw)
}

// value makes a value of a schema, mostly a right one.
func (f *requestFuzz) value(s *openapi3.Schema, depth int) any {
	if s == nil || depth > 8 {
		return nil
	}
	if f.wild() {
		return f.wrong()
	}
	for _, one := range []openapi3.SchemaRefs{s.OneOf, s.AnyOf} {
		if len(one) > 0 {
			return f.value(one[f.IntN(len(one))].Value, depth+1)
		}
	}
	if len(s.Enum) > 0 {
		return s.Enum[f.IntN(len(s.Enum))]
	}
	switch {
	case s.Type.Includes("object"):
		return f.object(s, depth)
	case s.Type.Includes("array"):
		list := []any{}
		for range f.IntN(4) {
			list = append(list, f.value(s.Items.Value, depth+1))
		}
		return list
	case s.Type.Includes("integer"), s.Type.Includes("number"):
		return f.number(s)
	case s.Type.Includes("boolean"):
		return f.IntN(2) == 0
	}
	return f.text(s)
}

func (f *requestFuzz) object(s *openapi3.Schema, depth int) map[string]any {
	object := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		member := s.Properties[name]
		if slices.Contains(s.Required, name) || f.IntN(3) == 0 {
			object[name] = f.value(member.Value, depth+1)
		}
	}
	if extra := s.AdditionalProperties.Schema; extra != nil {
		for range f.IntN(3) {
			object[f.text(&openapi3.Schema{})] = f.value(extra.Value, depth+1)
		}
	}
	if f.wild() {
		object[naughty[f.IntN(len(naughty))]] = f.wrong()
	}
	return object
}

func (f *requestFuzz) number(s *openapi3.Schema) any {
	choices := []float64{0, 1, 2, 50}
	if s.Min != nil {
		choices = append(choices, *s.Min, *s.Min-1)
	}
	if s.Max != nil {
		choices = append(choices, *s.Max, *s.Max+1)
	}
	return choices[f.IntN(len(choices))]
}

func (f *requestFuzz) text(s *openapi3.Schema) string {
	switch {
	case s.Example != nil && f.tame():
		return fmt.Sprint(s.Example)
	case !f.tame():
		return naughty[f.IntN(len(naughty))]
	case s.MaxLength != nil && f.IntN(4) == 0:
		return strings.Repeat("a", int(min(*s.MaxLength, 5000))+f.IntN(2))
	}
	plain := []string{"a", "json:raw", "npm", "advisory", "prof-json-raw", "2026-11-21T08:00:00Z", "pkg:npm/lodash", "osv", "ci"}
	return plain[f.IntN(len(plain))]
}

// wrong is a value of any type.
func (f *requestFuzz) wrong() any {
	return []any{nil, true, -1, 1e300, "x", []any{}, map[string]any{}, []any{[]any{nil}}, map[string]any{"a": 1}, naughty[f.IntN(len(naughty))]}[f.IntN(10)]
}

// text is a value as a parameter has it.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprint(v)
}

// shortened is a text that fits into the head of a request (32 KiB).
func shortened(s string) string { return s[:min(len(s), 1500)] }

// headerText leaves out what no client could send in a header.
func headerText(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	return shortened(s)
}
