package mirror

import (
	"errors"
	"fmt"

	"github.com/stella-ops/exportcenter/bundle/verify"
)

// Reason is why a command about a mirror refused, besides that a bundle is not
// verified: that is a *verify.Error.
type Reason string

// Reasons. Programs end with 2 to 5 as all verifiers do (CONTRACT ruling 9), and with
// codes of their own for what only a mirror refuses.
const (
	// ReasonBase: the delta is made for another mirror than the directory holds.
	ReasonBase Reason = "wrong_base"
	// ReasonForeign: the bundle is of another tenant, project, profile or selection.
	ReasonForeign Reason = "foreign"
	// ReasonRollback: the delta ends at an older generation than the directory has, or a
	// full mirror is of one that the caller wants none of.
	ReasonRollback Reason = "rollback"
	// ReasonReplay: the delta was applied before.
	ReasonReplay Reason = "replay"
	// ReasonGap: a delta between is missing.
	ReasonGap Reason = "gap"
	// ReasonOrder: the deltas chain, in another order.
	ReasonOrder Reason = "order"
	// ReasonBusy: another command is at work on the directory.
	ReasonBusy Reason = "busy"
	// ReasonKind: the bundle is not of the kind that the command takes.
	ReasonKind Reason = "kind"
	// ReasonMirror: the directory is no mirror, or is one where none may be.
	ReasonMirror Reason = "no_mirror"
	// ReasonEncrypted: the bundle is encrypted, and is to be opened first.
	ReasonEncrypted Reason = "encrypted"
	// ReasonRoots: the target's TUF roots do not go on from those of the mirror.
	ReasonRoots Reason = "roots"
	// ReasonContent: base and delta do not give the target.
	ReasonContent Reason = "content"
	// ReasonOther: the disk, the command line.
	ReasonOther Reason = "other"
)

var exitCodes = map[Reason]int{
	ReasonContent: 2, ReasonRoots: 3, ReasonMirror: 4, ReasonEncrypted: 4, ReasonOther: 5, ReasonKind: 5,
	ReasonBase: 6, ReasonForeign: 7, ReasonRollback: 8, ReasonReplay: 9, ReasonGap: 11, ReasonOrder: 12, ReasonBusy: 13,
}

// Error is why a command about a mirror refused.
type Error struct {
	Reason Reason
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// ExitCode is the exit code of a command that ends with e.
func (e *Error) ExitCode() int { return exitCodes[e.Reason] }

func refuse(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// spoilt refuses a directory that is not what it was, and says what to do: its mirror is
// begun anew, and a directory that begins knows nothing of generations.
func spoilt(format string, args ...any) *Error {
	return refuse(ReasonContent, format+"; make the mirror anew of a full one that is not older (stella mirror init --newer-than GENERATION)", args...)
}

// told gives err a reason, unless it has one.
func told(err error) error {
	if err == nil || errors.As(err, new(*Error)) || errors.As(err, new(*verify.Error)) {
		return err
	}
	return &Error{Reason: ReasonOther, Err: full(err)}
}
