package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
)

// DiffRuns gives a page of what changed from one run to another. A page may hold fewer
// changes than were asked for, and none, and still have a NextCursor.
func (c *Client) DiffRuns(ctx context.Context, from, to string, params GetRunDiffParams) (RunDiff, error) {
	return repeated(ctx, func() (RunDiff, error) {
		var page RunDiff
		resp, err := c.api.GetRunDiff(ctx, from, to, &params)
		if resp, err = expect(resp, err, http.StatusOK); err != nil {
			return page, fmt.Errorf("compare runs %s and %s: %w", from, to, err)
		}
		return page, decode(resp, &page)
	})
}

// AllChanges gives what changed from one run to another, in the order of an export.
func (c *Client) AllChanges(ctx context.Context, from, to string, params GetRunDiffParams) iter.Seq2[DocumentChange, error] {
	return paged(func(cursor string) ([]DocumentChange, string, error) {
		params.Cursor = given(cursor, params.Cursor)
		page, err := c.DiffRuns(ctx, from, to, params)
		return page.Changes, page.NextCursor, err
	})
}
