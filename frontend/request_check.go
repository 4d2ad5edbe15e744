package frontend

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stella-ops/exportcenter/export"
)

// Bounds of a run request; openapi.yaml shows the same numbers.
const (
	maxSelectorValues = 256
	maxSelectorText   = 256
	maxTimeText       = 64
	maxLabels         = 32
	maxLabelText      = 256
	maxReasonText     = 1024
	maxDescription    = 1024
	maxKindText       = 64
	maxProfileRef     = 128
	maxConfig         = 256 << 10
)

var (
	labelKey       = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$`)
	idempotencyKey = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)
)

// fieldError is an error that names the field of the request.
func fieldError(code export.Code, field, format string, args ...any) *export.Error {
	err := export.Errorf(code, field+": "+format, args...)
	err.Field = field
	return err
}

func checkLabels(labels Labels) error {
	if len(labels) > maxLabels {
		return fieldError(export.CodeValidation, "labels", "has %d members, at most %d are allowed", len(labels), maxLabels)
	}
	for key, value := range labels {
		if !labelKey.MatchString(key) {
			return fieldError(export.CodeValidation, "labels",
				"the key %.80q must be 1 to 64 letters, digits, dots, slashes, underscores or hyphens", key)
		}
		if len(value) > maxLabelText || !plainText(value) {
			return fieldError(export.CodeValidation, "labels",
				"the value of %s must be at most %d bytes of text without control characters", key, maxLabelText)
		}
	}
	return nil
}

// checkReason gives the reason of a cancel request, from the body, else from
// the header.
func checkReason(body *CancelRequest, header *string) (string, error) {
	given := ""
	if body != nil {
		given = body.Reason
	}
	reason, err := saidReason(given, header)
	if reason == "" && err == nil {
		reason = "no reason given"
	}
	return reason, err
}

// saidReason is the reason that a body gives, or else the header.
func saidReason(given string, header *string) (string, error) {
	reason := given
	if reason == "" && header != nil {
		reason = *header
	}
	if len(reason) > maxReasonText || !plainText(reason) {
		return "", fieldError(export.CodeValidation, "reason", "must be at most %d bytes of text without control characters", maxReasonText)
	}
	return reason, nil
}

// plainText reports whether s can be stored and shown anywhere as it is.
func plainText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
