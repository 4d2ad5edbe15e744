package frontend_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// administrator calls as whoever manages the tenants of the installation.
func administrator(t *testing.T, w *frontendtest.World) *caller {
	return &caller{t: t, world: w, client: w.Client(t), token: w.Issuer.Token(t, export.Installation, export.Scopes...)}
}

func (a answer) tenant(t testing.TB) (info frontend.TenantInfo) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(a.Body), &info), a.Body)
	return info
}

func TestTenantsAreCreatedAndListed(t *testing.T) {
	w := frontendtest.New(t)
	c := administrator(t, w)
	a := c.send("POST", "/api/tenants", `{"tenant":"acme","displayName":"Acme Corporation"}`)
	require.Equal(t, 201, a.Status, a.Body)
	require.Equal(t, "/api/tenants/acme", a.Header.Get("Location"))
	require.Equal(t, a.tenant(t), c.send("GET", "/api/tenants/acme", "").tenant(t))
	require.Equal(t, 409, c.send("POST", "/api/tenants", `{"tenant":"acme"}`).Status)
	for _, name := range []string{"globex", "initech"} {
		require.Equal(t, 201, c.send("POST", "/api/tenants", `{"tenant":"`+name+`"}`).Status)
	}
	var names []string
	path := "/api/tenants?limit=2"
	for range 2 {
		var page frontend.TenantPage
		require.NoError(t, json.Unmarshal([]byte(c.send("GET", path, "").Body), &page))
		for _, info := range page.Tenants {
			names = append(names, info.Tenant)
		}
		path = "/api/tenants?cursor=" + page.NextCursor
	}
	require.Equal(t, []string{"acme", "globex", "initech"}, names)

	for body, status := range map[string]int{
		`{}`: 400, `{"tenant":""}`: 400, `{"tenant":"_"}`: 400, `{"tenant":"../b"}`: 400, `{"tenant":"a/b"}`: 400, `{"tenant":"ACME"}`: 400,
		`{"tenant":"аcme"}`: 400, `{"tenant":"` + strings.Repeat("a", 64) + `"}`: 400, `{"tenant":"a","x":1}`: 400,
		`{"tenant":"a","displayName":"\u0000"}`: 400, `{"tenant":"a","displayName":"` + strings.Repeat("x", 257) + `"}`: 400,
	} {
		require.Equal(t, status, c.send("POST", "/api/tenants", body).Status, body)
	}
	for _, query := range []string{"limit=0", "limit=201", "limit=x", "cursor=..", "cursor=A"} {
		require.Equal(t, 400, c.send("GET", "/api/tenants?"+query, "").Status, query)
	}
}

func TestASuspendedTenantIsRefused(t *testing.T) {
	w := frontendtest.New(t)
	admin, acme, other := administrator(t, w), newCaller(t, w, "acme"), newCaller(t, w, "other")
	require.Equal(t, 201, admin.send("POST", "/api/tenants", `{"tenant":"acme"}`).Status)
	require.Equal(t, 200, acme.send("GET", "/api/export/runs", "").Status)
	a := admin.send("POST", "/api/tenants/acme/suspend", `{"reason":"unpaid"}`)
	require.Equal(t, 200, a.Status, a.Body)
	require.Equal(t, "suspended unpaid tester@_", string(a.tenant(t).State)+" "+a.tenant(t).Reason+" "+a.tenant(t).ChangedBy)
	for _, to := range endpoints(t) {
		a := acme.send(to.method, to.path, "{}")
		require.Equal(t, 403, a.Status, to.name)
		require.Equal(t, "TENANT_SUSPENDED", a.problem(t).Code)
	}
	require.Equal(t, 200, other.send("GET", "/api/export/runs", "").Status)
	require.Equal(t, "TENANT_SUSPENDED", acme.send("GET", "/api/nothing", "").problem(t).Code)

	require.Equal(t, 200, admin.send("POST", "/api/tenants/acme/resume", "").Status)
	require.Equal(t, 200, acme.send("GET", "/api/export/runs", "").Status)
	for _, path := range []string{"/api/tenants/nobody", "/api/tenants/_", "/api/tenants/%2e%2e", "/api/tenants/" + strings.Repeat("a", 200)} {
		a := admin.send("GET", path, "")
		require.Equal(t, "TENANT_NOT_FOUND", a.problem(t).Code, path)
		require.Equal(t, "TENANT_NOT_FOUND", admin.send("POST", path+"/suspend", "").problem(t).Code, path)
	}
	require.Equal(t, 400, admin.send("POST", "/api/tenants/acme/suspend", `{"reason":"\u0007"}`).Status)
}

// Another process suspends a tenant: this one knows within a second. While nobody
// knows, for ten seconds what was known counts, and then nobody comes in.
func TestAnotherProcessSuspends(t *testing.T) {
	w := frontendtest.New(t)
	acme := newCaller(t, w, "acme")
	status := func() int { return acme.send("GET", "/api/export/runs", "").Status }
	require.Equal(t, 200, status())
	require.NoError(t, w.Tenants.CreateTenant(t.Context(), export.Tenant{Name: "acme", State: export.TenantSuspended}))
	w.SetTime(w.Now().Add(time.Second))
	require.Equal(t, 403, status())
	_, err := w.Tenants.ChangeTenant(t.Context(), "acme", export.TenantActive, export.TenantChange{})
	require.NoError(t, err)
	w.SetTime(w.Now().Add(time.Second))
	require.Equal(t, 200, status())

	w.Tenants.Set(errors.New("no route to 10.1.2.3"))
	w.SetTime(w.Now().Add(9 * time.Second))
	require.Equal(t, 200, status())
	w.SetTime(w.Now().Add(time.Second))
	a := acme.send("GET", "/api/export/runs", "")
	require.Equal(t, 503, a.Status)
	require.NotContains(t, a.Body, "10.1.2.3")
	w.Tenants.Set(nil)
	require.Equal(t, 503, status(), "asked again after a second")
	w.SetTime(w.Now().Add(time.Second))
	require.Equal(t, 200, status())
}

// A store that hangs holds everybody up once, not one after the other.
func TestAListThatHangsIsWaitedForOnce(t *testing.T) {
	slow := &hangingTenants{Tenants: frontendtest.NewTenants(), entered: make(chan struct{}, 100), let: make(chan struct{})}
	w := frontendtest.New(t, func(c *frontend.Config) { c.Tenants = slow })
	acme := newCaller(t, w, "acme")
	const callers = 12
	answers := make(chan int, callers)
	for range callers {
		go func() { answers <- acme.send("GET", "/api/export/me", "").Status }()
	}
	<-slow.entered
	close(slow.let)
	for range callers {
		require.Equal(t, 503, <-answers)
	}
	require.Empty(t, slow.entered, "asked by one of them")
}

type hangingTenants struct {
	*frontendtest.Tenants
	entered, let chan struct{}
}

func (h *hangingTenants) ClosedTenants(context.Context) ([]export.Tenant, error) {
	h.entered <- struct{}{}
	<-h.let
	return nil, errors.New("no answer")
}

// Whoever manages tenants opens nothing of theirs, and a tenant manages none.
func TestAnAdministratorOpensNoTenant(t *testing.T) {
	w := frontendtest.New(t)
	admin := administrator(t, w)
	acme := &caller{t: t, world: w, client: w.Client(t), token: w.Issuer.Token(t, "acme", export.Scopes...)}
	for _, to := range endpoints(t) {
		manages := strings.Contains(to.path, "/api/tenants")
		own := to.name == "GetMe" || strings.Contains(to.path, "/api/audit") // of the installation
		for caller, allowed := range map[*caller]bool{admin: manages || own, acme: !manages} {
			a := caller.send(to.method, to.path, "{}")
			refused := a.Status == 403 && a.problem(t).Code == "ERR_EXPORT_SCOPE"
			require.Equal(t, allowed, !refused, "%s: %d %s", to.name, a.Status, a.Body)
		}
	}
}
