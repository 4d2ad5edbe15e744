package orchestrator

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of a record; the OpenAPI document shows the same numbers.
const (
	maxWord       = 128
	maxPath       = 512
	maxTime       = 40
	MaxSignatures = 8
)

var (
	uuidPattern       = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	hashPattern       = regexp.MustCompile(`^sha256:[A-Fa-f0-9]{64}$`)
	hexPattern        = regexp.MustCompile(`^[0-9a-f]{64}$`)
	segmentPattern    = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*$`)
	knownStatuses     = []Status{StatusPending, StatusRunning, StatusSucceeded, StatusFailed, StatusCanceled}
	knownEnvironments = []string{"", "prod", "stage", "dev"}
)

// FieldError is what is wrong with a field of a record.
type FieldError struct{ Field, Message string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Message }

func wrong(field, format string, args ...any) error {
	return &FieldError{field, fmt.Sprintf(format, args...)}
}

// Check holds every field of a record that a producer of tenant sent to the
// contract; of its signatures only the form. Its error is a *FieldError.
func (r Record) Check(tenant string) error {
	switch {
	case !uuidPattern.MatchString(r.RunID):
		return wrong("runId", "must be a UUID in lower case")
	case !hashPattern.MatchString(r.ArtifactHash):
		return wrong("artifactHash", "must read sha256:<64 hex digits>")
	case r.PolicyHash != "" && !hashPattern.MatchString(r.PolicyHash):
		return wrong("policyHash", "must read sha256:<64 hex digits>")
	case !slices.Contains(knownStatuses, r.Status):
		return wrong("status", "must be pending, running, succeeded, failed or canceled")
	case !slices.Contains(knownEnvironments, r.Environment):
		return wrong("environment", "must be prod, stage or dev")
	case r.TenantID != "" && r.TenantID != tenant:
		return wrong("tenantId", "is another tenant than the token's")
	}
	for _, said := range [][2]string{{"jobType", r.JobType}, {"bundleId", r.BundleID}, {"scanId", r.ScanID}} {
		if field, text := said[0], said[1]; len(text) > maxWord || !plain(text) {
			return wrong(field, "must be at most %d bytes of text without control characters", maxWord)
		}
	}
	for _, said := range [][2]string{{"manifestPath", r.ManifestPath}, {"logsPath", r.LogsPath}} {
		if err := checkPath(said[0], said[1]); err != nil {
			return err
		}
	}
	if err := r.checkTimes(); err != nil {
		return err
	}
	if err := r.checkKey(tenant); err != nil {
		return err
	}
	return r.checkSignatures()
}

func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool { return unicode.IsControl(c) || c == unicode.ReplacementChar })
}

// checkPath takes paths that resolve inside an offline kit: cas:// and clean, plain
// segments. There is no authority, no query and no way up.
func checkPath(field, path string) error {
	if path == "" {
		return nil
	}
	rest, found := strings.CutPrefix(path, "cas://")
	if !found || len(path) > maxPath {
		return wrong(field, "must be at most %d bytes and begin with cas://; what is elsewhere cannot be had offline", maxPath)
	}
	segments := strings.Split(rest, "/")
	for _, segment := range segments {
		if !segmentPattern.MatchString(segment) {
			return wrong(field, "its segments must be letters, digits and . _ - and not begin with a dot")
		}
	}
	if segments[0] == "sha256" && (len(segments) != 2 || !hexPattern.MatchString(segments[1])) {
		return wrong(field, "cas://sha256/ must be followed by 64 lower-case hex digits")
	}
	return nil
}

// checkTimes: UTC, in order, and the end is there when the export has ended. Clocks
// are not compared with ours.
func (r Record) checkTimes() error {
	started, err := readTime("startedAt", r.StartedAt)
	if err != nil {
		return err
	}
	if !r.Status.Ended() {
		if r.CompletedAt != "" {
			return wrong("completedAt", "is said of an export that is %s", r.Status)
		}
		return nil
	}
	completed, err := readTime("completedAt", r.CompletedAt)
	if err != nil {
		return err
	}
	if completed.Before(started) {
		return wrong("completedAt", "is before startedAt")
	}
	return nil
}

func readTime(field, text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || len(text) > maxTime || !strings.HasSuffix(text, "Z") || at.Year() < 1970 {
		return at, wrong(field, "must be a time in UTC, as 2026-11-21T08:00:00Z")
	}
	return at, nil
}

// Started is when the export began; the record has been checked.
func (r Record) Started() time.Time {
	at, _ := time.Parse(time.RFC3339Nano, r.StartedAt)
	return at
}

// checkKey: the rule may have been applied to the hash as it is written, or in lower
// case.
func (r Record) checkKey(tenant string) error {
	key := strings.ToLower(r.IdempotencyKey)
	if key == "" || key == Key(r.RunID, r.ArtifactHash, tenant) || key == Key(r.RunID, strings.ToLower(r.ArtifactHash), tenant) {
		return nil
	}
	return wrong("idempotencyKey", "must be sha256:<hex> of runId, artifactHash and tenant written one after the other")
}

func (r Record) checkSignatures() error {
	if len(r.Signatures) > MaxSignatures {
		return wrong("signatures", "has %d members, at most %d are allowed", len(r.Signatures), MaxSignatures)
	}
	for i, s := range r.Signatures {
		if s.Type != "dsse" {
			return wrong(fmt.Sprintf("signatures[%d].type", i), "must be dsse")
		}
	}
	return nil
}
