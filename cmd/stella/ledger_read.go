package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/client"
)

const asOfHelp = "look at this moment: a ledger sequence, a day or a time (default: now)"

// asOf reads the value of --as-of; nil when it was not given.
func asOf(value string) (*string, error) {
	if value == "" {
		return nil, nil
	}
	if _, err := strconv.ParseUint(value, 10, 63); err == nil {
		return &value, nil
	}
	at, err := parseTime(value)
	if err != nil {
		return nil, inputErrorf("--as-of: want a ledger sequence or a time: %w", err)
	}
	return &at, nil
}

func ledgerStatsCommand(c *connection) *cobra.Command {
	var moment string
	var top int
	var f *format
	command := leaf("stats", "Count what the ledger holds", cobra.NoArgs, func(command *cobra.Command, _ []string) error {
		at, err := asOf(moment)
		if err != nil {
			return err
		}
		opened, err := c.open()
		if err != nil {
			return err
		}
		stats, err := opened.LedgerStats(command.Context(), client.LedgerStatsParams{AsOf: at, Top: &top})
		if err != nil {
			return err
		}
		if f.machine() {
			return f.encode(command.OutOrStdout(), stats)
		}
		return printTable(command.OutOrStdout(), statsRows(stats))
	})
	command.Flags().StringVar(&moment, "as-of", "", asOfHelp)
	command.Flags().IntVar(&top, "top", 20, "at most this many sources, formats and ecosystems, 1 to 100")
	f = addFormat(command)
	return command
}

// statsRows are the lines of "ledger stats".
func statsRows(stats client.LedgerStats) [][]string {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	rows := [][]string{{"as of", number(stats.AsOf) + " of " + number(stats.Head)}}
	if !stats.FirstRecorded.IsZero() {
		rows = append(rows, []string{"recorded", stats.FirstRecorded.UTC().Format(time.RFC3339) + " to " + stats.LastRecorded.UTC().Format(time.RFC3339)})
	}
	rows = append(rows, []string{"", "", "DOCUMENTS", "REVISIONS", "BYTES"},
		[]string{"all", "", number(stats.Documents), number(stats.Revisions), number(stats.Bytes)})
	if stats.Removed > 0 {
		rows = append(rows, []string{"removed", "", number(stats.Removed)})
	}
	for _, sort := range []struct {
		name   string
		counts []client.LedgerCount
	}{{"kind", stats.Kinds}, {"source", stats.Sources}, {"format", stats.Formats}, {"ecosystem", stats.Ecosystems}} {
		for _, c := range sort.counts {
			rows = append(rows, []string{sort.name, c.Name, number(c.Documents), number(c.Revisions), number(c.Bytes)})
		}
	}
	return rows
}

// listFlags are what "ledger list" can be told.
type listFlags struct {
	moment, kind, source, stream, ecosystem, id, purl, cursor string
	limit                                                     int
	removed                                                   bool
	format                                                    *format
}

func ledgerListCommand(c *connection) *cobra.Command {
	var flags listFlags
	command := leaf("list", "List documents in the order of recording", cobra.NoArgs, func(command *cobra.Command, _ []string) error {
		if flags.limit < 1 {
			return inputErrorf("--limit %d: want at least 1", flags.limit)
		}
		params, err := flags.params()
		if err != nil {
			return err
		}
		opened, err := c.open()
		if err != nil {
			return err
		}
		page, err := listDocuments(command.Context(), opened, params, flags.limit)
		if err != nil {
			return err
		}
		if flags.format.machine() {
			return flags.format.encode(command.OutOrStdout(), page)
		}
		return printTable(command.OutOrStdout(), documentRows(page))
	})
	f := command.Flags()
	f.StringVar(&flags.moment, "as-of", "", asOfHelp)
	f.StringVar(&flags.kind, "kind", "", "only this kind")
	f.StringVar(&flags.source, "source", "", "only from this source")
	f.StringVar(&flags.stream, "stream", "", "only from this stream")
	f.StringVar(&flags.ecosystem, "ecosystem", "", "only of this ecosystem")
	f.StringVar(&flags.id, "id", "", "only the document with this id of its own")
	f.StringVar(&flags.purl, "purl", "", "only with a package URL that begins with this")
	f.BoolVar(&flags.removed, "removed", false, "list what was removed instead of what is there; with --id either is shown without it")
	f.IntVar(&flags.limit, "limit", 50, "at most this many")
	f.StringVar(&flags.cursor, "cursor", "", "continue a list")
	flags.format = addFormat(command)
	return command
}

func (f listFlags) params() (client.ListDocumentsParams, error) {
	at, err := asOf(f.moment)
	given := func(value string) *string {
		if value == "" {
			return nil
		}
		return &value
	}
	var removed *bool
	if f.removed {
		removed = &f.removed
	}
	return client.ListDocumentsParams{AsOf: at, Removed: removed, Kind: given(f.kind), Source: given(f.source), Stream: given(f.stream),
		Ecosystem: given(f.ecosystem), UpstreamID: given(f.id), Purl: given(f.purl), Cursor: given(f.cursor)}, err
}

// maxDocumentPage is the most the API gives at once.
const maxDocumentPage = 200

// listDocuments reads pages until there are limit documents or no more. The
// cursor keeps the moment of the first page.
func listDocuments(ctx context.Context, c *client.Client, params client.ListDocumentsParams, limit int) (client.DocumentPage, error) {
	all := client.DocumentPage{Documents: []client.LedgerDocument{}}
	for {
		size := min(limit-len(all.Documents), maxDocumentPage)
		params.Limit = &size
		page, err := c.ListDocuments(ctx, params)
		if err != nil {
			return all, err
		}
		all.AsOf, all.NextCursor = page.AsOf, page.NextCursor
		all.Documents = append(all.Documents, page.Documents...)
		if page.NextCursor == "" || len(all.Documents) >= limit {
			return all, nil
		}
		params.AsOf, params.Cursor = nil, &page.NextCursor
	}
}

// documentRows are the lines of "ledger list".
func documentRows(page client.DocumentPage) [][]string {
	rows := [][]string{{"KIND", "ID", "SOURCE", "STREAM", "MODIFIED", "DIGEST", "BYTES", "SEQ"}}
	for _, d := range page.Documents {
		row := []string{d.Kind, d.UpstreamID, d.Source, d.Stream, d.Modified, d.Digest,
			strconv.FormatInt(d.Bytes, 10), strconv.FormatInt(d.Seq, 10)}
		if d.Removed != nil {
			row = append(row, strings.TrimSpace("removed "+d.Removed.Time.UTC().Format(time.RFC3339)+" "+d.Removed.Reason))
		}
		rows = append(rows, row)
	}
	if page.NextCursor != "" {
		rows = append(rows, []string{"more: --cursor " + page.NextCursor})
	}
	return rows
}
