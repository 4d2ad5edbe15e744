package client

import (
	"context"
	"fmt"
	"net/http"
)

// ListProfiles gives a page of profiles, ordered by name.
func (c *Client) ListProfiles(ctx context.Context, params ListProfilesParams) (ProfilePage, error) {
	return repeated(ctx, func() (ProfilePage, error) {
		var page ProfilePage
		resp, err := c.api.ListProfiles(ctx, &params)
		if resp, err = expect(resp, err, http.StatusOK); err != nil {
			return page, fmt.Errorf("list profiles: %w", err)
		}
		return page, decode(resp, &page)
	})
}

// ProfileState is a profile and the tag that tells this state of it from others.
type ProfileState struct {
	Profile
	Tag string // for UpdateProfile and ArchiveProfile
}

func profileState(resp *http.Response, err error, wanted int) (ProfileState, error) {
	var state ProfileState
	if resp, err = expect(resp, err, wanted); err != nil {
		return state, err
	}
	state.Tag = resp.Header.Get("ETag")
	return state, decode(resp, &state.Profile)
}

// GetProfile gives a profile by id or name, with its newest revision.
func (c *Client) GetProfile(ctx context.Context, ref string) (ProfileState, error) {
	return repeated(ctx, func() (ProfileState, error) {
		resp, err := c.api.GetProfile(ctx, ref, nil)
		state, err := profileState(resp, err, http.StatusOK)
		if err != nil {
			return state, fmt.Errorf("get profile %s: %w", ref, err)
		}
		return state, nil
	})
}

// ListProfileRevisions gives a page of a profile's revisions, newest first.
func (c *Client) ListProfileRevisions(ctx context.Context, ref string, params ListProfileRevisionsParams) (RevisionPage, error) {
	return repeated(ctx, func() (RevisionPage, error) {
		var page RevisionPage
		resp, err := c.api.ListProfileRevisions(ctx, ref, &params)
		if resp, err = expect(resp, err, http.StatusOK); err != nil {
			return page, fmt.Errorf("list revisions of profile %s: %w", ref, err)
		}
		return page, decode(resp, &page)
	})
}

// CreateProfile makes a profile. With an idempotency key, chosen freely, the
// call is repeated when the answer is lost, and makes one profile only.
func (c *Client) CreateProfile(ctx context.Context, req ProfileRequest, idempotencyKey string) (ProfileState, error) {
	params := &CreateProfileParams{}
	call := func() (ProfileState, error) {
		resp, err := c.api.CreateProfile(ctx, params, req)
		state, err := profileState(resp, err, http.StatusCreated)
		if err != nil {
			return state, fmt.Errorf("create profile %s: %w", req.Name, err)
		}
		return state, nil
	}
	if idempotencyKey == "" {
		return call()
	}
	params.IdempotencyKey = &idempotencyKey
	return repeated(ctx, call)
}

// UpdateProfile changes the state of a profile that tag names; "*" is whichever
// is there. When somebody else has changed it meanwhile the error is a *Problem
// of status 412, and nothing is changed. The call is not repeated: whether a lost
// answer was a yes, GetProfile tells.
func (c *Client) UpdateProfile(ctx context.Context, ref, tag string, patch ProfilePatch) (ProfileState, error) {
	resp, err := c.api.UpdateProfile(ctx, ref, &UpdateProfileParams{IfMatch: &tag}, patch)
	state, err := profileState(resp, err, http.StatusOK)
	if err != nil {
		return state, fmt.Errorf("update profile %s: %w", ref, err)
	}
	return state, nil
}

// ArchiveProfile keeps a profile from making new runs. With a tag other than ""
// it does so only in the state that the tag names. Archiving twice is archiving once.
func (c *Client) ArchiveProfile(ctx context.Context, ref, tag string) (ProfileState, error) {
	params := &ArchiveProfileParams{}
	if tag != "" {
		params.IfMatch = &tag
	}
	return repeated(ctx, func() (ProfileState, error) {
		resp, err := c.api.ArchiveProfile(ctx, ref, params)
		state, err := profileState(resp, err, http.StatusOK)
		if err != nil {
			return state, fmt.Errorf("archive profile %s: %w", ref, err)
		}
		return state, nil
	})
}
