package frontend_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// The matrix of docs/scopes.md is what the OpenAPI document demands, and what the
// server does: for every operation, with each scope alone, with none, with all but
// the needed ones, and with all.
func TestAuthorisationMatrix(t *testing.T) {
	operations := describedOperations(t)
	published := publishedMatrix(t)
	w := frontendtest.New(t)
	probe := &matrixProbe{t: t, w: w, client: &http.Client{Transport: frontendtest.NewContract(t)}}
	for _, d := range operations {
		words := "none"
		if alternatives := d.scopes(); len(alternatives) > 0 {
			words = wordsOf(alternatives)
		}
		require.Equal(t, published[d.ID], words, "docs/scopes.md, %s", d.ID)
		delete(published, d.ID)
		probe.operation(d)
	}
	require.Empty(t, published, "docs/scopes.md names operations that are not there")
	t.Logf("%d operations, %d requests", len(operations), probe.requests)
}

func wordsOf(alternatives [][]string) string {
	var words []string
	for _, scopes := range alternatives {
		words = append(words, "`"+strings.Join(scopes, " ")+"`")
	}
	return strings.Join(words, " or ")
}

// publishedMatrix reads the table of docs/scopes.md: operation, method, path, scopes.
func publishedMatrix(t testing.TB) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../docs/scopes.md")
	require.NoError(t, err)
	matrix := map[string]string{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) == 5 && strings.Contains(cells[2], "`") {
			matrix[strings.Trim(strings.TrimSpace(cells[1]), "`")] = strings.TrimSpace(cells[3])
		}
	}
	return matrix
}

type matrixProbe struct {
	t        *testing.T
	w        *frontendtest.World
	client   *http.Client
	requests int
}

func (p *matrixProbe) operation(d described) {
	for _, scope := range export.Scopes {
		p.expect(d, []string{scope})
		p.expect(d, slices.DeleteFunc(slices.Clone(export.Scopes), func(s string) bool { return s == scope }))
	}
	p.expect(d, nil)
	p.expect(d, export.Scopes)
	p.expect(d, []string{"*", "export:*", "EXPORT:RUN", "export:run,export:read", "tenant"})
	for _, needed := range d.scopes() {
		p.expect(d, slices.DeleteFunc(slices.Clone(export.Scopes), func(s string) bool { return slices.Contains(needed, s) }))
	}
}

// satisfied is what the matrix says, in other words than the door's.
func satisfied(alternatives [][]string, held []string) bool {
	if len(alternatives) == 0 {
		return true
	}
	for _, wanted := range alternatives {
		missing := slices.ContainsFunc(wanted, func(s string) bool { return !slices.Contains(held, s) })
		if !missing {
			return true
		}
	}
	return false
}

// expect sends the operation with these scopes, as a tenant's and as the
// installation's: to that one only the tenant scopes mean something, and to a tenant
// everything else.
func (p *matrixProbe) expect(d described, held []string) {
	p.t.Helper()
	installations := func(s string) bool { return s == "tenant:manage" || s == "tenant:offboard" }
	tenants := func(s string) bool { return !installations(s) }
	p.send(d, "acme", held, satisfied(d.scopes(), slices.DeleteFunc(slices.Clone(held), installations)))
	p.send(d, export.Installation, held, satisfied(d.scopes(), slices.DeleteFunc(slices.Clone(held), tenants)))
}

func (p *matrixProbe) send(d described, tenant string, held []string, let bool) {
	p.t.Helper()
	req := d.sample(p.w.URL, p.w.Issuer.Token(p.t, tenant, held...))
	resp, err := p.client.Do(req)
	require.NoError(p.t, err)
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	require.NoError(p.t, err)
	p.requests++
	refused := resp.StatusCode == 403 && strings.Contains(string(body), `"ERR_EXPORT_SCOPE"`)
	what := fmt.Sprintf("%s of %s with %q answered %d %.200s", d.ID, tenant, held, resp.StatusCode, body)
	require.NotEqual(p.t, 401, resp.StatusCode, what)
	require.True(p.t, resp.StatusCode < 500 || d.ID == "VerifyRun" && resp.StatusCode == 503, what) // nobody's keys are trusted here
	require.Equal(p.t, !let, refused, what)
}
