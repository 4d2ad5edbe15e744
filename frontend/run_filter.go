package frontend

import (
	"context"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// runFilter reads what narrows a list of runs. A token with a project sees the
// runs of its project, whatever is asked for.
func (s *Server) runFilter(ctx context.Context, p ListRunsParams) (filter storage.RunFilter, err error) {
	filter.Project = callOf(ctx).principal.Project
	if filter.Limit, filter.Cursor, err = pageOf(p.Limit, p.Cursor); err != nil {
		return filter, err
	}
	if p.Status != nil {
		if filter.State = export.State(*p.Status); !filter.State.Valid() {
			return filter, fieldError(export.CodeValidation, "status", "is not a run state")
		}
	}
	if filter.Profile, err = s.profileFiltered(ctx, p.Profile); err != nil {
		return filter, err
	}
	if p.RequestedBy != nil {
		if filter.RequestedBy = *p.RequestedBy; filter.RequestedBy == "" || len(filter.RequestedBy) > maxSelectorText || !plainText(filter.RequestedBy) {
			return filter, fieldError(export.CodeValidation, "requestedBy", "must be 1 to %d bytes of text without control characters", maxSelectorText)
		}
	}
	if filter.Label, err = labelFilter(p.Label); err != nil {
		return filter, err
	}
	if filter.From, err = requestTime("from", p.From); err != nil {
		return filter, err
	}
	if filter.To, err = requestTime("to", p.To); err != nil {
		return filter, err
	}
	if !filter.From.IsZero() && !filter.To.IsZero() && !filter.From.Before(filter.To) {
		return filter, fieldError(export.CodeValidation, "from", "is not before to, which is not in the range")
	}
	return filter, nil
}

// profileFiltered gives the id of the profile that is named. Of an absent one
// there are no runs.
func (s *Server) profileFiltered(ctx context.Context, ref *string) (string, error) {
	if ref == nil {
		return "", nil
	}
	if *ref == "" || len(*ref) > maxProfileRef || !plainText(*ref) {
		return "", fieldError(export.CodeValidation, "profile", "is not a profile")
	}
	profile, err := s.findProfile(ctx, *ref)
	if export.CodeOf(err) == export.CodeProfileNotFound {
		return *ref, nil
	}
	return profile.ID, err
}

// labelFilter reads "key=value".
func labelFilter(text *string) (label [2]string, err error) {
	if text == nil {
		return label, nil
	}
	key, value, found := strings.Cut(*text, "=")
	if !found || !labelKey.MatchString(key) || len(value) > maxLabelText || !plainText(value) {
		return label, fieldError(export.CodeValidation, "label", "must be key=value, with a key of 1 to 64 letters, digits, dots, slashes, underscores or hyphens")
	}
	return [2]string{key, value}, nil
}

func requestTime(field string, text *string) (time.Time, error) {
	if text == nil {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, *text)
	if len(*text) > maxTimeText || err != nil || at.UTC().Year() < 1 || at.UTC().Year() > 9999 {
		return time.Time{}, fieldError(export.CodeValidation, field, "%.64q is not an RFC 3339 time such as 2026-11-21T08:00:00Z", *text)
	}
	return at.UTC(), nil
}
