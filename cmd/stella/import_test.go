package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/ledger"
)

// importWorld is a server, the environment that leads to it, and a file of
// documents of which every tenth is none.
func importWorld(t *testing.T, count int) (w *frontendtest.World, file string) {
	w = newWorld(t)
	t.Setenv("STELLA_SERVER", w.URL)
	t.Setenv("STELLA_TOKEN", w.Token(t, "acme"))
	t.Setenv("STELLA_TENANT", "acme")
	file = filepath.Join(t.TempDir(), "feed.jsonl")
	writeFeed(t, file, count)
	return w, file
}

func writeFeed(t *testing.T, file string, count int) {
	var b bytes.Buffer
	for n := range count {
		if n%10 == 9 {
			b.WriteString("not JSON\n")
			continue
		}
		fmt.Fprintf(&b, `{"id":"D-%d","modified":"2026-01-01T00:00:00Z"}`+"\n", n)
	}
	require.NoError(t, os.WriteFile(file, b.Bytes(), 0o600))
}

// runImport runs the command in this process.
func runImport(ctx context.Context, t *testing.T, args ...string) (importResult, error) {
	t.Helper()
	var out bytes.Buffer
	command := rootCommand()
	command.SetArgs(append([]string{"ledger", "import", "--format", "json"}, args...))
	command.SetOut(&out)
	command.SetErr(&bytes.Buffer{})
	err := command.ExecuteContext(ctx)
	var result importResult
	if out.Len() > 0 {
		require.NoError(t, json.Unmarshal(out.Bytes(), &result))
	}
	return result, err
}

// An interrupted import goes on without sending again what was acknowledged,
// and its sums are those of an import that was never interrupted.
func TestImportResumes(t *testing.T) {
	const count = 6*ledger.BatchDocuments + 30
	w, file := importWorld(t, count)
	journal := filepath.Join(t.TempDir(), "journal")
	interrupted := 0
	var result importResult
	for {
		ctx, cancel := context.WithCancel(t.Context())
		before := len(w.Ledger.BatchSizes())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for ctx.Err() == nil && len(w.Ledger.BatchSizes()) < before+2 {
				time.Sleep(time.Millisecond)
			}
			if interrupted < 3 {
				cancel()
			}
		}()
		var err error
		result, err = runImport(ctx, t, "--resume", journal, file)
		cancel()
		<-ended
		if err == nil || exitCode(err) == exitInput {
			break
		}
		interrupted++
		require.ErrorContains(t, err, "run the same command again to go on")
		require.FileExists(t, journal)
		tear(t, journal)
	}
	require.Positive(t, interrupted)
	require.Positive(t, result.Resumed)
	require.NoFileExists(t, journal)
	const bad = count / 10
	require.EqualValues(t, count, result.Read)
	require.EqualValues(t, bad, result.Rejected)
	require.Len(t, result.Rejections, bad)
	require.EqualValues(t, count-bad, result.Accepted+result.Unchanged)
	require.Len(t, w.Ledger.Documents("acme"), count-bad)
	sent := 0
	for _, n := range w.Ledger.BatchSizes() {
		sent += n
	}
	t.Logf("%d interruptions, %d documents recorded twice", interrupted, sent-(count-bad))
	require.LessOrEqual(t, sent-(count-bad), interrupted*3*ledger.BatchDocuments, "only what was not acknowledged is sent again")
	seen := map[string]bool{}
	for _, r := range result.Rejections {
		require.False(t, seen[r.Entry], "%s is rejected twice", r.Entry)
		seen[r.Entry] = true
	}
}

// tear leaves half a line at the end, as a process leaves it that ends while it writes.
func tear(t *testing.T, path string) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = file.WriteString(`{"through":99999,"sum":"sha2`)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

// A journal vouches for the documents that were sent, and for no others.
func TestJournalOfOtherDocuments(t *testing.T) {
	const count = 2 * ledger.BatchDocuments
	_, file := importWorld(t, count)
	path := filepath.Join(t.TempDir(), "journal")
	head := journalHead{Server: os.Getenv("STELLA_SERVER"), Tenant: "acme", Paths: []string{file}}
	j, err := openJournal(path, head)
	require.NoError(t, err)
	require.NoError(t, j.append(journalNote{Through: 2, Sum: bundle.DigestOf(nil),
		Settled: client.Settled{Summary: client.ImportSummary{Read: 2, Accepted: 2}, Rejections: []client.Rejection{}}}))
	j.close()
	_, err = runImport(t.Context(), t, "--resume", path, file)
	require.ErrorContains(t, err, "do not hold the documents any more")
	require.Equal(t, exitInput, exitCode(err))

	writeFeed(t, file, 1)
	_, err = runImport(t.Context(), t, "--resume", path, file)
	require.ErrorContains(t, err, "do not hold the documents any more", "there are fewer")

	head.Paths = []string{"other"}
	_, err = openJournal(path, head)
	require.ErrorContains(t, err, "paths")
}

func TestPaceText(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := pace{began: began, documents: 1000, bytes: 2_500_000}
	r := importResult{Read: 810, Accepted: 800, Rejected: 10}
	require.Equal(t, "800 of 1000 documents recorded, 2.5 MB, 10 rejected", p.text(r, began))
	require.Equal(t, "800 of 1000 documents recorded, 2.5 MB, 405/s, 10 rejected", p.text(r, began.Add(2*time.Second)))
	p.waits, r.Resumed = true, 500
	require.Equal(t, "800 of 1500 documents recorded, 2.5 MB, 155/s, 10 rejected; waiting for the server", p.text(r, began.Add(2*time.Second)))
}

// Whatever is in the file, it is taken whole or refused with a reason.
func FuzzJournal(f *testing.F) {
	head := `{"journal":"stella ledger import 1","server":"s","tenant":"t","source":"","stream":"","paths":["p"]}` + "\n"
	note := `{"through":2,"sum":"sha256:` + strings.Repeat("0", 64) + `","summary":{"read":2,"accepted":1,"unchanged":0,"superseded":0,"rejected":1},` +
		`"rejections":[{"record":2,"file":"f","entry":"e","reason":"r"}],"resent":0}` + "\n"
	for _, seed := range []string{"", head, head + note, head + note + note, head + note[:40], "null\n", head + "{}\n", strings.Replace(head+note, `"read":2`, `"read":9223372036854775807`, 1)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "journal")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		want := journalHead{Server: "s", Tenant: "t", Paths: []string{"p"}}
		j, err := openJournal(path, want)
		if err != nil {
			require.Equal(t, exitInput, exitCode(err))
			return
		}
		s := j.known.Summary
		require.Equal(t, j.known.Through, s.Read)
		require.Equal(t, s.Read, s.Accepted+s.Unchanged+s.Superseded+s.Rejected)
		require.Len(t, j.known.Rejections, int(s.Rejected))
		j.close()
		again, err := openJournal(path, want)
		require.NoError(t, err, "what was taken once is taken again")
		require.Equal(t, j.known, again.known)
		again.close()
	})
}
