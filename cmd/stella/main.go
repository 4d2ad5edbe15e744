// Command stella imports evidence, runs exports and verifies bundles. It
// carries no engine, no database and no server: an auditor can read the list
// of what is in it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/stella-ops/exportcenter/client"
)

func main() {
	boundMemory()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first Ctrl-C asks; the second ends whatever does not hear the first,
	// such as the opening of a pipe that nobody writes to.
	context.AfterFunc(ctx, stop)
	err := rootCommand().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "stella: %s\n", printable(err.Error()))
		if exitCode(err) == exitTransient && !errors.As(err, new(*parkedError)) {
			fmt.Fprintln(os.Stderr, "Try again. If this is not the server you mean, name it (--server, STELLA_SERVER); if `exportcenter up` was restarted, read its address again: . DIR/env")
		}
	}
	os.Exit(exitCode(err))
}

// Exit codes of the commands that speak to a server (CONTRACT section 24e).
const (
	exitUnexpected = 1
	exitInput      = 2
	exitAuth       = 3
	exitNotFound   = 4
	exitOffline    = 5
	exitTransient  = 10
)

const exitCodesHelp = `Exit codes:
  0   ok
  1   unexpected, or the run failed or was aborted
  2   input: the command, a file or the request is not right; an import had rejections
  3   authentication: the token is missing, not accepted, or lacks a scope
  4   not found
  5   offline mode, here or at the server, forbids this
  10  transient: try again later
  "stella verify" and "stella audit verify" have codes of their own, see their help.`

// exitError is an error with an exit code of its own.
type exitError struct {
	err  error
	code int
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }
func (e *exitError) ExitCode() int { return e.code }

func inputErrorf(format string, args ...any) error {
	return &exitError{fmt.Errorf(format, args...), exitInput}
}

// exitCode is the one place where an error becomes an exit code.
func exitCode(err error) int {
	var own interface{ ExitCode() int }
	var problem *client.Problem
	switch {
	case err == nil:
		return 0
	case errors.As(err, &own):
		return own.ExitCode()
	case errors.Is(err, context.Canceled):
		return exitUnexpected
	case errors.As(err, &problem):
		return problemCode(problem)
	case client.Temporary(err):
		return exitTransient
	}
	return exitUnexpected
}

func problemCode(p *client.Problem) int {
	switch {
	case p.Code == "ERR_EXPORT_017":
		return exitOffline
	case p.Temporary():
		return exitTransient
	case p.Status == 401, p.Status == 403:
		return exitAuth
	case p.Status == 404, p.Status == 410:
		return exitNotFound
	case p.Status >= 400 && p.Status < 500:
		return exitInput
	}
	return exitUnexpected
}
