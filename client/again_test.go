package client_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
)

// busy answers 503 to the first requests, with what header says, and 404 to all after.
func busy(t *testing.T, refuse int64, header func(http.Header)) (c *client.Client, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) //nolint:errcheck // a stand
		status := http.StatusNotFound
		if asked.Add(1) <= refuse {
			status = http.StatusServiceUnavailable
			header(w.Header())
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"code":"ERR_EXPORT_TEST","message":"busy","status":%d}`, status)
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, "token")
	require.NoError(t, err)
	return c, asked
}

const someRun = "0192f3c4-5d6e-7f80-9a1b-000000000001"

// repeatable are all calls, and whether they are made again while the server is busy:
// those that change nothing, that may be made twice, or that have a key which makes
// them one call.
func repeatable() map[string]struct {
	again bool
	call  func(context.Context, *client.Client) error
} {
	type c = *client.Client
	type row = struct {
		again bool
		call  func(context.Context, *client.Client) error
	}
	err := func(_ any, err error) error { return err }
	last := func(all func(func(string, error) bool)) (last error) {
		all(func(_ string, err error) bool { last = err; return true })
		return last
	}
	return map[string]row{
		"CreateRun":         {false, func(ctx context.Context, c c) error { return err(c.CreateRun(ctx, client.RunRequest{}, "")) }},
		"CreateRun key":     {true, func(ctx context.Context, c c) error { return err(c.CreateRun(ctx, client.RunRequest{}, "key")) }},
		"CreateProfile":     {false, func(ctx context.Context, c c) error { return err(c.CreateProfile(ctx, client.ProfileRequest{}, "")) }},
		"CreateProfile key": {true, func(ctx context.Context, c c) error { return err(c.CreateProfile(ctx, client.ProfileRequest{}, "key")) }},
		"UpdateProfile": {false, func(ctx context.Context, c c) error {
			return err(c.UpdateProfile(ctx, "p", "*", client.ProfilePatch{}))
		}},
		"CreateTenant":    {false, func(ctx context.Context, c c) error { return err(c.CreateTenant(ctx, client.TenantRequest{})) }},
		"ArchiveProfile":  {true, func(ctx context.Context, c c) error { return err(c.ArchiveProfile(ctx, "p", "")) }},
		"SetTenantQuotas": {true, func(ctx context.Context, c c) error { return err(c.SetTenantQuotas(ctx, "t", client.TenantQuotas{})) }},
		"SuspendTenant":   {true, func(ctx context.Context, c c) error { return err(c.SuspendTenant(ctx, "t", "")) }},
		"ResumeTenant":    {true, func(ctx context.Context, c c) error { return err(c.ResumeTenant(ctx, "t", "")) }},
		"OffboardTenant": {true, func(ctx context.Context, c c) error {
			return err(c.OffboardTenant(ctx, "t", client.TenantOffboardRequest{}))
		}},
		"OffboardingRecord": {false, func(ctx context.Context, c c) error { return c.OffboardingRecord(ctx, "t", io.Discard) }}, // as ExportAudit
		"CancelRun":         {true, func(ctx context.Context, c c) error { return err(c.CancelRun(ctx, someRun, "")) }},
		"ApproveRun":        {true, func(ctx context.Context, c c) error { return err(c.ApproveRun(ctx, someRun, "so")) }},
		"RejectRun":         {true, func(ctx context.Context, c c) error { return err(c.RejectRun(ctx, someRun, "so")) }},
		"RebuildRun":        {false, func(ctx context.Context, c c) error { return err(c.RebuildRun(ctx, someRun, "")) }},
		"RebuildRun key":    {true, func(ctx context.Context, c c) error { return err(c.RebuildRun(ctx, someRun, "key")) }},
		"GuardReport":       {true, func(ctx context.Context, c c) error { return err(c.GuardReport(ctx, someRun)) }},
		"LatestRun":         {true, func(ctx context.Context, c c) error { return err(c.LatestRun(ctx, "p")) }},
		"PriceRun":          {true, func(ctx context.Context, c c) error { return err(c.PriceRun(ctx, client.RunRequest{})) }},
		"GetRun":            {true, func(ctx context.Context, c c) error { return err(c.GetRun(ctx, someRun)) }},
		"WaitRun":           {true, func(ctx context.Context, c c) error { return err(c.WaitRun(ctx, someRun, nil)) }},
		"ListRuns":          {true, func(ctx context.Context, c c) error { return err(c.ListRuns(ctx, client.ListRunsParams{})) }},
		"RunPlan":           {true, func(ctx context.Context, c c) error { return err(c.RunPlan(ctx, someRun, client.GetRunPlanParams{})) }},
		"DiffRuns": {true, func(ctx context.Context, c c) error {
			return err(c.DiffRuns(ctx, someRun, someRun, client.GetRunDiffParams{}))
		}},
		"AllChanges": {true, func(ctx context.Context, c c) error {
			return failure(c.AllChanges(ctx, someRun, someRun, client.GetRunDiffParams{}))
		}},
		"Download":     {true, func(ctx context.Context, c c) error { return err(c.Download(ctx, someRun, io.Discard)) }},
		"Resume":       {true, func(ctx context.Context, c c) error { return err(c.Resume(ctx, someRun, nil, io.Discard)) }},
		"Manifest":     {true, func(ctx context.Context, c c) error { return err(c.Manifest(ctx, someRun)) }},
		"Provenance":   {true, func(ctx context.Context, c c) error { return err(c.Provenance(ctx, someRun)) }},
		"Original":     {true, func(ctx context.Context, c c) error { return err(c.Original(ctx, "sha256:"+strings.Repeat("0", 64))) }},
		"VerifyRun":    {true, func(ctx context.Context, c c) error { return err(c.VerifyRun(ctx, someRun, false)) }},
		"Attestations": {true, func(ctx context.Context, c c) error { return err(c.Attestations(ctx, someRun)) }},
		"RemoveDocuments": {true, func(ctx context.Context, c c) error {
			return err(c.RemoveDocuments(ctx, client.RemovalRequest{}))
		}},
		"Me":            {true, func(ctx context.Context, c c) error { return err(c.Me(ctx)) }},
		"LedgerStats":   {true, func(ctx context.Context, c c) error { return err(c.LedgerStats(ctx, client.LedgerStatsParams{})) }},
		"ListDocuments": {true, func(ctx context.Context, c c) error { return err(c.ListDocuments(ctx, client.ListDocumentsParams{})) }},
		"ListAudit":     {true, func(ctx context.Context, c c) error { return err(c.ListAudit(ctx, client.ListAuditEntriesParams{})) }},
		"ExportAudit":   {false, func(ctx context.Context, c c) error { return c.ExportAudit(ctx, 1, io.Discard) }}, // what was written cannot be taken back
		"ListTenants":   {true, func(ctx context.Context, c c) error { return err(c.ListTenants(ctx, client.ListTenantsParams{})) }},
		"GetTenant":     {true, func(ctx context.Context, c c) error { return err(c.GetTenant(ctx, "t")) }},
		"ListProfiles":  {true, func(ctx context.Context, c c) error { return err(c.ListProfiles(ctx, client.ListProfilesParams{})) }},
		"GetProfile":    {true, func(ctx context.Context, c c) error { return err(c.GetProfile(ctx, "p")) }},
		"ListProfileRevisions": {true, func(ctx context.Context, c c) error {
			return err(c.ListProfileRevisions(ctx, "p", client.ListProfileRevisionsParams{}))
		}},
		"ListPolicySnapshots": {true, func(ctx context.Context, c c) error {
			return err(c.ListPolicySnapshots(ctx, client.ListPolicySnapshotsParams{}))
		}},
		"AllPolicySnapshots": {true, func(ctx context.Context, c c) error {
			return failure(c.AllPolicySnapshots(ctx, client.ListPolicySnapshotsParams{}))
		}},
		"GetPolicySnapshot":     {true, func(ctx context.Context, c c) error { return err(c.GetPolicySnapshot(ctx, "p")) }},
		"PolicyPack":            {true, func(ctx context.Context, c c) error { return err(c.PolicyPack(ctx, "p")) }},
		"ArchivePolicySnapshot": {true, func(ctx context.Context, c c) error { return err(c.ArchivePolicySnapshot(ctx, "p")) }},
		"ImportPolicySnapshot": {true, func(ctx context.Context, c c) error {
			return err(c.ImportPolicySnapshot(ctx, "blocking", "", []byte("pack")))
		}},
		"Events": {true, func(ctx context.Context, c c) error {
			return last(func(yield func(string, error) bool) {
				for _, err := range c.Events(ctx, someRun, client.EventOptions{}) {
					yield("", err)
				}
			})
		}},
		"ImportDocuments": {true, func(ctx context.Context, c c) error {
			return err(c.ImportDocuments(ctx, documents(1), client.Import{}))
		}},
		"ImportNDJSON": {true, func(ctx context.Context, c c) error {
			return err(c.ImportNDJSON(ctx, strings.NewReader("{}"), client.ImportRecord{}, client.Import{}))
		}},
		"AllRuns":     {true, func(ctx context.Context, c c) error { return failure(c.AllRuns(ctx, client.ListRunsParams{})) }},
		"AllProfiles": {true, func(ctx context.Context, c c) error { return failure(c.AllProfiles(ctx, client.ListProfilesParams{})) }},
		"AllDocuments": {true, func(ctx context.Context, c c) error {
			return failure(c.AllDocuments(ctx, client.ListDocumentsParams{}))
		}},
		"AllTenants": {true, func(ctx context.Context, c c) error { return failure(c.AllTenants(ctx, client.ListTenantsParams{})) }},
		"AllAudit":   {true, func(ctx context.Context, c c) error { return failure(c.AllAudit(ctx, client.ListAuditEntriesParams{})) }},
	}
}

func failure[T any](all func(func(T, error) bool)) (last error) {
	all(func(_ T, err error) bool { last = err; return true })
	return last
}

// A call that may be made twice is made again while the server is busy, another is
// made once; every call of the SDK is one or the other.
func TestOnlyWhatMayBeRepeatedIs(t *testing.T) {
	calls := repeatable()
	for i := range reflect.TypeFor[*client.Client]().NumMethod() {
		name := reflect.TypeFor[*client.Client]().Method(i).Name
		if name != "Hurry" {
			require.Contains(t, calls, name, "say whether it may be repeated")
		}
	}
	for name, row := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, asked := busy(t, 2, func(h http.Header) { h.Set("Retry-After", "0") })
			err := row.call(t.Context(), c)
			want, status := int64(1), 503
			if row.again {
				want, status = 3, 404
			}
			var problem *client.Problem
			require.ErrorAs(t, err, &problem)
			require.Equal(t, status, problem.Status)
			require.Equal(t, want, asked.Load(), "requests")
			_, said := client.RetryAfter(err)
			require.Equal(t, !row.again, said)
		})
	}
}

// Retry-After is seconds or a date, which is by the server's clock. Up to half a
// minute a call waits by itself; it never waits longer than its context lasts.
func TestRetryAfter(t *testing.T) {
	at := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC) // not the time of this machine
	for name, c := range map[string]struct {
		after   string
		waits   time.Duration
		told    time.Duration
		attempt int64
	}{
		"seconds":         {"1", time.Second, 0, 2},
		"a date":          {at.Add(time.Second).Format(http.TimeFormat), time.Second, 0, 2},
		"an earlier date": {at.Add(-time.Hour).Format(http.TimeFormat), 0, 0, 2},
		"nonsense":        {"soon", 0, 0, 2},
		"negative":        {"-5", 0, 0, 2},
		"too long":        {"31", 0, 31 * time.Second, 1},
		"a far date":      {at.Add(time.Hour).Format(http.TimeFormat), 0, time.Hour, 1},
		"out of bounds":   {strings.Repeat("9", 40), 0, 365 * 24 * time.Hour, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sdk, asked := busy(t, 1, func(h http.Header) {
				h.Set("Retry-After", c.after)
				h.Set("Date", at.Format(http.TimeFormat))
			})
			begun := time.Now()
			_, err := sdk.GetRun(t.Context(), someRun)
			took := time.Since(begun)
			require.Equal(t, c.attempt, asked.Load())
			require.GreaterOrEqual(t, took, c.waits)
			require.Less(t, took, c.waits+20*time.Second)
			told, _ := client.RetryAfter(err)
			require.Equal(t, c.told, told)
			if c.told > 0 {
				require.ErrorContains(t, err, "come back in "+c.told.String())
				require.True(t, client.Temporary(err))
			}
		})
	}
	t.Run("a context that ends sooner", func(t *testing.T) {
		t.Parallel()
		sdk, asked := busy(t, 1, func(h http.Header) { h.Set("Retry-After", "20") })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begun := time.Now()
		_, err := sdk.GetRun(ctx, someRun)
		require.Less(t, time.Since(begun), 9*time.Second, "it does not wait for what cannot come")
		after, said := client.RetryAfter(err)
		require.True(t, said)
		require.Equal(t, 20*time.Second, after)
		require.EqualValues(t, 1, asked.Load())
	})
	t.Run("a context that is cancelled", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		sdk, asked := busy(t, 9, func(h http.Header) { h.Set("Retry-After", "20"); cancel() })
		begun := time.Now()
		for name, row := range repeatable() {
			require.Error(t, row.call(ctx, sdk), name)
		}
		require.Less(t, time.Since(begun), 15*time.Second)
		require.LessOrEqual(t, asked.Load(), int64(2))
	})
}

// Lists are read page by page, each page once, and no further than their reader goes.
func TestPaging(t *testing.T) {
	pages := map[string]string{
		"/api/export/runs": `"runs":[{"runId":"%d"},{"runId":"%d"}]`, "/api/export/profiles": `"profiles":[{"name":"%d"},{"name":"%d"}]`,
		"/api/ledger/documents": `"documents":[{"upstreamId":"%d"},{"upstreamId":"%d"}]`, "/api/tenants": `"tenants":[{"tenant":"%d"},{"tenant":"%d"}]`,
		"/api/export/policy-snapshots": `"policySnapshots":[{"id":"%d"},{"id":"%d"}]`,
		"/api/audit/entries":           `"entries":[{"seq":%d},{"seq":%d}]`,
	}
	var asked []string
	stuck := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RequestURI())
		n, next := 0, ""
		fmt.Sscan(r.URL.Query().Get("cursor")+r.URL.Query().Get("after"), &n) //nolint:errcheck // none is 0
		if n < 4 || stuck {
			next = fmt.Sprintf(`"nextCursor":"%d","next":%d,`, min(n+2, 4), min(n+2, 4))
		}
		fmt.Fprintf(w, "{"+next+pages[r.URL.Path]+"}", n+1, n+2)
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, "token")
	require.NoError(t, err)
	two, ctx := 2, t.Context()
	lists := map[string]func(stop int) ([]string, error){
		"runs": func(stop int) ([]string, error) {
			return taken(c.AllRuns(ctx, client.ListRunsParams{Limit: &two}), stop, func(r client.Run) string { return r.RunID })
		},
		"profiles": func(stop int) ([]string, error) {
			return taken(c.AllProfiles(ctx, client.ListProfilesParams{Limit: &two}), stop, func(p client.Profile) string { return p.Name })
		},
		"policies": func(stop int) ([]string, error) {
			return taken(c.AllPolicySnapshots(ctx, client.ListPolicySnapshotsParams{Limit: &two}), stop, func(s client.PolicySnapshot) string { return s.ID })
		},
		"documents": func(stop int) ([]string, error) {
			return taken(c.AllDocuments(ctx, client.ListDocumentsParams{Limit: &two}), stop, func(d client.LedgerDocument) string { return d.UpstreamID })
		},
		"tenants": func(stop int) ([]string, error) {
			return taken(c.AllTenants(ctx, client.ListTenantsParams{Limit: &two}), stop, func(t client.TenantInfo) string { return t.Tenant })
		},
		"audit": func(stop int) ([]string, error) {
			return taken(c.AllAudit(ctx, client.ListAuditEntriesParams{Limit: &two}), stop, func(e client.AuditEntry) string { return fmt.Sprint(e.Seq) })
		},
	}
	for name, list := range lists {
		asked, stuck = nil, false
		all, err := list(99)
		require.NoError(t, err, name)
		require.Equal(t, []string{"1", "2", "3", "4", "5", "6"}, all, name)
		require.Len(t, asked, 3, name)
		for _, uri := range asked {
			require.Contains(t, uri, "limit=2")
		}
		asked = nil
		some, err := list(2)
		require.NoError(t, err)
		require.Equal(t, []string{"1", "2"}, some, name)
		require.Len(t, asked, 1, "%s: a page that nobody reads is not asked for", name)
		stuck = true
		_, err = list(99)
		require.ErrorContains(t, err, "read already", name)
	}
}

func taken[T any](all func(func(T, error) bool), stop int, name func(T) string) (names []string, err error) {
	all(func(item T, failed error) bool {
		if err = failed; err != nil {
			return false
		}
		names = append(names, name(item))
		return len(names) < stop
	})
	return names, err
}

// Lines are sent as they come, whatever ends them; a rejection names its line.
func TestImportNDJSON(t *testing.T) {
	var files, entries []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		for line := range bytes.Lines(raw) {
			entries = append(entries, string(line))
		}
		files = append(files, r.URL.Path)
		fmt.Fprintf(w, `{"summary":{"read":%d,"accepted":%d}}`+"\n", len(entries), len(entries))
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, "token")
	require.NoError(t, err)
	settled, err := c.ImportNDJSON(t.Context(), strings.NewReader("{\"a\":1}\r\n\n  \n{\"b\":2}\n{\"c\":3}"),
		client.ImportRecord{Source: "vendor", Stream: "feed", File: "feed.jsonl"}, client.Import{Jobs: 1})
	require.NoError(t, err)
	require.EqualValues(t, 3, settled.Summary.Accepted)
	require.Equal(t, []string{
		`{"source":"vendor","stream":"feed","file":"feed.jsonl","entry":"line 1","bytes":"eyJhIjoxfQ=="}` + "\n",
		`{"source":"vendor","stream":"feed","file":"feed.jsonl","entry":"line 4","bytes":"eyJiIjoyfQ=="}` + "\n",
		`{"source":"vendor","stream":"feed","file":"feed.jsonl","entry":"line 5","bytes":"eyJjIjozfQ=="}` + "\n",
	}, entries)

	_, err = c.ImportNDJSON(t.Context(), io.MultiReader(strings.NewReader("{}\n"), failing{io.ErrUnexpectedEOF}), client.ImportRecord{}, client.Import{})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, "line 2: ")
	_, err = c.ImportNDJSON(t.Context(), io.LimitReader(endless{}, 1<<40), client.ImportRecord{}, client.Import{})
	require.ErrorContains(t, err, "line 1: has more than the 67108864 bytes of a document")
}

// endless is a line without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
