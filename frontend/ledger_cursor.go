package frontend

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// listCursor continues a list of documents: as of which sequence it is, and
// after which one it goes on. It is opaque to clients and carries nothing they
// have not seen; whatever it says, a list shows the caller's documents only.
type listCursor struct{ asOf, after int64 }

// maxListCursor bounds a cursor: "v1.", two numbers, a mark, in base64.
const maxListCursor = 96

func (c listCursor) encode(f ledger.DocumentFilter) string {
	text := "v1." + strconv.FormatInt(c.asOf, 10) + "." + strconv.FormatInt(c.after, 10) + "." + filterMark(f)
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

// parseListCursor reads what encode writes for the same filters, and nothing else.
func parseListCursor(s string, f ledger.DocumentFilter) (c listCursor, err error) {
	if len(s) > maxListCursor {
		return c, errNotOurCursor()
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return c, errNotOurCursor()
	}
	parts := strings.Split(string(raw), ".")
	if len(parts) != 4 {
		return c, errNotOurCursor()
	}
	var err1, err2 error
	c.asOf, err1 = strconv.ParseInt(parts[1], 10, 64)
	c.after, err2 = strconv.ParseInt(parts[2], 10, 64)
	// A second spelling ("+1", "01") does not come out as it went in.
	if err1 != nil || err2 != nil || c.after < 1 || c.after >= c.asOf || c.encode(f) != s {
		return listCursor{}, errNotOurCursor()
	}
	return c, nil
}

func errNotOurCursor() error {
	return fieldError(export.CodeValidation, "cursor",
		"is not of this list; pass the nextCursor of the page before unchanged, with the same filters, or none for the first page")
}
