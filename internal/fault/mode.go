package fault

import "errors"

// Mode is what becomes of an effect.
type Mode string

// The modes.
const (
	CrashBefore Mode = "crash before" // the process is gone, the effect was not done
	CrashAfter  Mode = "crash after"  // the effect was done, the process is gone
	Fail        Mode = "fail"         // not done; the caller is told so
	FailAfter   Mode = "fail after"   // done; the caller is told it was not
	Hang        Mode = "hang"         // not done; no answer until the caller's time is over
	Late        Mode = "late"         // done after the caller's time is over and a newer attempt owns the work
)

// Modes are all modes, in the order of tables.
var Modes = []Mode{CrashBefore, CrashAfter, Fail, FailAfter, Hang, Late}

// crashes reports whether m ends the process.
func (m Mode) crashes() bool { return m == CrashBefore || m == CrashAfter }

var (
	// ErrInjected is what a caller is told when an effect fails.
	ErrInjected = errors.New("injected fault")
	// ErrDead answers what a dead process waits for, once the test is over.
	ErrDead = errors.New("this life of the process is over")
)
