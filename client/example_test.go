package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/client"
)

// The whole way: evidence in, a run, its bundle in a file.
func Example() {
	d := newDemo() // stands for client.New("https://export.example", token)
	defer d.end()
	ctx, c := context.Background(), d.Client

	evidence := strings.NewReader(`{"id":"EXC-1","modified":"2026-11-21T08:00:00Z"}` + "\n")
	settled, err := c.ImportNDJSON(ctx, evidence, client.ImportRecord{Source: "vendor", Stream: "feed"}, client.Import{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("accepted:", settled.Summary.Accepted)

	run, err := c.CreateRun(ctx, client.RunRequest{ProfileID: "json:raw"}, "nightly-2026-11-21")
	if err != nil {
		log.Fatal(err)
	}
	if run, err = c.WaitRun(ctx, run.RunID, nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println("status:", run.Status)

	file, err := os.Create(filepath.Join(d.dir, "bundle.tar"))
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	archive, err := c.Download(ctx, run.RunID, file)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("as promised:", archive.Digest == run.ArchiveDigest)
	// Output:
	// accepted: 1
	// status: succeeded
	// as promised: true
}

// A policy pack is imported, and read again byte for byte.
func ExampleClient_ImportPolicySnapshot() {
	d := newDemo()
	defer d.end()
	ctx, c := context.Background(), d.Client

	pack := d.policyPack("2026-11-01") // what "opa build --revision 2026-11-01" makes
	imported, err := c.ImportPolicySnapshot(ctx, "blocking", "What keeps a release back", pack)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(imported.Name, imported.Version)

	again, err := c.ImportPolicySnapshot(ctx, "blocking", "", pack)
	if err != nil {
		log.Fatal(err)
	}
	stored, err := c.PolicyPack(ctx, again.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the same:", again.ID == imported.ID, bytes.Equal(stored, pack))

	archived, err := c.ArchivePolicySnapshot(ctx, imported.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("archived:", archived.Archived)
	for s, err := range c.AllPolicySnapshots(ctx, client.ListPolicySnapshotsParams{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("left:", s.Name)
	}
	// Output:
	// blocking 2026-11-01
	// the same: true true
	// archived: true
	// left: baseline
}

// A profile is made, changed and archived. The tag keeps two editors apart.
func ExampleClient_CreateProfile() {
	d := newDemo()
	defer d.end()
	ctx, c := context.Background(), d.Client

	made, err := c.CreateProfile(ctx, client.ProfileRequest{Name: "nightly", Kind: "json", Variant: "raw",
		Config: client.ProfileConfig{"include": []string{"advisories"}}, Labels: client.Labels{"team": "red"}}, "nightly-1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(made.Name, "revision", made.Revision)

	config := client.ProfileConfig{"include": []string{"advisories", "vex"}}
	changed, err := c.UpdateProfile(ctx, made.ID, made.Tag, client.ProfilePatch{Config: &config})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(changed.Name, "revision", changed.Revision)

	_, err = c.UpdateProfile(ctx, made.ID, made.Tag, client.ProfilePatch{Config: &config})
	var problem *client.Problem
	if errors.As(err, &problem) {
		fmt.Println("with the old tag:", problem.Status)
	}
	archived, err := c.ArchiveProfile(ctx, made.ID, "")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("archived:", archived.Archived)
	// Output:
	// nightly revision 1
	// nightly revision 2
	// with the old tag: 412
	// archived: true
}

// With an idempotency key the same request is the same run, however often it is sent.
func ExampleClient_CreateRun() {
	d := newDemo()
	defer d.end()
	ctx, c := context.Background(), d.Client

	request := client.RunRequest{ProfileID: "json:raw", Selectors: client.Selectors{Ecosystems: []string{"npm"}}}
	first, err := c.CreateRun(ctx, request, "key")
	if err != nil {
		log.Fatal(err)
	}
	second, err := c.CreateRun(ctx, request, "key")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("one run:", first.RunID == second.RunID)

	request.Selectors.Kinds = []string{"virus"}
	_, err = c.CreateRun(ctx, request, "key-2")
	var problem *client.Problem
	if errors.As(err, &problem) {
		fmt.Println(problem.Status, problem.Code, problem.Details[0].Field)
	}
	// Output:
	// one run: true
	// 400 ERR_EXPORT_004 selectors.kinds[0]
}

// Events come as they happen, each once, until the run has ended.
func ExampleClient_Events() {
	d := newDemo()
	defer d.end()
	ctx, c := context.Background(), d.Client

	run, err := c.CreateRun(ctx, client.RunRequest{ProfileID: "json:raw"}, "key")
	if err != nil {
		log.Fatal(err)
	}
	for event, err := range c.Events(ctx, run.RunID, client.EventOptions{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Seq, event.EventType)
	}
	// Output:
	// 1 run.started
	// 2 run.succeeded
}

// A list is read page by page, as far as it is wanted.
func ExampleClient_AllRuns() {
	d := newDemo()
	defer d.end()
	ctx, c := context.Background(), d.Client

	for i := range 3 {
		request := client.RunRequest{ProfileID: "json:raw", Labels: client.Labels{"n": fmt.Sprint(i)}}
		if _, err := c.CreateRun(ctx, request, ""); err != nil {
			log.Fatal(err)
		}
	}
	two := 2 // on a page
	for run, err := range c.AllRuns(ctx, client.ListRunsParams{Limit: &two}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(run.Labels["n"], run.Status)
	}
	// Output:
	// 2 succeeded
	// 1 succeeded
	// 0 succeeded
}

// A download that was interrupted goes on behind what is there; the digest that is
// checked is that of all of it.
func ExampleClient_Resume() {
	d := newDemo()
	defer d.end()
	ctx, c := context.Background(), d.Client
	id, _ := d.signedRun()

	file, err := os.CreateTemp(d.dir, "bundle")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	enough := errors.New("the power went")
	if _, err := c.Download(ctx, id, &breaking{to: file, after: 10_000, with: enough}); !errors.Is(err, enough) {
		log.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("there:", info.Size())

	have, err := os.Open(file.Name()) // a later process
	if err != nil {
		log.Fatal(err)
	}
	defer have.Close()
	_, err = c.Resume(ctx, id, have, file)
	fmt.Println("whole:", err == nil)
	// Output:
	// there: 10000
	// whole: true
}

// breaking passes on some bytes and then fails.
type breaking struct {
	to    *os.File
	after int
	with  error
}

func (b *breaking) Write(p []byte) (int, error) {
	if len(p) < b.after {
		b.after -= len(p)
		return b.to.Write(p)
	}
	n, err := b.to.Write(p[:b.after])
	return n, errors.Join(err, b.with)
}

// A bundle is verified without the server, by keys that came another way. VerifyRun
// lets the server verify what it stores, which finds what has rotted there.
func ExampleClient_VerifyRun() {
	d := newDemo()
	defer d.end()
	ctx, c := context.Background(), d.Client
	id, key := d.signedRun()

	var archive bytes.Buffer
	if _, err := c.Download(ctx, id, &archive); err != nil {
		log.Fatal(err)
	}
	trust, err := verify.LoadTrust(key, "")
	if err != nil {
		log.Fatal(err)
	}
	report, err := verify.Reader(ctx, bytes.NewReader(archive.Bytes()), int64(archive.Len()), trust)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("here:", report.Status)

	report, err = c.VerifyRun(ctx, id, false)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("at the server:", report.Status)
	// Output:
	// here: verified
	// at the server: verified
}

// Documents come one per line from any reader. What is rejected is told with its line,
// and the rest goes on.
func ExampleClient_RemoveDocuments() {
	d := newDemo()
	defer d.end()
	ctx, c := context.Background(), d.Client

	line := strings.NewReader(`{"id":"EXC-1","modified":"2026-11-20T08:00:00Z"}`)
	if _, err := c.ImportNDJSON(ctx, line, client.ImportRecord{Source: "vendor", Stream: "feed"}, client.Import{}); err != nil {
		log.Fatal(err)
	}
	gone := client.DocumentIdentity{Source: "vendor", Stream: "feed", Kind: "advisory", UpstreamID: "EXC-1"}
	never := gone
	never.UpstreamID = "EXC-2"
	result, err := c.RemoveDocuments(ctx, client.RemovalRequest{Reason: "withdrawn", Documents: []client.DocumentIdentity{gone, never}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("removed:", result.Removed)
	for _, e := range result.Errors {
		fmt.Println(e.Identity.UpstreamID, e.Reason[:26])
	}
	// Output:
	// removed: 1
	// EXC-2 the ledger has no document
}

func ExampleClient_ImportNDJSON() {
	d := newDemo()
	defer d.end()
	ctx, c := context.Background(), d.Client

	lines := strings.NewReader(`{"id":"EXC-1","modified":"2026-11-21T08:00:00Z"}
not a document
{"id":"EXC-2","modified":"2026-11-21T08:00:00Z"}
`)
	settled, err := c.ImportNDJSON(ctx, lines, client.ImportRecord{File: "feed.jsonl"}, client.Import{
		Settled: func(s client.Settled) error {
			for _, r := range s.Rejections {
				fmt.Println("rejected:", r.File, r.Entry)
			}
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("accepted:", settled.Summary.Accepted)
	// Output:
	// rejected: feed.jsonl line 2
	// accepted: 2
}

// A call that may be repeated waits as the server asks, up to half a minute. When more
// is asked for, the error says so.
func ExampleRetryAfter() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	c, err := client.New(server.URL, "token")
	if err != nil {
		log.Fatal(err)
	}
	_, err = c.Me(context.Background())
	after, said := client.RetryAfter(err)
	fmt.Println(client.Temporary(err), said, after)
	// Output: true true 1h0m0s
}

// Every call ends with its context, also while it waits.
func ExampleClient_WaitRun() {
	d := newDemo()
	defer d.end()
	d.world.Starter.OnStart = nil // this run never ends
	c := d.Client
	run, err := c.CreateRun(context.Background(), client.RunRequest{ProfileID: "json:raw"}, "key")
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_, err = c.WaitRun(ctx, run.RunID, nil)
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output: true
}
