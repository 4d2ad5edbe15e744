package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/feed"
)

func ledgerImportCommand(c *connection) *cobra.Command {
	var source, stream, resume string
	var jobs int
	var f *format
	command := leaf("import PATH...", "Import files and directories", cobra.MinimumNArgs(1),
		func(command *cobra.Command, paths []string) error {
			for _, name := range []string{source, stream} {
				if name != "" && !ledger.ValidName(name) {
					return inputErrorf("%q is not a name: 1 to %d letters, digits and . _ + -", name, ledger.MaxName)
				}
			}
			if jobs < 1 || jobs > client.MaxJobs {
				return inputErrorf("--jobs %d: want 1 to %d", jobs, client.MaxJobs)
			}
			opened, err := c.open()
			if err != nil {
				return err
			}
			i := &documentImport{client: opened, jobs: jobs, showRejections: !f.machine(), errOut: command.ErrOrStderr(),
				reader: feed.Reader{Source: source, Stream: stream, Stdin: command.InOrStdin()}}
			if resume != "" {
				about := journalHead{Server: c.address(), Tenant: c.tenantName(), Source: source, Stream: stream, Paths: paths}
				if i.journal, err = openJournal(resume, about); err != nil {
					return err
				}
				defer i.journal.close()
			}
			if err := i.run(command.Context(), paths); err != nil {
				return i.journal.explain(err)
			}
			if err := i.journal.remove(); err != nil {
				return err
			}
			return i.report(command.OutOrStdout(), f)
		})
	command.Long = `Import .json, .jsonl and .jsonl.zst files, archives of these (.zip, .tar,
.tar.gz, .tgz, .tar.zst), directories of all of these, and "-", standard input:
a document, documents one per line, or a tar archive, plain or compressed.

The documents are OSV, OpenVEX, CSAF, CycloneDX or SPDX in JSON, in any mixture:
their content tells. Archives are read as they come and never unpacked to disk.

What cannot be taken is rejected with file, entry and reason, and the rest goes
on. A connection that breaks is taken up again, for two minutes; what the server
had acknowledged is not sent again. With --resume FILE this also holds for a
command that was interrupted: FILE notes what is acknowledged, and is removed
when all is. The same command then reads the same paths again, sends what is
left, and tells the sums of all.

Without it importing again is safe as well: known documents count as unchanged,
and cost about as much as new ones.

` + exitCodesHelp
	command.Flags().StringVar(&source, "source", "", "who published the documents (default: what their format says)")
	command.Flags().StringVar(&stream, "stream", "", "which collection they belong to (default: name of the archive or folder)")
	command.Flags().IntVar(&jobs, "jobs", client.DefaultJobs, "requests at once; with 1 documents arrive in order")
	command.Flags().StringVar(&resume, "resume", "", "note what is acknowledged in `FILE`, and go on from it")
	f = addFormat(command)
	return command
}

// documentImport is one run of "ledger import".
type documentImport struct {
	client         *client.Client
	jobs           int
	reader         feed.Reader
	journal        *journal // nil without --resume
	errOut         io.Writer
	shown          *progress
	showRejections bool

	mu     sync.Mutex // the reader reads while the server answers
	result importResult
	pace   pace
}

// importResult is what the command prints: Accepted + Unchanged + Superseded +
// Rejected = Read, what could not be read here included.
type importResult struct {
	Read       int64 `json:"read"`
	Accepted   int64 `json:"accepted"`
	Unchanged  int64 `json:"unchanged"`
	Superseded int64 `json:"superseded"`
	Rejected   int64 `json:"rejected"`
	// Resent documents were sent more than once, because a connection broke;
	// those that the server had count as unchanged.
	Resent int64 `json:"resent"`
	// Resumed documents were acknowledged to an earlier run of the command.
	Resumed    int64              `json:"resumed"`
	Rejections []ledger.Rejection `json:"rejections"`
}

// errStopped ends the reading when the server takes no more.
var errStopped = errors.New("the server takes no more documents")

func (i *documentImport) run(ctx context.Context, paths []string) error {
	i.shown = startProgress(i.errOut)
	defer i.shown.stop()
	i.result.Rejections = []ledger.Rejection{}
	i.pace.begin()
	earlier := i.journal.earlier()
	i.result.Resumed = earlier.Summary.Read
	if err := i.settled(earlier); err != nil {
		return err
	}
	_, err := i.client.ImportDocuments(ctx, func(yield func(client.ImportRecord, error) bool) {
		if err := i.read(ctx, paths, yield); err != nil && !errors.Is(err, errStopped) {
			yield(client.ImportRecord{}, err)
		}
	}, client.Import{Jobs: i.jobs, Settled: func(s client.Settled) error {
		if err := i.journal.note(s); err != nil {
			return err
		}
		return i.settled(s)
	}, Again: i.again})
	if err != nil {
		if client.Temporary(err) && i.journal == nil {
			return fmt.Errorf("%w; run the same command again, what was taken counts as unchanged then", err)
		}
		return err
	}
	slices.SortFunc(i.result.Rejections, byPlace)
	return nil
}

// read reads paths and yields what is not yet acknowledged.
func (i *documentImport) read(ctx context.Context, paths []string, yield func(client.ImportRecord, error) bool) error {
	i.reader.Entry = func(e ledger.Entry) error {
		known, err := i.journal.pass(e)
		if known || err != nil {
			return err
		}
		i.count(len(e.Bytes))
		if !yield(client.ImportRecord{Source: e.Source, Stream: e.Stream, File: e.File, Entry: e.Name, Bytes: e.Bytes}, nil) {
			return errStopped
		}
		return nil
	}
	i.reader.Reject = func(r ledger.Rejection) error {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.result.Read++
		i.reject(r)
		return nil
	}
	if err := i.reader.Read(ctx, paths...); err != nil {
		return err
	}
	return i.journal.passedAll()
}

// settled takes what became of some documents.
func (i *documentImport) settled(s client.Settled) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	r := &i.result
	i.pace.waits = false
	r.Read += s.Summary.Read
	r.Accepted += s.Summary.Accepted
	r.Unchanged += s.Summary.Unchanged
	r.Superseded += s.Summary.Superseded
	r.Resent += s.Resent
	for _, told := range s.Rejections {
		i.reject(ledger.Rejection{File: told.File, Entry: told.Entry, Reason: told.Reason})
	}
	i.show()
	return nil
}

// reject takes a rejection. The caller has the lock.
func (i *documentImport) reject(r ledger.Rejection) {
	i.result.Rejected++
	i.result.Rejections = append(i.result.Rejections, r)
	if i.showRejections {
		where := r.File
		if r.Entry != "" {
			where += " (" + r.Entry + ")"
		}
		i.shown.line("rejected " + printable(where) + ": " + printable(r.Reason))
	}
}

// again shows why nothing moves.
func (i *documentImport) again(error, time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.pace.waits = true
	i.show()
}

// byPlace orders rejections by file and entry ("line 9" before "line 10"): they
// come from here and from the server at the same time, in any order.
func byPlace(a, b ledger.Rejection) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(len(a.Entry), len(b.Entry)),
		cmp.Compare(a.Entry, b.Entry), cmp.Compare(a.Reason, b.Reason))
}

// report prints the result; rejections make the exit code 2.
func (i *documentImport) report(out io.Writer, f *format) error {
	var err error
	if f.machine() {
		err = f.encode(out, i.result)
	} else {
		err = printTable(out, i.result.table())
	}
	if err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	if i.result.Rejected > 0 {
		return inputErrorf("%d of %d documents were rejected", i.result.Rejected, i.result.Read)
	}
	return nil
}

func (r importResult) table() [][]string {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	rows := [][]string{
		{"read", number(r.Read)}, {"accepted", number(r.Accepted)}, {"unchanged", number(r.Unchanged)},
		{"superseded", number(r.Superseded)}, {"rejected", number(r.Rejected)},
	}
	if r.Resent > 0 {
		rows = append(rows, []string{"sent again", number(r.Resent), "after a broken connection; what was known already counts as unchanged"})
	}
	if r.Resumed > 0 {
		rows = append(rows, []string{"resumed", number(r.Resumed), "acknowledged to an earlier run"})
	}
	return rows
}
