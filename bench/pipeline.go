package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// pipeline connects commands as a shell does, without our hands in between,
// and waits for all of them.
func pipeline(commands ...*exec.Cmd) error {
	var ends []*os.File
	for i := range commands[1:] {
		read, write, err := os.Pipe()
		if err != nil {
			return err
		}
		commands[i].Stdout, commands[i+1].Stdin = write, read
		ends = append(ends, read, write)
	}
	var failures []error
	started := 0
	for _, cmd := range commands {
		if err := cmd.Start(); err != nil {
			failures = append(failures, err)
			break
		}
		started++
	}
	for _, end := range ends {
		end.Close() //nolint:errcheck // the commands have their own
	}
	for _, cmd := range commands[:started] {
		if err := cmd.Wait(); err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", cmd.Args[0], err))
		}
	}
	return errors.Join(failures...)
}
