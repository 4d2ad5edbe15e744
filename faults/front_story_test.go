package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// step is a thing that somebody wants done. try does it once: it reports whether it
// is done, and lost says that an earlier try may have been.
type step struct {
	operation string // as the audit record names it; "" = not in it
	who       string
	try       func(ctx context.Context, c *frontCase, lost bool) (done bool)
}

const profilesPath, tenantsPath = "/api/export/profiles", "/api/tenants"

// story is what happens in every case.
func story() []step {
	return []step{
		{"CreateProfile", "own", createsAProfile},
		{"UpdateProfile", "own", changesTheProfile},
		{"ImportPolicySnapshot", "own", importsAPack},
		{"ArchivePolicySnapshot", "own", archivesThePack},
		{"RemoveDocuments", "own", removesADocument},
		{"RecordExport", "own", reportsAnExport},
		{"", "own", callsAnOldAddress},
		{"", "own", signs},
		{"", "own", callsAnOldAddress},
		{"CreateRun", "own", asksForARun},
		{"CreateTenant", "root", createsATenant},
		{"SetTenantQuotas", "root", tells("SetTenantQuotas", "PUT", "/quotas", `{"runsPerDay":7}`)},
		{"SuspendTenant", "root", tells("SuspendTenant", "POST", "/suspend", `{"reason":"unpaid"}`)},
		{"ResumeTenant", "root", tells("ResumeTenant", "POST", "/resume", `{"reason":"paid"}`)},
		{"SuspendTenant", "root", tells("SuspendTenant", "POST", "/suspend", `{"reason":"contract ended"}`)},
		{"OffboardTenant", "root", leaves},
		{"", "own", signs},
	}
}

// play goes through the story as good clients do: they ask until it is done.
func (c *frontCase) play(ctx context.Context, behind func(step int)) {
	for n, s := range story() {
		lost, done := false, false
		for try := 0; !done && try < triesAtMost && len(c.wrong) == 0; try++ {
			if done = s.try(ctx, c, lost); !done {
				lost = true
				c.mustBeUndone(ctx, n, s)
			}
		}
		if !done {
			c.violation("step %d, %s, was never done", n, s.operation)
			return
		}
		c.faulty.rest() // what is late comes before the next step: later nobody could tell its order
		behind(n)
	}
}

// expect is for answers that need no thought.
func (c *frontCase) expect(r reply, status int) bool {
	if r.status != status && !r.again() {
		c.violation("%s was answered %d: %s", r.operation, r.status, r.body)
	}
	return r.status == status
}

func createsAProfile(ctx context.Context, c *frontCase, _ bool) bool {
	r := c.send(ctx, "own", "CreateProfile", "POST", profilesPath,
		`{"name":"nightly","kind":"json","variant":"raw","config":{"include":["vex"]}}`, "Idempotency-Key", "the-profile")
	var made struct {
		ID string `json:"id"`
	}
	if !c.expect(r, 201) {
		return false
	}
	if json.Unmarshal([]byte(r.body), &made); made.ID == "" { //nolint:errcheck // then there is no id
		c.violation("CreateProfile gave no id: %s", r.body)
	}
	c.profile, c.etag = made.ID, r.etag
	return true
}

// changesTheProfile: a 412 after an answer that was lost may be of one's own
// change: then the profile says what was asked for.
func changesTheProfile(ctx context.Context, c *frontCase, lost bool) bool {
	path := profilesPath + "/" + c.profile
	r := c.send(ctx, "own", "UpdateProfile", "PATCH", path, `{"description":"every night","config":{"include":["advisories"]}}`, "If-Match", c.etag)
	if r.status != 412 || !lost {
		return c.expect(r, 200)
	}
	there := c.send(ctx, "own", "GetProfile", "GET", path, "")
	if !c.expect(there, 200) {
		return false
	}
	var p struct {
		Description string              `json:"description"`
		Revision    int                 `json:"revision"`
		Config      map[string][]string `json:"config"`
	}
	err := json.Unmarshal([]byte(there.body), &p)
	if got := fmt.Sprint(p.Description, " ", p.Revision, " ", p.Config["include"]); err != nil || got != "every night 2 [advisories]" {
		c.violation("the profile was changed by nobody else, and is %s, %v", got, err)
	}
	return true
}

const packsPath = "/api/export/policy-snapshots"

// importsAPack: with the key it may be repeated, and gives the first one.
func importsAPack(ctx context.Context, c *frontCase, lost bool) bool {
	r := c.send(ctx, "own", "ImportPolicySnapshot", "POST", packsPath+"?name=house-rules", frontendtest.Pack("1.0.0", "allow"), "Idempotency-Key", "the-pack", "Content-Type", "application/gzip")
	if r.status != 200 && !c.expect(r, 201) {
		return false
	}
	var made struct {
		ID string `json:"id"`
	}
	if json.Unmarshal([]byte(r.body), &made); made.ID == "" { //nolint:errcheck // then there is no id
		c.violation("ImportPolicySnapshot gave no id: %s", r.body)
	}
	if r.status == 200 && !lost {
		c.violation("the pack was there before anybody imported it: %s", r.body)
	}
	c.pack = made.ID
	return true
}

// archivesThePack: again it changes nothing.
func archivesThePack(ctx context.Context, c *frontCase, _ bool) bool {
	return c.expect(c.send(ctx, "own", "ArchivePolicySnapshot", "DELETE", packsPath+"/"+c.pack, ""), 200)
}

// removesADocument: whoever asks again is told that it was removed already.
func removesADocument(ctx context.Context, c *frontCase, lost bool) bool {
	r := c.send(ctx, "own", "RemoveDocuments", "POST", "/api/ledger/removals", `{"time":"2026-03-01T00:00:00Z","reason":"withdrawn",
		"documents":[{"source":"osv","stream":"npm","kind":"advisory","upstreamId":"GONE-1"}]}`)
	if !c.expect(r, 200) {
		return false
	}
	var counts struct {
		Removed   int `json:"removed"`
		Unchanged int `json:"unchanged"`
	}
	err := json.Unmarshal([]byte(r.body), &counts)
	if err != nil || counts.Removed+counts.Unchanged != 1 || counts.Unchanged == 1 && !lost {
		c.violation("the document was removed by nobody else, and the answer is %s", r.body)
	}
	return true
}

func reportsAnExport(ctx context.Context, c *frontCase, lost bool) bool {
	r := c.send(ctx, "own", "RecordExport", "POST", "/internal/orchestrator/exports",
		`{"runId":"0192f3c4-5d6e-7f80-9a1b-000000000001","artifactHash":"sha256:486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7",
		"startedAt":"2026-11-21T08:00:00Z","status":"pending"}`, "X-Stella-Tenant", c.own())
	if r.status == 409 && lost && strings.Contains(r.body, `"kind":"duplicate"`) {
		return true
	}
	return c.expect(r, 201)
}

func callsAnOldAddress(ctx context.Context, c *frontCase, _ bool) bool {
	return c.expect(c.send(ctx, "own", "ListProfilesV1", "GET", "/v1/exports/profiles", ""), 200)
}

func asksForARun(ctx context.Context, c *frontCase, _ bool) bool {
	return c.expect(c.send(ctx, "own", "CreateRun", "POST", "/api/export/runs", `{"profileId":"`+c.profile+`"}`, "Idempotency-Key", "the-run"), 202)
}

// createsATenant: a name that is taken after an answer that was lost may be one's own.
func createsATenant(ctx context.Context, c *frontCase, lost bool) bool {
	r := c.send(ctx, "root", "CreateTenant", "POST", tenantsPath, `{"tenant":"`+c.new()+`","displayName":"New"}`)
	if r.status != 409 || !lost {
		return c.expect(r, 201)
	}
	there := c.send(ctx, "root", "GetTenant", "GET", tenantsPath+"/"+c.new(), "")
	if there.status == 200 && !strings.Contains(there.body, `"createdBy":"root@`+c.name+`"`) {
		c.violation("somebody else created the tenant: %s", there.body)
	}
	return c.expect(there, 200)
}

// tells is a change of the other tenant: it may be repeated.
func tells(operation, method, path, body string) func(context.Context, *frontCase, bool) bool {
	return func(ctx context.Context, c *frontCase, _ bool) bool {
		return c.expect(c.send(ctx, "root", operation, method, tenantsPath+"/"+c.far()+path, body), 200)
	}
}

func leaves(ctx context.Context, c *frontCase, _ bool) bool {
	return c.expect(c.send(ctx, "root", "OffboardTenant", "POST", tenantsPath+"/"+c.far()+"/offboard",
		`{"tenant":"`+c.far()+`","reason":"contract ended"}`), 202)
}

// signs is a look of the notary. One that hangs is overtaken by another's.
func signs(ctx context.Context, c *frontCase, _ bool) bool {
	p := c.now()
	notary := p.notary
	notary.Chains = chainOf{notary.Chains, c.own()}
	p.opened(+1)
	err := p.while(ctx, c.patience(), func(context.Context) error {
		defer p.opened(-1)
		return notary.SignAll(context.Background()) // a worker's looks have no bound but their own
	})
	if err == errGone && !p.dead() && c.patience() == statedPatience { //nolint:errorlint // exactly that
		c.violation("the notary takes longer than %s", statedPatience)
	}
	return err == nil
}
