package client

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
)

// MaxPolicyPack is the most bytes of a policy pack.
const MaxPolicyPack = 4 << 20

// ListPolicySnapshots gives a page of policy snapshots, ordered by name and version.
func (c *Client) ListPolicySnapshots(ctx context.Context, params ListPolicySnapshotsParams) (PolicySnapshotPage, error) {
	return repeated(ctx, func() (PolicySnapshotPage, error) {
		var page PolicySnapshotPage
		resp, err := c.api.ListPolicySnapshots(ctx, &params)
		if resp, err = expect(resp, err, http.StatusOK); err != nil {
			return page, fmt.Errorf("list policy snapshots: %w", err)
		}
		return page, decode(resp, &page)
	})
}

// GetPolicySnapshot gives a policy snapshot by its id.
func (c *Client) GetPolicySnapshot(ctx context.Context, id string) (PolicySnapshot, error) {
	return repeated(ctx, func() (PolicySnapshot, error) {
		resp, err := c.api.GetPolicySnapshot(ctx, id, nil)
		return policySnapshot(resp, err, "get policy snapshot "+id, http.StatusOK)
	})
}

func policySnapshot(resp *http.Response, err error, what string, wanted ...int) (PolicySnapshot, error) {
	var s PolicySnapshot
	if resp, err = expect(resp, err, wanted...); err != nil {
		return s, fmt.Errorf("%s: %w", what, err)
	}
	return s, decode(resp, &s)
}

// ImportPolicySnapshot imports a policy pack, an OPA bundle of at most MaxPolicyPack
// bytes, under a name. The same pack under the same name is one snapshot, so the call is
// repeated when the answer is lost; the same name and version with other bytes is a
// *Problem of status 409, and a pack that is refused is one of 422.
func (c *Client) ImportPolicySnapshot(ctx context.Context, name, description string, pack []byte) (PolicySnapshot, error) {
	params := &ImportPolicySnapshotParams{Name: name}
	if description != "" {
		params.Description = &description
	}
	return repeated(ctx, func() (PolicySnapshot, error) {
		resp, err := c.api.ImportPolicySnapshotWithBody(ctx, params, "application/gzip", bytes.NewReader(pack))
		return policySnapshot(resp, err, "import policy pack "+name, http.StatusCreated, http.StatusOK)
	})
}

// ArchivePolicySnapshot keeps a policy snapshot from making new runs. Archiving twice is
// archiving once.
func (c *Client) ArchivePolicySnapshot(ctx context.Context, id string) (PolicySnapshot, error) {
	return repeated(ctx, func() (PolicySnapshot, error) {
		resp, err := c.api.ArchivePolicySnapshot(ctx, id, nil)
		return policySnapshot(resp, err, "archive policy snapshot "+id, http.StatusOK)
	})
}

// PolicyPack gives a policy pack byte for byte as it was imported, compared with the
// digest that the server promises.
func (c *Client) PolicyPack(ctx context.Context, id string) ([]byte, error) {
	return repeated(ctx, func() ([]byte, error) {
		resp, err := c.api.GetPolicyPack(ctx, id, nil)
		return stored(resp, err, "pack of policy snapshot "+id)
	})
}
