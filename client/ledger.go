package client

import (
	"context"
	"fmt"
	"net/http"
)

// LedgerStats counts what the ledger holds as of a moment.
func (c *Client) LedgerStats(ctx context.Context, params LedgerStatsParams) (LedgerStats, error) {
	return repeated(ctx, func() (LedgerStats, error) {
		var stats LedgerStats
		resp, err := c.api.LedgerStats(ctx, &params)
		if resp, err = expect(resp, err, http.StatusOK); err != nil {
			return stats, fmt.Errorf("ledger stats: %w", err)
		}
		return stats, decode(resp, &stats)
	})
}

// ListDocuments gives a page of current documents, in the order in which they
// were recorded. With filters a page may hold fewer than were asked for and
// still have a NextCursor.
func (c *Client) ListDocuments(ctx context.Context, params ListDocumentsParams) (DocumentPage, error) {
	return repeated(ctx, func() (DocumentPage, error) {
		var page DocumentPage
		resp, err := c.api.ListDocuments(ctx, &params)
		if resp, err = expect(resp, err, http.StatusOK); err != nil {
			return page, fmt.Errorf("list documents: %w", err)
		}
		return page, decode(resp, &page)
	})
}
