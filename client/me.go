package client

import (
	"context"
	"fmt"
	"net/http"
)

// Me says who the token speaks for and what it may do, so that a program can hide
// what is not allowed.
func (c *Client) Me(ctx context.Context) (Me, error) {
	return repeated(ctx, func() (Me, error) {
		var me Me
		resp, err := c.api.GetMe(ctx, nil)
		if resp, err = expect(resp, err, http.StatusOK); err != nil {
			return me, fmt.Errorf("who am I: %w", err)
		}
		return me, decode(resp, &me)
	})
}
