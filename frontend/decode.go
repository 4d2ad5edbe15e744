package frontend

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// maxBody bounds the JSON body of a request. Imports are streams with a bound
// per line instead.
const maxBody = 1 << 20

// strictBinder reads JSON bodies with the decoder of the bundle format: a
// field that nobody knows, or that is there twice, is an error and not a
// silent default.
type strictBinder struct{}

// Bind decodes the body into target. An empty body is io.EOF inside, which the
// generated code accepts where the body is optional.
func (strictBinder) Bind(target any, c echo.Context) error {
	r := c.Request()
	raw, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxBody))
	if err != nil {
		return badBody(err)
	}
	if len(raw) == 0 {
		return &export.Error{Code: export.CodeValidation, Class: export.ClassPermanent,
			Message: "the body is empty", Err: io.EOF}
	}
	if err := requireMediaType(r.Header, "application/json"); err != nil {
		return err
	}
	if err := bundle.UnmarshalStrict(raw, target); err != nil {
		return export.Errorf(export.CodeValidation, "the body is not valid: %v", inWords(err))
	}
	return nil
}

// inWords replaces what encoding/json says of a value of the wrong type, which
// names our Go types, by the field and the kind of value it wants.
func inWords(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err
	}
	field := wrong.Field
	if field == "" {
		field = "document"
	}
	return fmt.Errorf("%s: a %s does not fit here", field, wrong.Value)
}

// badBody words a body that could not be read to its end.
func badBody(err error) error {
	if coded, status := codedOf(err); status == 0 && (coded.Code == export.CodeTooLarge || coded.Code == export.CodeUnavailable) {
		return coded
	}
	return &export.Error{Code: export.CodeValidation, Class: export.ClassPermanent,
		Message: "the body ended before it was complete", Err: err}
}

func requireMediaType(h http.Header, want string) error {
	_, err := oneMediaType(h, want)
	return err
}

// oneMediaType gives the body's media type, which must be one of those wanted.
func oneMediaType(h http.Header, want ...string) (string, error) {
	got, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || !slices.Contains(want, got) {
		return "", echo.NewHTTPError(http.StatusUnsupportedMediaType, "send Content-Type: "+strings.Join(want, " or "))
	}
	return got, nil
}
