package export

import (
	"errors"
	"fmt"
)

// Code is what a machine reads off a failure. The frontend maps it to an HTTP
// status in one place, the activities map it to a retry decision in one place.
type Code string

// The codes of CONTRACT section 4.
const (
	CodeValidation      Code = "ERR_EXPORT_001"
	CodeProfileNotFound Code = "ERR_EXPORT_002"
	CodeRunNotFound     Code = "ERR_EXPORT_003"
	CodeSelector        Code = "ERR_EXPORT_004"
	CodePolicySnapshot  Code = "ERR_EXPORT_005"
	CodeBaseManifest    Code = "ERR_EXPORT_006"
	CodeConcurrency     Code = "ERR_EXPORT_007"
	CodeCrossTenant     Code = "ERR_EXPORT_008"
	CodeStateConflict   Code = "ERR_EXPORT_009"
	CodeSchemaVersion   Code = "ERR_EXPORT_010"
	CodeSigning         Code = "ERR_EXPORT_011"
	CodeDistribution    Code = "ERR_EXPORT_012"
	CodeRecipient       Code = "ERR_EXPORT_013"
	CodeNotReady        Code = "ERR_EXPORT_014"
	CodeExpired         Code = "ERR_EXPORT_015"
	CodeAOC             Code = "ERR_EXPORT_016"
	CodeOffline         Code = "ERR_EXPORT_017"
	CodeEmptySelection  Code = "ERR_EXPORT_018"
	CodeDocNotFound     Code = "ERR_EXPORT_019"
	CodeTooLarge        Code = "ERR_EXPORT_020"
	CodeIdempotency     Code = "ERR_EXPORT_021"
	// CodeIfMatch: the request must say which state it changes (RFC 6585 section 3).
	CodeIfMatch Code = "ERR_EXPORT_022"
	// CodeChanged: the state it names is not the one that is there (RFC 9110 section 15.5.13).
	CodeChanged Code = "ERR_EXPORT_023"
	// CodeNoSnapshot: there is no such policy snapshot to look at. A run that
	// names one is refused with CodePolicySnapshot.
	CodeNoSnapshot Code = "ERR_EXPORT_024"

	CodeQuota          Code = "ERR_EXPORT_QUOTA"
	CodeAuth           Code = "ERR_EXPORT_AUTH"
	CodeScope          Code = "ERR_EXPORT_SCOPE"
	CodeTenantRequired Code = "TENANT_REQUIRED"
	// CodeTenantSuspended: an administrator keeps the tenant out.
	CodeTenantSuspended Code = "TENANT_SUSPENDED"
	CodeTenantNotFound  Code = "TENANT_NOT_FOUND"
	CodeUnavailable     Code = "ERR_EXPORT_UNAVAILABLE"
	CodeCancelled       Code = "ERR_EXPORT_CANCELLED"
	// CodeRejected: somebody rejected a result that shrank; CodeUndecided: nobody
	// decided about it in time (docs/guard.md).
	CodeRejected  Code = "ERR_EXPORT_REJECTED"
	CodeUndecided Code = "ERR_EXPORT_UNDECIDED"
	// CodeRebuild: a run was built again, and other bytes came out (docs/rebuild.md).
	CodeRebuild  Code = "ERR_EXPORT_REBUILD"
	CodeInternal Code = "ERR_EXPORT_INTERNAL"
)

// Class says what to do about a failure.
type Class string

// Failure classes. Transient and upstream failures are retried, the others are
// not: trying again would fail the same way.
const (
	ClassTransient Class = "transient"
	ClassPermanent Class = "permanent"
	ClassQuota     Class = "quota"
	ClassPolicy    Class = "policy"
	ClassUpstream  Class = "upstream"
	ClassCancelled Class = "cancelled"
)

// Retryable reports whether trying again can help.
func (c Class) Retryable() bool { return c == ClassTransient || c == ClassUpstream }

// Error is a failure with a code. Message is written for the person who asked:
// it names the field, file or entry and says what to do. It never carries
// another system's text (SQL states, file system paths of the server).
type Error struct {
	Code    Code
	Class   Class
	Message string
	// Field is the request field, file or entry at fault, when there is one.
	Field string
	// Err is the cause; it goes to the log, never to the client.
	Err error
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s: %s", e.Code, e.Message)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes a permanent Error with code and a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Class: ClassPermanent, Message: fmt.Sprintf(format, args...)}
}

// CodeOf gives the code of the first Error in err's chain, CodeInternal for
// any other error and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var coded *Error
	if errors.As(err, &coded) {
		return coded.Code
	}
	return CodeInternal
}

// ClassOf gives the class of the first Error in err's chain. An error without
// a class is transient: an unknown failure is worth one more try.
func ClassOf(err error) Class {
	var coded *Error
	if errors.As(err, &coded) && coded.Class != "" {
		return coded.Class
	}
	return ClassTransient
}
