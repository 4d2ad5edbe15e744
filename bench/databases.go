package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/stella-ops/exportcenter/internal/clock"
)

// Rows of the databases.
const (
	trivyProcessor = "trivy:db, processor of trivy-db's"
	trivyMemory    = "trivy:db, memory"
)

// databases measures how a vulnerability database for Trivy is built of 50,000
// advisories, from their files on, by us and by Trivy's own builder, which has
// the last word on what the database is. Each is a process of its own.
func (b *bench) databases(ctx context.Context) error {
	dir, err := os.MkdirTemp(b.dir, "databases-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // in the directory that is removed anyway
	cache := filepath.Join(dir, "cache")
	if err := writeAdvisories(cache, b.seed); err != nil {
		return fmt.Errorf("write advisories: %w", err)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	ours, err := b.alone(ctx, program, "-trivydb", filepath.Join(cache, "ghsa"), "-out", filepath.Join(dir, "ours"))
	if err != nil {
		return err
	}
	own := measuredRow("trivy:db, 50,000 advisories", ours)
	compared := row{Row: trivyProcessor, Unit: "x"}
	if builder, err := findBuilder(); err != nil {
		b.note("%v; what needs it has no floor (tools/install.sh trivy-db)", err)
	} else {
		theirs, err := b.alone(ctx, builder, "build", "--cache-dir", cache, "--output-dir", filepath.Join(dir, "theirs"), "--only-update", "ghsa")
		if err != nil {
			return err
		}
		own = own.beside(&theirs.wall)
		compared.Value = number(ours.processor().Seconds()/theirs.processor().Seconds(), 3)
		b.note("trivy-db's builder: %.2f s of processor time, %.0f MB of memory, trivy.db of %.0f MB; ours %.0f MB and as a layer %.0f MB",
			theirs.processor().Seconds(), float64(theirs.rss)/1e6, sizeOf(dir, "theirs/trivy.db"), sizeOf(dir, "ours/trivy.db"), sizeOf(dir, "ours/db.tar.gz"))
	}
	b.add(own)
	b.add(compared)
	b.add(valueRow(trivyMemory, round(float64(ours.rss)/(1<<20), 1), "MiB"))
	return nil
}

// runDatabases measures them without a house around.
func runDatabases(ctx context.Context, o options) (err error) {
	machine := describeMachine()
	dir, err := os.MkdirTemp("", "exportcenter-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{dir: dir, seed: o.seed, now: clock.System}
	if err := b.databases(ctx); err != nil {
		return err
	}
	return b.report(o, machine)
}

// report prints what was measured apart, and fails where a limit was missed.
func (b *bench) report(o options, machine string) error {
	fmt.Println(machine)
	if err := errors.Join(printRows(os.Stdout, b.rows), writeJSON(o.out, b.rows)); err != nil {
		return err
	}
	for _, note := range b.notes {
		fmt.Println(note)
	}
	for _, r := range b.rows {
		if o.strict && r.Pass != nil && !*r.Pass {
			return fmt.Errorf("limit missed or not measured: %s", r.Row)
		}
	}
	return nil
}

// alone runs a program and reads what it took, with all of its children that it
// waited for.
func (b *bench) alone(ctx context.Context, program string, args ...string) (measure, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	begin := b.now()
	rss, err := runWatched(cmd)
	if err != nil {
		return measure{}, fmt.Errorf("%s: %w: %.2000s", filepath.Base(program), err, said.Bytes())
	}
	m := measure{begin: begin, wall: b.now().Sub(begin), rss: rss}
	state := cmd.ProcessState
	m.cpu = map[string]time.Duration{"client": state.UserTime() + state.SystemTime()}
	return m, nil
}

// findBuilder finds Trivy's own builder where tools/install.sh puts it.
func findBuilder() (string, error) {
	pinned := filepath.Join(".tools", "bin", "trivy-db")
	if info, err := os.Stat(pinned); err == nil && info.Mode().IsRegular() {
		return filepath.Abs(pinned)
	}
	return exec.LookPath("trivy-db")
}

// sizeOf is the size of a file in MB, 0 when it is not there.
func sizeOf(dir, name string) float64 {
	info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return 0
	}
	return float64(info.Size()) / 1e6
}
