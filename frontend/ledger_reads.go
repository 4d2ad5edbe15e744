package frontend

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

const (
	defaultTop = 20
	maxTop     = 100
)

// LedgerStats counts what the ledger holds as of a moment.
func (h handlers) LedgerStats(ctx context.Context, req LedgerStatsRequestObject) (LedgerStatsResponseObject, error) {
	who := callOf(ctx).principal
	top := defaultTop
	if req.Params.Top != nil {
		if top = *req.Params.Top; top < 1 || top > maxTop {
			return nil, fieldError(export.CodeValidation, "top", "must be 1 to %d", maxTop)
		}
	}
	seq, head, err := h.moment(ctx, who.Tenant, req.Params.AsOf)
	if err != nil {
		return nil, err
	}
	stats, err := h.cfg.Catalog.Stats(ctx, who.Tenant, who.Project, seq, top)
	if err != nil {
		return nil, fmt.Errorf("ledger stats: %w", err)
	}
	return LedgerStats200JSONResponse{
		AsOf: seq, Head: head, FirstRecorded: stats.First, LastRecorded: stats.Last,
		Documents: stats.Total.Documents, Removed: stats.Removed, Revisions: stats.Total.Revisions, Bytes: stats.Total.Bytes,
		Kinds: countsDocument(stats.Kinds), Sources: countsDocument(stats.Sources),
		Formats: countsDocument(stats.Formats), Ecosystems: countsDocument(stats.Ecosystems),
	}, nil
}

func countsDocument(counts []ledger.NamedCount) []LedgerCount {
	doc := []LedgerCount{}
	for _, c := range counts {
		doc = append(doc, LedgerCount{Name: c.Name, Documents: c.Documents, Revisions: c.Revisions, Bytes: c.Bytes})
	}
	return doc
}

// ListDocuments gives a page of current documents.
func (h handlers) ListDocuments(ctx context.Context, req ListDocumentsRequestObject) (ListDocumentsResponseObject, error) {
	who := callOf(ctx).principal
	filter, err := documentFilter(req.Params)
	if err != nil {
		return nil, err
	}
	seq, head, err := h.moment(ctx, who.Tenant, req.Params.AsOf)
	if err != nil {
		return nil, err
	}
	if req.Params.Cursor != nil {
		cursor, err := parseListCursor(*req.Params.Cursor, filter)
		if err != nil {
			return nil, err
		}
		if cursor.asOf > head || req.Params.AsOf != nil && cursor.asOf != seq {
			return nil, errNotOurCursor()
		}
		seq, filter.After = cursor.asOf, cursor.after
	}
	found, next, err := h.cfg.Catalog.Documents(ctx, who.Tenant, who.Project, seq, filter)
	if err != nil {
		return nil, fmt.Errorf("list documents: %w", err)
	}
	page := DocumentPage{AsOf: seq, Documents: []LedgerDocument{}}
	for _, d := range found {
		page.Documents = append(page.Documents, LedgerDocument{
			Seq: d.Seq, Kind: string(d.Kind), Format: d.Format, UpstreamID: d.UpstreamID, Source: d.Source, Stream: d.Stream,
			Subject: d.Subject, Modified: d.Modified, Digest: d.Digest.String(), Bytes: d.Bytes, Removed: removalDocument(d.Removal),
		})
	}
	if next > 0 {
		page.NextCursor = listCursor{asOf: seq, after: next}.encode(filter)
	}
	return ListDocuments200JSONResponse(page), nil
}

// moment reads the asOf parameter: a sequence, or the last one recorded until
// a time. It gives the head too.
func (s *Server) moment(ctx context.Context, tenant string, asOf *string) (seq, head int64, err error) {
	if head, err = s.cfg.Ledger.Head(ctx, tenant); err != nil {
		return 0, 0, fmt.Errorf("read ledger head: %w", err)
	}
	if asOf == nil {
		return head, head, nil
	}
	if seq, err := strconv.ParseInt(*asOf, 10, 64); err == nil && *asOf == strconv.FormatInt(seq, 10) && seq >= 0 {
		if seq > head {
			return 0, 0, fieldError(export.CodeValidation, "asOf", "the ledger has no sequence %d yet; its last is %d", seq, head)
		}
		return seq, head, nil
	}
	at, err := time.Parse(time.RFC3339Nano, *asOf)
	if len(*asOf) > maxTimeText || err != nil || at.UTC().Year() < 1 || at.UTC().Year() > 9999 {
		return 0, 0, fieldError(export.CodeValidation, "asOf", "must be a ledger sequence or an RFC 3339 time such as 2026-11-21T08:00:00Z")
	}
	if seq, err = s.cfg.Catalog.SeqAt(ctx, tenant, at.UTC()); err != nil {
		return 0, 0, err
	}
	return min(seq, head), head, nil // what was recorded since the head was read is not looked at
}

// documentFilter checks the filters of a list.
func documentFilter(p ListDocumentsParams) (ledger.DocumentFilter, error) {
	filter := ledger.DocumentFilter{Limit: defaultPage}
	for _, text := range []struct {
		name  string
		value *string
		limit int
		out   *string
	}{
		{"kind", p.Kind, maxSelectorText, (*string)(&filter.Kind)},
		{"source", p.Source, ledger.MaxName, &filter.Source},
		{"stream", p.Stream, ledger.MaxName, &filter.Stream},
		{"ecosystem", p.Ecosystem, ledger.MaxTerm, &filter.Ecosystem},
		{"upstreamId", p.UpstreamID, ledger.MaxUpstreamID, &filter.UpstreamID},
		{"purl", p.Purl, ledger.MaxTerm, &filter.PurlPrefix},
	} {
		if text.value == nil {
			continue
		}
		if *text.value == "" || len(*text.value) > text.limit || !plainText(*text.value) {
			return filter, fieldError(export.CodeValidation, text.name, "must be 1 to %d bytes of text without control characters", text.limit)
		}
		*text.out = *text.value
	}
	if filter.Kind != "" {
		if _, err := knownKind(string(filter.Kind)); err != nil {
			return filter, fieldError(export.CodeValidation, "kind", "%v", err)
		}
	}
	filter.Removed = removedFilter(p.Removed, filter)
	if p.Limit != nil {
		if filter.Limit = *p.Limit; filter.Limit < 1 || filter.Limit > maxPage {
			return filter, fieldError(export.CodeValidation, "limit", "must be 1 to %d", maxPage)
		}
	}
	return filter, nil
}

// removedFilter: a list has what is there, unless it is asked for what was removed;
// who asks for one document learns either.
func removedFilter(asked *bool, filter ledger.DocumentFilter) ledger.Removed {
	switch {
	case asked != nil && *asked:
		return ledger.OnlyRemoved
	case asked == nil && filter.UpstreamID != "":
		return ledger.WithRemoved
	}
	return ledger.WithoutRemoved
}

// filterMark is a short name of a list's filters, so that a cursor is not
// taken for another list's. The page size may change.
func filterMark(f ledger.DocumentFilter) string {
	parts := ""
	for _, part := range []string{string(f.Kind), f.Source, f.Stream, f.Ecosystem, f.UpstreamID, f.PurlPrefix, strconv.Itoa(int(f.Removed))} {
		parts += part + "\n" // no value holds a line feed
	}
	return bundle.DigestOf([]byte(parts)).Hex()[:16]
}
