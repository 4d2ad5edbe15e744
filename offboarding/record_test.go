package offboarding_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/offboarding"
	"github.com/stella-ops/exportcenter/signing"
)

var at = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

// exported is an export of a good record of so many runs, signed by key 1.
func exported(t testing.TB, runs int, change ...func(*offboarding.Record)) string {
	t.Helper()
	var text bytes.Buffer
	for i := range runs {
		line, err := offboarding.Run{ID: fmt.Sprintf("0192f3c4-5d6e-7f80-9a1b-%012x", i), State: export.StateSucceeded, RequestedAt: at,
			Manifest: bundle.DigestOf([]byte{byte(i)}).String(), Archive: bundle.DigestOf([]byte{byte(i), 1}).String()}.Line()
		require.NoError(t, err)
		text.Write(append(line, '\n'))
	}
	r := offboarding.Record{Tenant: "acme", RequestedAt: at, RequestedBy: "root", Reason: "left", BegunAt: at.Add(time.Hour), EndedAt: at.Add(2 * time.Hour),
		Found:  offboarding.Found{Runs: offboarding.Runs{Count: int64(runs), Digest: bundle.DigestOf(text.Bytes())}},
		Tables: []offboarding.Table{{Table: "export_events", Rows: 7}, {Table: "export_runs", Rows: int64(runs)}}}
	for _, c := range change {
		c(&r)
	}
	envelope, err := r.Sign(t.Context(), bundletest.Key(t, 1))
	require.NoError(t, err)
	return text.String() + string(offboarding.RecordLine(envelope)) + "\n"
}

func verified(t testing.TB, text string) (offboarding.Report, error) {
	return offboarding.Verify(strings.NewReader(text), []signing.Verifier{bundletest.Verifier(t, bundletest.Key(t, 1))})
}

func TestARecordIsVerified(t *testing.T) {
	for _, runs := range []int{0, 1, 300} {
		report, err := verified(t, exported(t, runs))
		require.NoError(t, err)
		require.EqualValues(t, runs, report.Record.Runs.Count)
		require.Equal(t, offboarding.Stays, report.Record.Stays)
		require.Equal(t, bundletest.Key(t, 1).KeyID(), report.KeyID)
	}
}

// Whatever is changed is found, and said what it is.
func TestWhatWasChangedIsFound(t *testing.T) {
	good := exported(t, 3)
	lines := strings.SplitAfter(good, "\n")
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"empty":            {"", offboarding.ErrNoRecord},
		"no record":        {lines[0] + lines[1], offboarding.ErrNoRecord},
		"no line feed":     {strings.TrimSuffix(good, "\n"), offboarding.ErrNoRecord},
		"something behind": {good + "x", offboarding.ErrForm},
		"twice":            {good + good, offboarding.ErrForm},
		"a run is gone":    {lines[0] + lines[2] + lines[3], offboarding.ErrRuns},
		"another order":    {lines[1] + lines[0] + lines[2] + lines[3], offboarding.ErrRuns},
		"a run twice":      {lines[0] + good, offboarding.ErrRuns},
		"a run changed":    {strings.Replace(good, `"state":"succeeded"`, `"state":"failed"`, 1), offboarding.ErrRuns},
		"another digest":   {strings.Replace(good, "sha256:", "sha256:0", 1), offboarding.ErrRuns},
		"not canonical":    {strings.Replace(good, `"state":`, `"state": `, 1), offboarding.ErrForm},
		"unknown member":   {strings.Replace(good, `"state":`, `"x":1,"state":`, 1), offboarding.ErrForm},
		"no id":            {strings.Replace(good, "0192f3c4", "0192F3C4", 1), offboarding.ErrForm},
		"a long line":      {strings.Repeat("x", 1<<20) + "\n" + good, offboarding.ErrForm},
		"of others' runs":  {exported(t, 2, func(r *offboarding.Record) { r.Runs.Count = 3 }), offboarding.ErrRuns},
		"another type":     {strings.Replace(good, "offboarding.record", "offboarding.recorx", 1), signing.ErrPayloadType},
		"another envelope": {strings.Replace(good, `{"record":{`, `{"record":{ `, 1), signing.ErrEncoding},
	} {
		_, err := verified(t, c.text)
		require.ErrorIs(t, err, c.want, name)
	}
	_, err := offboarding.Verify(strings.NewReader(good), []signing.Verifier{bundletest.Verifier(t, bundletest.Key(t, 2))})
	require.ErrorIs(t, err, signing.ErrUnknownKey)
	last := len(good) - len(`"}]}}`) - 12
	_, err = verified(t, good[:last]+flip(good[last:last+1])+good[last+1:])
	require.Error(t, err)
}

func flip(c string) string {
	if c == "A" {
		return "B"
	}
	return "A"
}

// A record that does not make sense is neither signed nor believed.
func TestARecordMakesSense(t *testing.T) {
	for name, change := range map[string]func(*offboarding.Record){
		"tenant":   func(r *offboarding.Record) { r.Tenant = "_" },
		"order":    func(r *offboarding.Record) { r.EndedAt = at },
		"unasked":  func(r *offboarding.Record) { r.RequestedAt = time.Time{} },
		"negative": func(r *offboarding.Record) { r.Blobs.Count = -1 },
		"rows":     func(r *offboarding.Record) { r.Tables[0].Rows = -1 },
		"unsorted": func(r *offboarding.Record) { r.Tables[0].Table = "z" },
	} {
		r := offboarding.Record{Tenant: "acme", RequestedAt: at, BegunAt: at, EndedAt: at.Add(time.Hour), Tables: []offboarding.Table{{Table: "a"}, {Table: "b"}}}
		_, err := r.Sign(t.Context(), bundletest.Key(t, 1))
		require.NoError(t, err)
		if change(&r); name == "order" {
			r.BegunAt = at.Add(time.Hour)
		}
		_, err = r.Sign(t.Context(), bundletest.Key(t, 1))
		require.Error(t, err, name)
	}
}

// Read needs no key, and takes records only.
func TestReadARecord(t *testing.T) {
	text := exported(t, 0)
	envelope := strings.TrimSuffix(strings.TrimPrefix(text, `{"record":`), "}\n")
	r, err := offboarding.Read([]byte(envelope))
	require.NoError(t, err)
	require.Equal(t, "acme", r.Tenant)
	for _, bad := range []string{"", "{}", "null", strings.Replace(envelope, "offboarding.record", "audit.checkpoint", 1), strings.Replace(envelope, `"payload":"`, `"payload":"AAAA`, 1)} {
		_, err := offboarding.Read([]byte(bad))
		require.ErrorIs(t, err, offboarding.ErrForm)
	}
}

func FuzzVerify(f *testing.F) {
	good := exported(f, 2)
	f.Add(good)
	f.Add(strings.SplitAfter(good, "\n")[2])
	f.Add("{}\n" + `{"record":{"payload":"","payloadType":"","signatures":[]}}` + "\n")
	keys := []signing.Verifier{bundletest.Verifier(f, bundletest.Key(f, 1))}
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := offboarding.Read([]byte(text)); err == nil && !export.ValidTenant(r.Tenant) {
			t.Fatalf("read: %q", text)
		}
		report, err := offboarding.Verify(strings.NewReader(text), keys)
		if err == nil && (report.Record.Tenant != "acme" || text != good && report.Record.Runs.Count == 2) {
			t.Fatalf("verified: %q", text)
		}
	})
}
