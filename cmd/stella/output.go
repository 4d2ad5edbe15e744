package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/internal/clock"
)

// format is the value of --format.
type format string

func addFormat(command *cobra.Command) *format {
	f := format("table")
	command.Flags().Var(&f, "format", "table, json or yaml")
	_ = command.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"table", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp))
	return &f
}

// String, Set and Type make format a flag.
func (f *format) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *format) Type() string { return "table|json|yaml" }

// Set implements pflag.Value.
func (f *format) Set(value string) error {
	if value != "table" && value != "json" && value != "yaml" {
		return fmt.Errorf("want table, json or yaml")
	}
	*f = format(value)
	return nil
}

func (f *format) json() bool { return *f == "json" }

func printJSON(out io.Writer, value any) error {
	text, err := jsonText(value, "  ")
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, text)
	return err
}

// jsonText is a value as JSON with a line end, which does nothing to a terminal.
func jsonText(value any, indent string) (string, error) {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", indent)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return inertJSON(text.String()), err
}

// printable escapes everything that does not show as itself.
func printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == '\n' || !inert(r) }) {
		return s
	}
	quoted := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

// progress shows on a terminal how far a long command is; elsewhere it is
// silent.
type progress struct {
	out  io.Writer
	text atomic.Pointer[string]
	done chan struct{}
	gone chan struct{}
	seen bool // there is a terminal

	mu    sync.Mutex
	shown bool // the cursor stands behind a text of ours
}

const clearLine = "\r\x1b[K"

const progressPause = 200 * time.Millisecond

// startProgress begins to show what say says.
func startProgress(out io.Writer) *progress {
	p := &progress{out: out, done: make(chan struct{}), gone: make(chan struct{})}
	file, ok := out.(*os.File)
	if !ok || !isTerminal(file) {
		close(p.gone)
		return p
	}
	p.seen = true
	go p.show()
	return p
}

// visible reports whether anybody sees what say says.
func (p *progress) visible() bool { return p.seen }

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (p *progress) show() {
	defer close(p.gone)
	tick := time.NewTicker(progressPause)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			fmt.Fprint(p.out, clearLine)
			return
		case <-tick.C:
			if text := p.text.Load(); text != nil {
				p.mu.Lock()
				fmt.Fprint(p.out, clearLine+printable(*text))
				p.shown = true
				p.mu.Unlock()
			}
		}
	}
}

// line writes a whole line and lets the progress go on below it.
func (p *progress) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shown {
		fmt.Fprint(p.out, clearLine)
		p.shown = false
	}
	fmt.Fprintln(p.out, text)
}

// say sets the text to show.
func (p *progress) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.text.Store(&text)
}

// stop clears the line.
func (p *progress) stop() {
	close(p.done)
	<-p.gone
}

// writeAtomically gives write a temporary file and makes it path only when all
// of it is on the disk: path is never half a file. What is there and is no
// file, a device or a pipe, is written to and never replaced.
func writeAtomically(path string, write func(io.Writer) error) error {
	if err := checkOutput(path); err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return writeThrough(path, write)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // a link stays a link
	}
	return replaceFile(path, write)
}

// checkOutput says early what would make writing path fail late.
func checkOutput(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return inputErrorf("write %s: it is a directory", path)
	}
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return inputErrorf("write %s: its directory: %w", path, err)
	}
	if !info.IsDir() {
		return inputErrorf("write %s: %s is not a directory", path, filepath.Dir(path))
	}
	return nil
}

func writeThrough(path string, write func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return inputErrorf("write %s: %w", path, err)
	}
	return errors.Join(write(file), file.Close())
}

// replaceFile writes beside path and renames. The mode is what the umask
// leaves, as for any other file.
func replaceFile(path string, write func(io.Writer) error) error {
	return replaceAs(path, 0o666, write)
}

// replacePrivate is replaceFile for what nobody but its owner is to read.
func replacePrivate(path string, write func(io.Writer) error) error {
	return replaceAs(path, 0o600, write)
}

func replaceAs(path string, mode os.FileMode, write func(io.Writer) error) (err error) {
	name := filepath.Join(filepath.Dir(path), ".stella-"+clock.NewID()+".partial")
	temp, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return inputErrorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			temp.Close()
			os.Remove(name)
		}
	}()
	if err := write(temp); err != nil {
		return err
	}
	if err := temp.Sync(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := temp.Close(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(name, path); err != nil {
		return inputErrorf("write %s: %w", path, err)
	}
	return nil
}
