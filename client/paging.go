package client

import (
	"context"
	"errors"
	"iter"
)

// The iterators below read a list page by page, as far as their reader goes: a page is
// asked for when the one before it is used up. An error is their last pair. The page
// size is Limit of the parameters; a list that grows meanwhile is read without gaps.

// AllRuns gives runs, newest first.
func (c *Client) AllRuns(ctx context.Context, params ListRunsParams) iter.Seq2[Run, error] {
	return paged(func(cursor string) ([]Run, string, error) {
		params.Cursor = given(cursor, params.Cursor)
		page, err := c.ListRuns(ctx, params)
		return page.Runs, page.NextCursor, err
	})
}

// AllProfiles gives profiles by name.
func (c *Client) AllProfiles(ctx context.Context, params ListProfilesParams) iter.Seq2[Profile, error] {
	return paged(func(cursor string) ([]Profile, string, error) {
		params.Cursor = given(cursor, params.Cursor)
		page, err := c.ListProfiles(ctx, params)
		return page.Profiles, page.NextCursor, err
	})
}

// AllPolicySnapshots gives policy snapshots by name and version.
func (c *Client) AllPolicySnapshots(ctx context.Context, params ListPolicySnapshotsParams) iter.Seq2[PolicySnapshot, error] {
	return paged(func(cursor string) ([]PolicySnapshot, string, error) {
		params.Cursor = given(cursor, params.Cursor)
		page, err := c.ListPolicySnapshots(ctx, params)
		return page.PolicySnapshots, page.NextCursor, err
	})
}

// AllDocuments gives current documents in the order of recording, all as of the moment
// of the first page.
func (c *Client) AllDocuments(ctx context.Context, params ListDocumentsParams) iter.Seq2[LedgerDocument, error] {
	return paged(func(cursor string) ([]LedgerDocument, string, error) {
		if cursor != "" {
			params.AsOf, params.Cursor = nil, &cursor // the cursor keeps the moment
		}
		page, err := c.ListDocuments(ctx, params)
		return page.Documents, page.NextCursor, err
	})
}

// AllTenants gives tenants by name; for an administrator of the installation.
func (c *Client) AllTenants(ctx context.Context, params ListTenantsParams) iter.Seq2[TenantInfo, error] {
	return paged(func(cursor string) ([]TenantInfo, string, error) {
		params.Cursor = given(cursor, params.Cursor)
		page, err := c.ListTenants(ctx, params)
		return page.Tenants, page.NextCursor, err
	})
}

// AllAudit gives the tenant's audit record in the order in which it was written.
func (c *Client) AllAudit(ctx context.Context, params ListAuditEntriesParams) iter.Seq2[AuditEntry, error] {
	return func(yield func(AuditEntry, error) bool) {
		for {
			page, err := c.ListAudit(ctx, params)
			if err != nil {
				yield(AuditEntry{}, err)
				return
			}
			for _, entry := range page.Entries {
				if !yield(entry, nil) {
					return
				}
			}
			switch {
			case page.Next == 0:
				return
			case params.After != nil && page.Next <= *params.After:
				yield(AuditEntry{}, errStandingStill)
				return
			}
			params.After = &page.Next
		}
	}
}

// errStandingStill ends a list whose next page is the one that was read.
var errStandingStill = errors.New("the server gives a page of a list that was read already")

func given(cursor string, first *string) *string {
	if cursor == "" {
		return first
	}
	return &cursor
}

// paged reads pages until there is none, each with the cursor of the one before.
func paged[T any](read func(cursor string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		cursor := ""
		for {
			items, next, err := read(cursor)
			if err == nil && next != "" && next == cursor {
				err = errStandingStill
			}
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			cursor = next
		}
	}
}
