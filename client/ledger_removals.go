package client

import (
	"context"
	"fmt"
	"net/http"
)

// MaxRemovals is how many documents one RemoveDocuments may name.
const MaxRemovals = 1000

// RemoveDocuments says that documents are not published any more. Nothing is
// deleted: as of an earlier sequence they are still there. Those that the ledger
// never had are in Errors, and the others are removed. The same again changes
// nothing, so the call is repeated when the answer is lost.
func (c *Client) RemoveDocuments(ctx context.Context, request RemovalRequest) (RemovalResult, error) {
	return repeated(ctx, func() (RemovalResult, error) {
		var result RemovalResult
		resp, err := c.api.RemoveDocuments(ctx, nil, request)
		if resp, err = expect(resp, err, http.StatusOK); err != nil {
			return result, fmt.Errorf("remove documents: %w", err)
		}
		return result, decode(resp, &result)
	})
}
