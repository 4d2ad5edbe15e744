package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// ListAudit gives a page of the tenant's audit record, in the order in which it
// was written. With filters a page may hold fewer entries than were asked for
// and still have a Next: continue with After set to it.
func (c *Client) ListAudit(ctx context.Context, params ListAuditEntriesParams) (AuditPage, error) {
	return repeated(ctx, func() (AuditPage, error) {
		var page AuditPage
		resp, err := c.api.ListAuditEntries(ctx, &params)
		if resp, err = expect(resp, err, http.StatusOK); err != nil {
			return page, fmt.Errorf("list audit entries: %w", err)
		}
		return page, decode(resp, &page)
	})
}

// ExportAudit writes the tenant's audit record from an entry on (1 = the first)
// to w, up to its last checkpoint. audit.Verify reads it; what is written before
// an error is not an export.
func (c *Client) ExportAudit(ctx context.Context, from int64, w io.Writer) error {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	resp, err := c.api.ExportAudit(ctx, &ExportAuditParams{From: &from})
	if resp, err = expect(resp, err, http.StatusOK); err != nil {
		return fmt.Errorf("export the audit record: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, c.body(resp.Body, giveUp)); err != nil {
		return fmt.Errorf("export the audit record: %w", err)
	}
	return nil
}
