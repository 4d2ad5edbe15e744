package frontend_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// TestARequestEndsWhenTheDatabaseFallsSilent: every operation that asks the
// database, each of its questions unanswered in turn, ends with 503 at the time
// that docs/torture.md states; not earlier, or something else ended it.
func TestARequestEndsWhenTheDatabaseFallsSilent(t *testing.T) {
	w := frontendtest.New(t)
	done, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	w.Runs.Plan(done.Ref())
	newCaller(t, w, "acme").nightly("nightly", `{}`)
	run := runsPath + "/" + done.ID
	const record = `{"source":"s","stream":"s","bytes":"eyJpZCI6IkVYQy0xIn0="}` + "\n"
	for name, c := range map[string]struct {
		method, path, body string
		silent             string // the question that is not answered
		within             time.Duration
	}{
		"create":              {"POST", runsPath, `{"profileId":"json:raw"}`, "CreateRun", 10 * time.Second},
		"dry run":             {"POST", runsPath, `{"profileId":"json:raw","options":{"dryRun":true}}`, "Current", 45 * time.Second},
		"dry run, head":       {"POST", runsPath, `{"profileId":"json:raw","options":{"dryRun":true}}`, "Head", 45 * time.Second},
		"create, its profile": {"POST", runsPath, `{"profileId":"nightly"}`, "GetProfile", 10 * time.Second},
		"dry run, packed":     {"POST", runsPath, `{"profileId":"json:raw","options":{"dryRun":true}}`, "PackedBefore", 45 * time.Second},
		"dry run, left out":   {"POST", runsPath, `{"profileId":"json:raw","options":{"dryRun":true}}`, "Excluded", 45 * time.Second},
		"plan":                {"GET", run + "/plan", "", "Planned", 45 * time.Second},
		"plan, left out":      {"GET", run + "/plan?excluded=true", "", "Excluded", 45 * time.Second},
		"profiles":            {"GET", profilesPath, "", "ListProfiles", 10 * time.Second},
		"profile, change":     {"PATCH", profilesPath + "/nightly", `{}`, "ChangeProfile", 10 * time.Second},
		"profile, new":        {"POST", profilesPath, `{"name":"new","kind":"json","variant":"raw"}`, "CreateProfile", 10 * time.Second},
		"list":                {"GET", runsPath, "", "ListRuns", 10 * time.Second},
		"get":                 {"GET", run, "", "GetRun", 10 * time.Second},
		"cancel, look":        {"POST", run + "/cancel", "{}", "GetRun", 10 * time.Second},
		"cancel":              {"POST", run + "/cancel", "{}", "RequestCancel", 10 * time.Second},
		"manifest":            {"GET", run + "/manifest", "", "Files", 30 * time.Second},
		"provenance":          {"GET", run + "/provenance", "", "GetRun", 30 * time.Second},
		"events, its run":     {"GET", run + "/events", "", "GetRun", 10 * time.Second},
		"events, their head":  {"GET", run + "/events", "", "Heads", 10 * time.Second},
		"download, its run":   {"GET", run + "/download", "", "GetRun", 10 * time.Second},
		"download, its files": {"GET", run + "/download", "", "Files", 30 * time.Second},
		"documents":           {"GET", "/api/ledger/documents", "", "Documents", 30 * time.Second},
		"documents, head":     {"GET", "/api/ledger/documents", "", "Head", 30 * time.Second},
		"documents as of":     {"GET", "/api/ledger/documents?asOf=2026-11-21T08:00:00Z", "", "SeqAt", 30 * time.Second},
		"stats":               {"GET", "/api/ledger/stats", "", "Stats", 30 * time.Second},
		"document":            {"GET", "/api/ledger/documents/" + bundle.DigestOf([]byte("x")).String(), "", "Original", 30 * time.Second},
		"import":              {"POST", "/api/ledger/documents", record, "Import", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			q := quiet{c.silent}
			silent := frontendtest.New(t, func(cfg *frontend.Config) {
				cfg.Runs, cfg.Ledger, cfg.Catalog = quietRuns{w.Runs, q}, quietLedger{w.Ledger, q}, quietCatalog{cfg.Catalog, q}
				cfg.Journal, cfg.Profiles = quietJournal{w.Runs, q}, quietProfiles{w.Profiles, q}
				cfg.Objects = w.Objects
			})
			token := silent.Token(t, "acme")
			synctest.Test(t, func(t *testing.T) {
				request := httptest.NewRequestWithContext(t.Context(), c.method, c.path, strings.NewReader(c.body))
				request.Header.Set("Authorization", "Bearer "+token)
				request.Header.Set("Content-Type", "application/json")
				request.Header.Set("If-Match", "*")
				if c.silent == "Import" {
					request.Header.Set("Content-Type", "application/x-ndjson")
				}
				answer, began := httptest.NewRecorder(), time.Now()
				silent.Server.ServeHTTP(answer, request)
				require.Equal(t, c.within, time.Since(began), "%d %s", answer.Code, answer.Body)
				require.Contains(t, answer.Body.String(), string(export.CodeUnavailable))
				if c.silent != "Import" { // its status went out before the first batch
					require.Equal(t, http.StatusServiceUnavailable, answer.Code)
				}
			})
		})
	}
}

// quiet does not answer one question until its asker gives up.
type quiet struct{ question string }

func (q quiet) at(ctx context.Context, question string) error {
	if question == q.question {
		<-ctx.Done()
	}
	return ctx.Err()
}

type quietRuns struct {
	storage.Runs
	quiet
}

type quietJournal struct {
	storage.Journal
	quiet
}

func (j quietJournal) Heads(ctx context.Context, tenant string, runs []string) (map[string]storage.Head, error) {
	if err := j.at(ctx, "Heads"); err != nil {
		return nil, err
	}
	return j.Journal.Heads(ctx, tenant, runs)
}

func (r quietRuns) CreateRun(ctx context.Context, run export.Run, idem storage.Idempotency) (export.Run, bool, error) {
	return run, true, r.at(ctx, "CreateRun")
}

func (r quietRuns) GetRun(ctx context.Context, ref export.Ref) (export.Run, error) {
	if err := r.at(ctx, "GetRun"); err != nil {
		return export.Run{}, err
	}
	return r.Runs.GetRun(ctx, ref)
}

func (r quietRuns) ListRuns(ctx context.Context, _ string, _ storage.RunFilter) ([]export.Run, string, error) {
	return nil, "", r.at(ctx, "ListRuns")
}

func (r quietRuns) RequestCancel(ctx context.Context, _ export.Ref, _ export.Cancellation) (export.Run, error) {
	return export.Run{}, r.at(ctx, "RequestCancel")
}

func (r quietRuns) Files(ctx context.Context, _ export.Ref) ([]storage.File, error) {
	return nil, r.at(ctx, "Files")
}

func (r quietRuns) Planned(ctx context.Context, ref export.Ref, from, limit int) (bundle.Digest, []storage.PlannedShard, error) {
	if err := r.at(ctx, "Planned"); err != nil {
		return bundle.Digest{}, nil, err
	}
	return r.Runs.Planned(ctx, ref, from, limit)
}

func (r quietRuns) PackedBefore(ctx context.Context, _ string, _ bundle.Digest, hashes []bundle.Digest) ([]bool, error) {
	return make([]bool, len(hashes)), r.at(ctx, "PackedBefore")
}

type quietProfiles struct {
	storage.Profiles
	quiet
}

func (p quietProfiles) GetProfile(ctx context.Context, tenant, ref string) (export.Profile, error) {
	if err := p.at(ctx, "GetProfile"); err != nil {
		return export.Profile{}, err
	}
	return p.Profiles.GetProfile(ctx, tenant, ref)
}

func (p quietProfiles) ListProfiles(ctx context.Context, _ string, _ storage.ProfileFilter) ([]export.Profile, string, error) {
	return nil, "", p.at(ctx, "ListProfiles")
}

func (p quietProfiles) ChangeProfile(ctx context.Context, _, _ string, _ storage.ProfileChange) (export.Profile, error) {
	return export.Profile{}, p.at(ctx, "ChangeProfile")
}

func (p quietProfiles) CreateProfile(ctx context.Context, profile export.Profile, _ storage.Idempotency) (export.Profile, bool, error) {
	return profile, true, p.at(ctx, "CreateProfile")
}

type quietLedger struct {
	frontend.Ledger
	quiet
}

func (l quietLedger) Head(ctx context.Context, _ string) (int64, error) { return 1, l.at(ctx, "Head") }

func (l quietLedger) Current(ctx context.Context, _, _ string, _ int64, _ export.Selectors, _ ledger.KeyRange, _ func(ledger.Row) error) error {
	return l.at(ctx, "Current")
}

func (l quietLedger) Import(ctx context.Context, _ string, _ []ledger.Observation) (ledger.Counts, error) {
	return ledger.Counts{}, l.at(ctx, "Import")
}

func (l quietLedger) Original(ctx context.Context, _ string, _ bundle.Digest) ([]byte, error) {
	return nil, l.at(ctx, "Original")
}

type quietCatalog struct {
	ledger.Catalog
	quiet
}

func (c quietCatalog) SeqAt(ctx context.Context, _ string, _ time.Time) (int64, error) {
	return 1, c.at(ctx, "SeqAt")
}

func (c quietCatalog) Excluded(ctx context.Context, _, _ string, _ int64, _ export.Selectors) ([]ledger.Exclusion, error) {
	return nil, c.at(ctx, "Excluded")
}

func (c quietCatalog) Stats(ctx context.Context, _, _ string, _ int64, _ int) (ledger.Stats, error) {
	return ledger.Stats{}, c.at(ctx, "Stats")
}

func (c quietCatalog) Documents(ctx context.Context, _, _ string, _ int64, _ ledger.DocumentFilter) ([]ledger.Document, int64, error) {
	return nil, 0, c.at(ctx, "Documents")
}
