package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/ledger"
)

// removeFlags are what "ledger remove" can be told.
type removeFlags struct {
	source, stream, kind, reason, at, file string
	format                                 *format
}

func ledgerRemoveCommand(c *connection) *cobra.Command {
	var flags removeFlags
	command := leaf("remove [ID...]", "Say that documents are not published any more", flags.someDocuments,
		func(command *cobra.Command, args []string) error {
			about, at, err := flags.parse()
			if err != nil {
				return err
			}
			opened, err := c.open()
			if err != nil {
				return err
			}
			ids, err := flags.ids(args, command.InOrStdin())
			if err != nil {
				return err
			}
			result, err := removeDocuments(command.Context(), opened, client.RemovalRequest{Time: at, Reason: flags.reason}, about, ids)
			if err != nil {
				return err
			}
			return flags.report(command.OutOrStdout(), command.ErrOrStderr(), result)
		})
	command.Long = `Record that the publisher of documents has removed them. A document is named by
its source, stream, kind and id, as "stella ledger list" shows them.

Nothing is deleted: as of an earlier sequence the documents are there, and
bundles of then can be made again. A removal holds against every revision that
was modified until its time; a document that is modified later is back as soon
as it is imported. Removing again changes nothing.

A document that the ledger never had is an error, and so is one that was
modified after --at, which stays; the others are removed.

` + exitCodesHelp
	f := command.Flags()
	f.StringVar(&flags.source, "source", "", "who published the documents")
	f.StringVar(&flags.stream, "stream", "", "which collection they belong to")
	f.StringVar(&flags.kind, "kind", "", "which kind of evidence they are")
	f.StringVar(&flags.reason, "reason", "", "why, in one line")
	f.StringVar(&flags.at, "at", "", "when they were removed, a day or a time (default: now)")
	f.StringVar(&flags.file, "from-file", "", "read more ids from `FILE`, one per line; - is standard input")
	flags.format = addFormat(command)
	return command
}

// someDocuments wants ids, here or in a file.
func (f *removeFlags) someDocuments(_ *cobra.Command, args []string) error {
	if len(args) == 0 && f.file == "" {
		return errors.New("name the documents to remove, or a file of their ids with --from-file")
	}
	return nil
}

// parse checks what all documents share; at is nil when no time was stated.
func (f *removeFlags) parse() (about client.DocumentIdentity, at *time.Time, err error) {
	for _, name := range []struct{ flag, value string }{{"source", f.source}, {"stream", f.stream}} {
		if !ledger.ValidName(name.value) {
			return about, nil, inputErrorf("--%s %q: want 1 to %d letters, digits and . _ + -", name.flag, name.value, ledger.MaxName)
		}
	}
	if !ledger.Kind(f.kind).Valid() {
		return about, nil, inputErrorf("--kind %q: want one of %v", f.kind, ledger.Kinds)
	}
	if f.at != "" {
		text, err := parseTime(f.at)
		if err != nil {
			return about, nil, inputErrorf("--at: %w", err)
		}
		stated, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return about, nil, inputErrorf("--at: %w", err)
		}
		at = &stated
	}
	return client.DocumentIdentity{Source: f.source, Stream: f.stream, Kind: f.kind}, at, nil
}

// maxIDsFile bounds a file of ids: it is held in memory.
const maxIDsFile = 256 << 20

// ids gives the ids of the command line and those of the file.
func (f *removeFlags) ids(args []string, stdin io.Reader) ([]string, error) {
	ids := slices.Clone(args)
	if f.file == "" {
		return ids, nil
	}
	from := stdin
	if f.file != "-" {
		file, err := os.Open(f.file)
		if err != nil {
			return nil, inputErrorf("--from-file: %w", err)
		}
		defer file.Close() //nolint:errcheck // it is only read
		from = file
	}
	limited := &io.LimitedReader{R: from, N: maxIDsFile + 1}
	lines := bufio.NewScanner(limited)
	for n := 1; lines.Scan(); n++ {
		switch id := strings.TrimSuffix(lines.Text(), "\r"); {
		case len(id) > ledger.MaxUpstreamID:
			return nil, inputErrorf("%s, line %d: an id has at most %d bytes", f.file, n, ledger.MaxUpstreamID)
		case id != "":
			ids = append(ids, id)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, inputErrorf("read %s: %w", f.file, err)
	}
	if limited.N == 0 {
		return nil, inputErrorf("%s has more than %d bytes; remove its documents in parts", f.file, maxIDsFile)
	}
	if len(ids) == 0 {
		return nil, inputErrorf("%s names no documents", f.file)
	}
	return ids, nil
}

// removeDocuments removes in as many calls as it takes. What was removed before
// an error stays removed, and the same command again goes on.
func removeDocuments(ctx context.Context, c *client.Client, request client.RemovalRequest, about client.DocumentIdentity, ids []string) (client.RemovalResult, error) {
	sum := client.RemovalResult{Errors: []client.RemovalError{}}
	for part := range slices.Chunk(ids, client.MaxRemovals) {
		request.Documents = request.Documents[:0]
		for _, id := range part {
			about.UpstreamID = id
			request.Documents = append(request.Documents, about)
		}
		result, err := c.RemoveDocuments(ctx, request)
		if err != nil {
			return sum, err
		}
		for _, e := range result.Errors {
			e.Document += int(sum.Read)
			sum.Errors = append(sum.Errors, e)
		}
		sum.Read, sum.Removed, sum.Unchanged = sum.Read+result.Read, sum.Removed+result.Removed, sum.Unchanged+result.Unchanged
		sum.Superseded, sum.Absent = sum.Superseded+result.Superseded, sum.Absent+result.Absent
	}
	return sum, nil
}

// report prints the result; documents that were not removed, since the ledger never had
// them or has a later revision, make the exit code 2.
func (f *removeFlags) report(out, errOut io.Writer, r client.RemovalResult) error {
	if f.format.machine() {
		if err := f.format.encode(out, r); err != nil {
			return fmt.Errorf("print the result: %w", err)
		}
	} else {
		for _, e := range r.Errors {
			fmt.Fprintf(errOut, "not removed %s: %s\n", printable(e.Identity.UpstreamID), printable(e.Reason)) //nolint:errcheck // the result says how many
		}
		number := func(n int64) string { return strconv.FormatInt(n, 10) }
		rows := [][]string{{"read", number(r.Read)}, {"removed", number(r.Removed)}, {"unchanged", number(r.Unchanged)},
			{"superseded", number(r.Superseded)}, {"absent", number(r.Absent)}}
		if err := printTable(out, rows); err != nil {
			return fmt.Errorf("print the result: %w", err)
		}
	}
	switch {
	case r.Absent > 0 && r.Superseded > 0:
		return inputErrorf("of %d documents the ledger never had %d, and %d that were modified after --at stay", r.Read, r.Absent, r.Superseded)
	case r.Absent > 0:
		return inputErrorf("the ledger never had %d of %d documents", r.Absent, r.Read)
	case r.Superseded > 0:
		return inputErrorf("%d of %d documents were modified after --at, and stay", r.Superseded, r.Read)
	}
	return nil
}
