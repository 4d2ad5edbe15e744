package frontend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/profiles"
	"github.com/stella-ops/exportcenter/storage"
)

// ListProfiles gives a page of the caller's profiles.
func (h handlers) ListProfiles(ctx context.Context, req ListProfilesRequestObject) (ListProfilesResponseObject, error) {
	who := callOf(ctx).principal
	filter, err := profileFilter(who, req.Params)
	if err != nil {
		return nil, err
	}
	found, next, err := h.cfg.Profiles.ListProfiles(ctx, who.Tenant, filter)
	if err != nil {
		return nil, fmt.Errorf("list profiles: %w", err)
	}
	page := ProfilePage{Profiles: []Profile{}, NextCursor: next}
	for _, p := range found {
		if ownProfile(who, p) {
			page.Profiles = append(page.Profiles, profileDocument(p))
		}
	}
	return ListProfiles200JSONResponse(page), nil
}

func profileFilter(who Principal, p ListProfilesParams) (storage.ProfileFilter, error) {
	filter := storage.ProfileFilter{Project: who.Project, Archived: storage.ArchivedExclude}
	for _, member := range []struct {
		name string
		in   *string
		out  *string
	}{{"kind", p.Kind, &filter.Kind}, {"variant", p.Variant, &filter.Variant}} {
		if member.in == nil {
			continue
		}
		if *member.in == "" || len(*member.in) > maxKindText || !plainText(*member.in) {
			return filter, fieldError(export.CodeValidation, member.name, "must be 1 to %d bytes of text without control characters", maxKindText)
		}
		*member.out = *member.in
	}
	if p.Archived != nil {
		if filter.Archived = storage.Archived(*p.Archived); !p.Archived.Valid() {
			return filter, fieldError(export.CodeValidation, "archived", "is not one of exclude, include, only")
		}
	}
	var err error
	filter.Limit, filter.Cursor, err = pageOf(p.Limit, p.Cursor)
	return filter, err
}

// pageOf reads what every list takes.
func pageOf(limit *int, cursor *string) (int, string, error) {
	size, from := defaultPage, ""
	if limit != nil {
		if size = *limit; size < 1 || size > maxPage {
			return 0, "", fieldError(export.CodeValidation, "limit", "must be 1 to %d", maxPage)
		}
	}
	if cursor != nil {
		if from = *cursor; len(from) > 512 || !plainText(from) {
			return 0, "", fieldError(export.CodeValidation, "cursor", "is not the cursor of a page")
		}
	}
	return size, from, nil
}

// CreateProfile records a profile.
func (h handlers) CreateProfile(ctx context.Context, req CreateProfileRequestObject) (CreateProfileResponseObject, error) {
	profile, err := h.newProfile(callOf(ctx).principal, *req.Body)
	if err != nil {
		return nil, err
	}
	idem, err := profileKey(req.Params.IdempotencyKey, profile)
	if err != nil {
		return nil, err
	}
	stored, _, err := h.cfg.Profiles.CreateProfile(ctx, profile, idem)
	if export.CodeOf(err) == export.CodeInternal && errors.Is(err, storage.ErrConflict) {
		return nil, errKeyReused()
	}
	if err != nil {
		return nil, fmt.Errorf("record profile: %w", err)
	}
	return CreateProfile201JSONResponse{Body: profileDocument(stored),
		Headers: CreateProfile201ResponseHeaders{Location: profilePath(stored.ID), ETag: stateTag(stored)}}, nil
}

// newProfile turns a request into the profile it describes.
func (s *Server) newProfile(who Principal, req ProfileRequest) (export.Profile, error) {
	if err := export.CheckProfileName(req.Name); err != nil {
		return export.Profile{}, err
	}
	config, err := s.checkConfig(req.Kind, req.Variant, req.Config)
	if err != nil {
		return export.Profile{}, err
	}
	if err := checkDescribed(req.Description, req.Labels); err != nil {
		return export.Profile{}, err
	}
	return export.Profile{
		Tenant: who.Tenant, Project: who.Project, ID: s.ids(), Name: req.Name, Kind: req.Kind, Variant: req.Variant,
		Config: config, Description: req.Description, Labels: req.Labels, CreatedBy: who.Subject, CreatedAt: s.clock().UTC(),
	}, nil
}

// checkConfig holds a configuration against the schema of its kind.
func (s *Server) checkConfig(kind, variant string, config ProfileConfig) (export.ProfileConfig, error) {
	if config == nil {
		config = ProfileConfig{}
	}
	text, err := json.Marshal(config)
	if err != nil {
		return export.ProfileConfig{}, fmt.Errorf("encode configuration: %w", err)
	}
	if len(text) > maxConfig {
		return export.ProfileConfig{}, fieldError(export.CodeValidation, "config", "has %d bytes, at most %d are taken", len(text), maxConfig)
	}
	checked, err := profiles.Check(kind, variant, text)
	if err != nil {
		return checked, err
	}
	return checked, profiles.CheckKeyService(checked, s.cfg.KeyService)
}

func checkDescribed(description string, labels Labels) error {
	if len(description) > maxDescription || !plainText(description) {
		return fieldError(export.CodeValidation, "description", "must be at most %d bytes of text without control characters", maxDescription)
	}
	return checkLabels(labels)
}

// profileKey binds a client's key to what was asked.
func profileKey(key *string, p export.Profile) (storage.Idempotency, error) {
	return keyFor(key, struct {
		Project, Name, Kind, Variant, Description string
		Config                                    export.ProfileConfig
		Labels                                    map[string]string
	}{p.Project, p.Name, p.Kind, p.Variant, p.Description, p.Config, p.Labels})
}

// keyFor binds a client's key to what was asked, not to how it was written.
func keyFor(key *string, asked any) (storage.Idempotency, error) {
	if key == nil {
		return storage.Idempotency{}, nil
	}
	if !idempotencyKey.MatchString(*key) {
		return storage.Idempotency{}, fieldError(export.CodeValidation, "Idempotency-Key", "must be 1 to 128 letters, digits or . _ : -")
	}
	text, err := json.Marshal(asked)
	if err != nil {
		return storage.Idempotency{}, fmt.Errorf("encode request: %w", err)
	}
	return storage.Idempotency{Key: *key, RequestHash: bundle.DigestOf(text)}, nil
}

func errKeyReused() error {
	return export.Errorf(export.CodeIdempotency, "this Idempotency-Key was used for another request; choose a new one")
}

// GetProfile gives a profile with its newest revision.
func (h handlers) GetProfile(ctx context.Context, req GetProfileRequestObject) (GetProfileResponseObject, error) {
	profile, err := h.findProfile(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	return GetProfile200JSONResponse{Body: profileDocument(profile), Headers: GetProfile200ResponseHeaders{ETag: stateTag(profile)}}, nil
}

// findProfile gives the caller's profile. What is not the caller's does not
// exist, in the same words.
func (s *Server) findProfile(ctx context.Context, ref string) (export.Profile, error) {
	who := callOf(ctx).principal
	if ref == "" || len(ref) > maxProfileRef || !plainText(ref) {
		return export.Profile{}, errProfileNotFound()
	}
	profile, err := s.cfg.Profiles.GetProfile(ctx, who.Tenant, ref)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !ownProfile(who, profile) {
		return export.Profile{}, errProfileNotFound()
	}
	if err != nil {
		return export.Profile{}, fmt.Errorf("read profile: %w", err)
	}
	return profile, nil
}

func errProfileNotFound() error {
	err := export.Errorf(export.CodeProfileNotFound, "this tenant has no such profile; GET /api/export/profiles lists those it has")
	err.Field = "profileId"
	return err
}

// ownProfile reports whether p is the caller's: of the tenant, and of the
// project when the token has one. Built-in profiles are everybody's.
func ownProfile(who Principal, p export.Profile) bool {
	return p.Tenant == who.Tenant && (p.BuiltIn() || who.Project == "" || p.Project == who.Project)
}

// ListProfileRevisions gives a page of a profile's revisions. The cursor is the
// number of the last one.
func (h handlers) ListProfileRevisions(ctx context.Context, req ListProfileRevisionsRequestObject) (ListProfileRevisionsResponseObject, error) {
	limit, cursor, err := pageOf(req.Params.Limit, req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	below := 0
	if cursor != "" {
		if below, err = strconv.Atoi(cursor); err != nil || below < 1 || strconv.Itoa(below) != cursor {
			return nil, fieldError(export.CodeValidation, "cursor", "is not the cursor of a page")
		}
	}
	profile, err := h.findProfile(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	revisions, err := h.cfg.Profiles.ListRevisions(ctx, profile.Tenant, profile.ID, below, limit)
	if err != nil {
		return nil, fmt.Errorf("list revisions of profile %s: %w", profile.ID, err)
	}
	page := RevisionPage{Revisions: []ProfileRevision{}}
	for _, r := range revisions {
		page.Revisions = append(page.Revisions, ProfileRevision{Revision: r.Revision, Config: configDocument(r.Config),
			CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt})
	}
	if n := len(revisions); n > 0 && revisions[n-1].Revision > 1 {
		page.NextCursor = strconv.Itoa(revisions[n-1].Revision)
	}
	return ListProfileRevisions200JSONResponse(page), nil
}
