package frontend_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/offboarding"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

const leave = `{"tenant":"acme","reason":"contract ended"}`

// A tenant is asked to leave: only after it was suspended for a week, with nothing at
// work, by somebody who says its name twice and why; and then for good.
func TestATenantIsAskedToLeave(t *testing.T) {
	w := frontendtest.New(t)
	c := administrator(t, w)
	ask := func(body string) answer { return c.send("POST", "/api/tenants/acme/offboard", body) }
	require.Equal(t, "TENANT_NOT_FOUND", ask(leave).problem(t).Code)
	require.Equal(t, 201, c.send("POST", "/api/tenants", `{"tenant":"acme","displayName":"Acme"}`).Status)
	refused := func(want string) {
		t.Helper()
		a := ask(leave)
		require.Equal(t, 409, a.Status, a.Body)
		require.Equal(t, "ERR_EXPORT_009", a.problem(t).Code)
		require.Contains(t, a.problem(t).Message, want)
	}
	refused("suspend it first")
	require.Equal(t, 200, c.send("POST", "/api/tenants/acme/suspend", "").Status)
	suspended := w.Now()
	refused("it can be offboarded from " + suspended.Add(export.OffboardAfter).UTC().Format(time.RFC3339))
	w.SetTime(suspended.Add(export.OffboardAfter))
	c = administrator(t, w)
	w.Tenants.Working["acme"] = []string{"run-1"}
	refused("1 runs of the tenant are at work (run-1)")
	delete(w.Tenants.Working, "acme")
	for _, body := range []string{`{}`, `{"tenant":"acme"}`, `{"tenant":"acme","reason":""}`, `{"tenant":"globex","reason":"x"}`, `{"tenant":"ACME","reason":"x"}`,
		`{"tenant":"acme","reason":"\u0007"}`, `{"tenant":"acme","reason":"` + strings.Repeat("x", 1025) + `"}`, `{"tenant":"acme","reason":"x","force":true}`} {
		require.Equal(t, 400, ask(body).Status, body)
	}
	require.Equal(t, 409, c.send("GET", "/api/tenants/acme/offboarding", "").Status)

	a := ask(leave)
	require.Equal(t, 202, a.Status, a.Body)
	require.Equal(t, "offboarding contract ended tester@_", string(a.tenant(t).State)+" "+a.tenant(t).Reason+" "+a.tenant(t).ChangedBy)
	require.Equal(t, a.tenant(t), ask(leave).tenant(t), "asking twice is asking once")
	require.Equal(t, a.tenant(t), c.send("GET", "/api/tenants/acme", "").tenant(t))
	for _, change := range []string{"resume", "suspend"} {
		a := c.send("POST", "/api/tenants/acme/"+change, "")
		require.Equal(t, "409 ERR_EXPORT_009", fmt.Sprint(a.Status, " ", a.problem(t).Code))
	}
	require.Equal(t, 409, c.send("POST", "/api/tenants", `{"tenant":"acme"}`).Status)
	a = c.send("GET", "/api/tenants/acme/offboarding", "")
	require.Equal(t, "409 ERR_EXPORT_014", fmt.Sprint(a.Status, " ", a.problem(t).Code))

	w.Tenants.Remove(t, "acme", w.Now(), bundletest.Key(t, 1))
	gone := c.send("GET", "/api/tenants/acme", "").tenant(t)
	require.Equal(t, "offboarded", string(gone.State))
	require.Equal(t, w.Now().UTC(), gone.OffboardedAt)
	require.Empty(t, gone.DisplayName)
	require.Equal(t, gone, ask(leave).tenant(t))
	require.Equal(t, 409, c.send("POST", "/api/tenants/acme/resume", "").Status)
	require.Equal(t, 409, c.send("POST", "/api/tenants", `{"tenant":"acme"}`).Status)
	require.Contains(t, c.send("GET", "/api/tenants", "").Body, `"offboarded"`)
	a = c.send("PUT", "/api/tenants/acme/quotas", `{"runsPerDay":1}`)
	require.Equal(t, 409, a.Status)
	require.Contains(t, a.problem(t).Message, "that is for good")

	manager := &caller{t: t, world: w, client: w.Client(t), token: w.Issuer.Token(t, export.Installation, "tenant:manage")}
	require.Equal(t, 403, manager.send("POST", "/api/tenants/acme/offboard", leave).Status, "it is a scope of its own")
	require.Equal(t, 200, manager.send("GET", "/api/tenants/acme/offboarding", "").Status)
}

// The record is what the API gives, whatever number of runs there were.
func TestTheRecordOfARemoval(t *testing.T) {
	w := frontendtest.New(t)
	c := administrator(t, w)
	change := export.TenantChange{At: w.Now(), By: "root", Reason: "left"}
	require.NoError(t, w.Tenants.CreateTenant(t.Context(), export.Tenant{Name: "acme", State: export.TenantOffboarding, Change: &change}))
	var runs []offboarding.Run
	for i := range 1203 {
		runs = append(runs, offboarding.Run{ID: fmt.Sprintf("0192f3c4-5d6e-7f80-9a1b-%012x", i), State: export.StateSucceeded, RequestedAt: w.Now()})
	}
	key := bundletest.Key(t, 1)
	w.Tenants.Remove(t, "acme", w.Now(), key, runs...)
	a := c.send("GET", "/api/tenants/acme/offboarding", "")
	require.Equal(t, 200, a.Status)
	require.Equal(t, 1204, strings.Count(a.Body, "\n"))
	report, err := offboarding.Verify(strings.NewReader(a.Body), []signing.Verifier{bundletest.Verifier(t, key)})
	require.NoError(t, err)
	require.Equal(t, "acme root left", report.Record.Tenant+" "+report.Record.RequestedBy+" "+report.Record.Reason)
	for _, name := range []string{"nobody", "_", "ACME", strings.Repeat("a", 64)} {
		require.Equal(t, "TENANT_NOT_FOUND", c.send("GET", "/api/tenants/"+name+"/offboarding", "").problem(t).Code, name)
		require.Contains(t, []int{400, 404}, c.send("POST", "/api/tenants/"+name+"/offboard", `{"tenant":"`+name+`","reason":"x"}`).Status, name)
	}
}

// A tenant that leaves is refused in the words in which a suspended one is; its calls
// are in the installation's record, because its own goes.
func TestATenantThatLeavesIsRefusedLikeASuspendedOne(t *testing.T) {
	w := frontendtest.New(t)
	states := []export.TenantState{export.TenantSuspended, export.TenantOffboarding, export.TenantOffboarded}
	for i, state := range states {
		name := fmt.Sprint("tenant-", i)
		require.NoError(t, w.Tenants.CreateTenant(t.Context(), export.Tenant{Name: name, State: state}))
	}
	for _, op := range operations("7b3f9a52-64f1-4bfc-9b8e-8a2f1d2c3b4a") {
		var first answer
		for i := range states {
			a := newCaller(t, w, fmt.Sprint("tenant-", i)).call(op)
			require.Equal(t, 403, a.Status, op.name)
			if i == 0 {
				first = a
			}
			require.Equal(t, comparable(t, first), comparable(t, a), op.name)
		}
	}
	rows := func(chain string) (entries []audit.Entry) {
		found, _, err := w.Audit.Entries(t.Context(), chain, storage.AuditFilter{Limit: 500})
		require.NoError(t, err)
		for _, row := range found {
			e, err := audit.Decode(row.Line)
			require.NoError(t, err)
			entries = append(entries, e)
		}
		return entries
	}
	require.NotEmpty(t, rows("tenant-0"))
	require.Empty(t, rows("tenant-1"))
	require.Empty(t, rows("tenant-2"))
	of := map[string]int{}
	for _, e := range rows(export.Installation) {
		require.Equal(t, audit.CallRefused, e.Event)
		of[e.Of+" "+e.Subject+" "+e.Code]++
	}
	require.Len(t, of, 2)
	require.Equal(t, len(rows("tenant-0")), of["tenant-1 tester@tenant-1 TENANT_SUSPENDED"])
	require.Equal(t, of["tenant-1 tester@tenant-1 TENANT_SUSPENDED"], of["tenant-2 tester@tenant-2 TENANT_SUSPENDED"])
}
