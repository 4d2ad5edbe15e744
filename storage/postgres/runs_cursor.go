package postgres

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/export"
)

// A cursor names the last run of a page: the next page begins after it in the
// order (requested at, id), newest first. Runs that are added later come
// before it, so pages neither repeat nor skip a run. It is opaque to clients
// and carries nothing they have not seen.
type cursor struct {
	at time.Time
	id string
}

const (
	maxCursor  = 128
	maxSeconds = 253402300799 // the end of the year 9999
)

func cursorOf(run export.Run) cursor { return cursor{at: run.RequestedAt, id: run.ID} }

func (c cursor) encode() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(c.at.Unix(), 10) + "." + c.id))
}

// parseCursor reads what encode writes, and nothing else.
func parseCursor(s string) (cursor, error) {
	bad := &export.Error{
		Code: export.CodeValidation, Class: export.ClassPermanent, Field: "cursor",
		Message: "cursor is not one of ours; pass the nextCursor of the previous page unchanged, or none for the first page",
	}
	if len(s) > maxCursor {
		return cursor{}, bad
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return cursor{}, bad
	}
	stamp, id, ok := strings.Cut(string(raw), ".")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if !ok || err != nil || seconds < 0 || seconds > maxSeconds || !export.ValidRunID(id) {
		return cursor{}, bad
	}
	c := cursor{at: time.Unix(seconds, 0).UTC(), id: id}
	if c.encode() != s { // "+1", "01", line breaks: a second spelling
		return cursor{}, bad
	}
	return c, nil
}
