package frontend

import (
	"context"
	"net/http"
	"strings"
)

// The addresses of the first drafts, one for each group of operations. They do
// what their successors do, and say that they will go (deprecated.go).

func replaceParameter(path, name, value string) string {
	return strings.ReplaceAll(path, "{"+name+"}", value)
}

// ListProfilesV1 is the older address of ListProfiles.
func (h handlers) ListProfilesV1(ctx context.Context, req ListProfilesV1RequestObject) (ListProfilesV1ResponseObject, error) {
	answer, err := h.ListProfiles(ctx, ListProfilesRequestObject{Params: ListProfilesParams{
		Kind: req.Params.Kind, Limit: req.Params.Limit, Cursor: req.Params.Cursor}})
	return legacyProfiles{answer}, err
}

type legacyProfiles struct{ ListProfilesResponseObject }

// VisitListProfilesV1Response writes the answer.
func (l legacyProfiles) VisitListProfilesV1Response(w http.ResponseWriter) error {
	return l.VisitListProfilesResponse(w)
}

// ListRunsV1 is the older address of ListRuns.
func (h handlers) ListRunsV1(ctx context.Context, req ListRunsV1RequestObject) (ListRunsV1ResponseObject, error) {
	answer, err := h.ListRuns(ctx, ListRunsRequestObject{Params: ListRunsParams{
		Status: req.Params.Status, Limit: req.Params.Limit, Cursor: req.Params.Cursor}})
	return legacyRuns{answer}, err
}

type legacyRuns struct{ ListRunsResponseObject }

// VisitListRunsV1Response writes the answer.
func (l legacyRuns) VisitListRunsV1Response(w http.ResponseWriter) error {
	return l.VisitListRunsResponse(w)
}

// StreamEventsV1 is the older address of StreamEvents.
func (h handlers) StreamEventsV1(ctx context.Context, req StreamEventsV1RequestObject) (StreamEventsV1ResponseObject, error) {
	answer, err := h.StreamEvents(ctx, StreamEventsRequestObject{ID: req.ID, Params: StreamEventsParams{
		LastEventID: req.Params.LastEventID, After: req.Params.After, Follow: req.Params.Follow}})
	return legacyEvents{answer}, err
}

type legacyEvents struct{ StreamEventsResponseObject }

// VisitStreamEventsV1Response writes the answer.
func (l legacyEvents) VisitStreamEventsV1Response(w http.ResponseWriter) error {
	return l.VisitStreamEventsResponse(w)
}

// DownloadRunV1 is the older address of DownloadRun.
func (h handlers) DownloadRunV1(ctx context.Context, req DownloadRunV1RequestObject) (DownloadRunV1ResponseObject, error) {
	answer, err := h.DownloadRun(ctx, DownloadRunRequestObject{ID: req.ID})
	return legacyDownload{answer}, err
}

type legacyDownload struct{ DownloadRunResponseObject }

// VisitDownloadRunV1Response writes the answer.
func (l legacyDownload) VisitDownloadRunV1Response(w http.ResponseWriter) error {
	return l.VisitDownloadRunResponse(w)
}
