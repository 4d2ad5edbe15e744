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

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/feed"
)

func ledgerCommand() *cobra.Command {
	var c connection
	command := group("ledger", "Import evidence and read originals", "Import evidence into the ledger and read it back.\n\n"+exitCodesHelp)
	c.addFlags(command)
	command.AddCommand(ledgerImportCommand(&c), ledgerGetCommand(&c))
	return command
}

func ledgerImportCommand(c *connection) *cobra.Command {
	var source, stream string
	var f *format
	command := leaf("import PATH...", "Import files and directories", cobra.MinimumNArgs(1),
		func(command *cobra.Command, paths []string) error {
			for _, name := range []string{source, stream} {
				if name != "" && !ledger.ValidName(name) {
					return inputErrorf("%q is not a name: 1 to %d letters, digits and . _ + -", name, ledger.MaxName)
				}
			}
			opened, err := c.open()
			if err != nil {
				return err
			}
			i := &documentImport{client: opened, reader: feed.Reader{Source: source, Stream: stream, Stdin: command.InOrStdin()}, errOut: command.ErrOrStderr()}
			i.showRejections = !f.json()
			if err := i.run(command.Context(), paths); err != nil {
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
on. Importing again is safe: known documents count as unchanged.

` + exitCodesHelp
	command.Flags().StringVar(&source, "source", "", "who published the documents (default: what their format says)")
	command.Flags().StringVar(&stream, "stream", "", "which collection they belong to (default: name of the archive or folder)")
	f = addFormat(command)
	return command
}

// documentImport is one run of "ledger import".
type documentImport struct {
	client         *client.Client
	reader         feed.Reader
	errOut         io.Writer
	shown          *progress
	showRejections bool

	mu     sync.Mutex // the reader rejects while the server rejects
	result importResult
	sent   int64
}

// importResult is what the command prints: Accepted + Unchanged + Superseded +
// Rejected = Read, what could not be read here included.
type importResult struct {
	Read       int64              `json:"read"`
	Accepted   int64              `json:"accepted"`
	Unchanged  int64              `json:"unchanged"`
	Superseded int64              `json:"superseded"`
	Rejected   int64              `json:"rejected"`
	Rejections []ledger.Rejection `json:"rejections"`
}

// errStopped ends the reading when the server takes no more.
var errStopped = errors.New("the server takes no more documents")

func (i *documentImport) run(ctx context.Context, paths []string) error {
	i.shown = startProgress(i.errOut)
	i.result.Rejections = []ledger.Rejection{}
	records := func(yield func(client.ImportRecord, error) bool) {
		i.reader.Entry = func(e ledger.Entry) error {
			i.sent++
			i.shown.say("%d documents sent", i.sent)
			if !yield(client.ImportRecord{Source: e.Source, Stream: e.Stream, File: e.File, Entry: e.Name, Bytes: e.Bytes}, nil) {
				return errStopped
			}
			return nil
		}
		i.reader.Reject = func(r ledger.Rejection) error {
			i.mu.Lock()
			i.result.Read++
			i.mu.Unlock()
			return i.reject(r)
		}
		if err := i.reader.Read(ctx, paths...); err != nil && !errors.Is(err, errStopped) {
			yield(client.ImportRecord{}, err)
		}
	}
	summary, err := i.client.ImportDocuments(ctx, records, func(r client.Rejection) error {
		return i.reject(ledger.Rejection{File: r.File, Entry: r.Entry, Reason: r.Reason})
	})
	i.shown.stop()
	if client.Temporary(err) {
		return fmt.Errorf("%w; run the same command again, what was taken counts as unchanged then", err)
	}
	if err != nil {
		return err
	}
	return i.account(summary)
}

// account adds the server's counts to ours and holds them to each other.
func (i *documentImport) account(s client.ImportSummary) error {
	i.result.Read += s.Read
	i.result.Accepted, i.result.Unchanged, i.result.Superseded = s.Accepted, s.Unchanged, s.Superseded
	i.result.Rejected = int64(len(i.result.Rejections))
	slices.SortFunc(i.result.Rejections, byPlace)
	r := i.result
	if s.Read != i.sent || r.Accepted+r.Unchanged+r.Superseded+r.Rejected != r.Read {
		return fmt.Errorf("the counts do not add up: %d sent, the server tells of %d read, %d accepted, %d unchanged, %d superseded, %d rejected",
			i.sent, s.Read, s.Accepted, s.Unchanged, s.Superseded, s.Rejected)
	}
	return nil
}

// byPlace orders rejections by file and entry ("line 9" before "line 10"): they
// come from here and from the server at the same time, in any order.
func byPlace(a, b ledger.Rejection) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(len(a.Entry), len(b.Entry)),
		cmp.Compare(a.Entry, b.Entry), cmp.Compare(a.Reason, b.Reason))
}

func (i *documentImport) reject(r ledger.Rejection) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.result.Rejections = append(i.result.Rejections, r)
	if i.showRejections {
		where := r.File
		if r.Entry != "" {
			where += " (" + r.Entry + ")"
		}
		i.shown.line("rejected " + printable(where) + ": " + printable(r.Reason))
	}
	return nil
}

// report prints the result; rejections make the exit code 2.
func (i *documentImport) report(out io.Writer, f *format) error {
	var err error
	if f.json() {
		err = printJSON(out, i.result)
	} else {
		number := func(n int64) string { return strconv.FormatInt(n, 10) }
		err = printTable(out, [][]string{
			{"read", number(i.result.Read)}, {"accepted", number(i.result.Accepted)}, {"unchanged", number(i.result.Unchanged)},
			{"superseded", number(i.result.Superseded)}, {"rejected", number(i.result.Rejected)},
		})
	}
	if err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	if i.result.Rejected > 0 {
		return inputErrorf("%d of %d documents were rejected", i.result.Rejected, i.result.Read)
	}
	return nil
}

func ledgerGetCommand(c *connection) *cobra.Command {
	var output string
	command := leaf("get DIGEST", "Print the original bytes of a document", cobra.ExactArgs(1),
		func(command *cobra.Command, args []string) error {
			if _, err := bundle.ParseDigest(args[0]); err != nil {
				return &exitError{err, exitInput}
			}
			opened, err := c.open()
			if err != nil {
				return err
			}
			raw, err := opened.Original(command.Context(), args[0])
			if err != nil {
				return err
			}
			write := func(w io.Writer) error {
				_, err := w.Write(raw)
				return err
			}
			if output == "" {
				return write(command.OutOrStdout())
			}
			return writeAtomically(output, write)
		})
	command.Flags().StringVar(&output, "output", "", "write to this file instead")
	return command
}
