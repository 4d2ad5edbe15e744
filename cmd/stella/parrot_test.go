package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/client"
)

// parrot answers every call as the API promises, and every text in its answers is one
// of words, in turn.
type parrot struct {
	words []string
	n     int
	ended bool // a run was asked for whose end the command awaits
}

func (p *parrot) word() string {
	p.n++
	return p.words[p.n%len(p.words)]
}

// deepest is how many values within values fill goes: types may have members of their own.
const deepest = 20

// fill puts something into everything that v has.
func (p *parrot) fill(v reflect.Value) { p.fillWithin(v, deepest) }

func (p *parrot) fillWithin(v reflect.Value, left int) {
	if left == 0 {
		return
	}
	left--
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)))
		return
	case client.ProfileConfig:
		v.Set(reflect.ValueOf(client.ProfileConfig{"include": []any{p.word(), p.word()}, "policySnapshotMode": p.word()}))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(p.word())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1 << 53)
	case reflect.Float64:
		v.SetFloat(0.1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		p.fillWithin(v.Elem(), left)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		p.fillWithin(v.Index(0), left)
		p.fillWithin(v.Index(1), left)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		p.fillWithin(key, left)
		p.fillWithin(value, left)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Interface:
		v.Set(reflect.ValueOf(p.word()))
	case reflect.Struct:
		for i := range v.NumField() {
			p.fillWithin(v.Field(i), left)
		}
	}
}

// answers are what the calls of the commands are answered with.
var answers = map[string]any{
	"GET /api/export/me": client.Me{}, "GET /api/export/runs": client.RunPage{}, "GET /api/export/runs/" + aRun: client.Run{},
	"GET /api/export/runs/" + aRun + "/guard": client.GuardReport{}, "POST /api/export/runs/" + aRun + "/approve": client.Run{},
	"POST /api/export/runs/" + aRun + "/reject": client.Run{}, "GET /api/export/profiles/json:raw/latest": client.Run{},
	"POST /api/export/runs": client.Run{}, "POST /api/export/runs/" + aRun + "/cancel": client.Run{}, "GET /api/export/runs/" + aRun + "/plan": client.RunPlan{},
	"GET /api/export/runs/" + aRun + "/diff/" + aRun: client.RunDiff{},
	"POST /api/export/runs/" + aRun + "/rebuild":     client.Run{},
	"POST /api/export/runs/" + aRun + "/verify":      verify.Report{}, "GET /api/export/runs/" + aRun + "/attestation": client.AttestationList{},
	"GET /api/export/profiles": client.ProfilePage{}, "POST /api/export/profiles": client.Profile{}, "GET /api/export/profiles/nightly": client.Profile{},
	"PATCH /api/export/profiles/": client.Profile{}, "DELETE /api/export/profiles/nightly": client.Profile{},
	"GET /api/export/policy-snapshots": client.PolicySnapshotPage{}, "POST /api/export/policy-snapshots": client.PolicySnapshot{},
	"GET /api/export/policy-snapshots/" + aRun: client.PolicySnapshot{}, "DELETE /api/export/policy-snapshots/" + aRun: client.PolicySnapshot{},
	"GET /api/ledger/stats": client.LedgerStats{}, "GET /api/ledger/documents": client.DocumentPage{}, "POST /api/ledger/removals": client.RemovalResult{}, "GET /api/audit/entries": client.AuditPage{},
	"GET /api/tenants": client.TenantPage{}, "POST /api/tenants": client.TenantInfo{}, "GET /api/tenants/acme": client.TenantInfo{},
	"POST /api/tenants/acme/suspend": client.TenantInfo{}, "POST /api/tenants/acme/resume": client.TenantInfo{},
	"POST /api/tenants/acme/offboard": client.TenantInfo{}, "PUT /api/tenants/acme/quotas": client.TenantInfo{},
}

func (p *parrot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.n = 0 // the same call has the same answer
	raw, _ := io.ReadAll(r.Body)
	call := r.Method + " " + r.URL.Path
	if strings.HasPrefix(call, "PATCH /api/export/profiles/") {
		call = "PATCH /api/export/profiles/"
	}
	write := func(v any) {
		if err := json.NewEncoder(w).Encode(v); err != nil {
			panic(err)
		}
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/download"):
		digest := bundle.DigestOf([]byte("archive"))
		w.Header().Set("X-Export-Digest", digest.String())
		w.Header().Set("X-Export-Length", "7")
		fmt.Fprint(w, "archive")
		return
	case strings.HasSuffix(r.URL.Path, "/events"):
		event := reflect.New(reflect.TypeFor[client.RunEvent]())
		p.fill(event.Elem())
		e := event.Interface().(*client.RunEvent)
		e.Seq, e.RunID = 1, aRun
		text, err := json.Marshal(e)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(w, "id: 1\ndata: %s\n\n", text)
		return
	case call == "POST /api/ledger/documents":
		n := bytes.Count(raw, []byte("\n"))
		write(client.ImportLine{Rejection: &client.Rejection{Record: 1, File: p.word(), Entry: p.word(), Reason: p.word()}})
		write(client.ImportLine{Summary: &client.ImportSummary{Read: int64(n), Accepted: int64(n) - 1, Rejected: 1}})
		return
	}
	kind := answers[call]
	if kind == nil {
		http.NotFound(w, r)
		return
	}
	made := reflect.New(reflect.TypeOf(kind))
	p.fill(made.Elem())
	switch answer := made.Interface().(type) {
	case *verify.Report:
		answer.Status = verify.StatusFailed
	case *client.Profile:
		answer.Kind, answer.Variant = "json", "raw" // as the profile file says
	case *client.PolicySnapshot:
		answer.Digest = bundle.DigestOf([]byte("a pack")).String() // as was sent
	case *client.RunDiff:
		answer.NextCursor = "" // all of it is read
	case *client.Run:
		if p.ended = p.ended || strings.HasSuffix(call, "/rebuild"); p.ended {
			answer.RunID, answer.Status, answer.Rebuilt.Verdict = aRun, client.RunStatusSucceeded, client.RebuiltVerdictIdentical
		}
	case *client.AuditPage:
		answer.Next = 1 << 53
	}
	switch call {
	case "POST /api/export/runs/" + aRun + "/rebuild", "POST /api/export/runs/" + aRun + "/approve", "POST /api/export/runs/" + aRun + "/reject",
		"POST /api/export/runs", "POST /api/export/runs/" + aRun + "/cancel", "POST /api/tenants/acme/offboard":
		if !bytes.Contains(raw, []byte(`"dryRun":true`)) {
			w.WriteHeader(http.StatusAccepted)
			break
		}
		made = reflect.New(reflect.TypeFor[client.PriceTag]())
		p.n = 0
		p.fill(made.Elem())
	case "POST /api/export/profiles", "POST /api/tenants":
		w.WriteHeader(http.StatusCreated)
	}
	write(made.Interface())
}
