package frontend

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// UpdateProfile changes a profile: a configuration makes a revision, the rest
// changes in place. Whoever changes must have read what is changed.
func (h handlers) UpdateProfile(ctx context.Context, req UpdateProfileRequestObject) (UpdateProfileResponseObject, error) {
	profile, err := h.changeable(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	if req.Params.IfMatch == nil {
		return nil, export.Errorf(export.CodeIfMatch, "send If-Match with the ETag of the profile that you read, or * to change whatever is there")
	}
	change, err := h.changeOf(ctx, req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if req.Body.Config != nil {
		config, err := h.checkConfig(profile.Kind, profile.Variant, *req.Body.Config)
		if err != nil {
			return nil, err
		}
		change.Config = &config
	}
	description := ""
	if change.Description = req.Body.Description; change.Description != nil {
		description = *change.Description
	}
	if req.Body.Labels != nil {
		change.Labels = *req.Body.Labels
	}
	if err := checkDescribed(description, change.Labels); err != nil {
		return nil, err
	}
	changed, err := h.cfg.Profiles.ChangeProfile(ctx, profile.Tenant, profile.ID, change)
	if err != nil {
		return nil, fmt.Errorf("change profile %s: %w", profile.ID, err)
	}
	return UpdateProfile200JSONResponse{Body: profileDocument(changed), Headers: UpdateProfile200ResponseHeaders{ETag: stateTag(changed)}}, nil
}

// ArchiveProfile keeps a profile from making new runs.
func (h handlers) ArchiveProfile(ctx context.Context, req ArchiveProfileRequestObject) (ArchiveProfileResponseObject, error) {
	profile, err := h.changeable(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	change, err := h.changeOf(ctx, req.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	change.Archive = true
	archived, err := h.cfg.Profiles.ChangeProfile(ctx, profile.Tenant, profile.ID, change)
	if err != nil {
		return nil, fmt.Errorf("archive profile %s: %w", profile.ID, err)
	}
	return ArchiveProfile200JSONResponse{Body: profileDocument(archived), Headers: ArchiveProfile200ResponseHeaders{ETag: stateTag(archived)}}, nil
}

// changeable gives a profile of the tenant's own.
func (s *Server) changeable(ctx context.Context, ref string) (export.Profile, error) {
	profile, err := s.findProfile(ctx, ref)
	if err == nil && profile.BuiltIn() {
		err = export.Errorf(export.CodeStateConflict, "profile %s is built in and is not changed; make one of your own", profile.ID)
	}
	return profile, err
}

// changeOf begins a change of the state that If-Match names.
func (s *Server) changeOf(ctx context.Context, ifMatch *string) (storage.ProfileChange, error) {
	change := storage.ProfileChange{By: callOf(ctx).principal.Subject, At: s.clock().UTC()}
	if ifMatch == nil || *ifMatch == "*" {
		return change, nil
	}
	if !oneTag.MatchString(*ifMatch) {
		return change, fieldError(export.CodeValidation, "If-Match", `must be one entity tag, as in the ETag of the profile ("v3"), or *`)
	}
	version, ours := versionOf(*ifMatch)
	if !ours { // well formed, and of no state that there ever was
		version = -1
	}
	change.If = version
	return change, nil
}

var (
	// oneTag is an entity tag (RFC 9110 section 8.8.3); a weak one never matches.
	oneTag   = regexp.MustCompile(`^(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"$`)
	stateTAG = regexp.MustCompile(`^"v([1-9][0-9]{0,17})"$`)
)

// stateTag tells this state of a profile from every other.
func stateTag(p export.Profile) string { return fmt.Sprintf(`"v%d"`, p.Version) }

func versionOf(tag string) (int64, bool) {
	match := stateTAG.FindStringSubmatch(tag)
	if match == nil {
		return 0, false
	}
	version, err := strconv.ParseInt(match[1], 10, 64)
	return version, err == nil
}
