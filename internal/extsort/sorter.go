package extsort

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
)

// Sorter sorts lines bytewise. A line may hold any bytes. It is for one
// goroutine.
type Sorter struct {
	dir    string
	lines  arena
	runs   []runFile // the oldest first
	failed error     // the first failure to write: lines are missing ever after
	sorted bool
	closed bool
	create func(dir string) (*os.File, error)
}

// MaxLine bounds one line: 32 MiB.
const MaxLine = 32 << 20

// New begins a sorter that keeps about memory bytes in memory and the rest in
// files in dir. A merge has a line of each run in memory, so lines that are long
// let fewer runs be open; two always are, and a line that is longer than memory
// is in it all the same.
func New(dir string, memory int) *Sorter {
	return &Sorter{dir: dir, lines: newArena(memory), create: createRun}
}

func createRun(dir string) (*os.File, error) { return os.CreateTemp(dir, "sort-*.run") }

// Add takes a copy of line. Its error names the file that could not be written.
func (s *Sorter) Add(line []byte) error {
	switch {
	case s.failed != nil:
		return s.failed
	case s.sorted || s.closed:
		return errors.New("sort: a line was added after Sorted or Close")
	case len(line) > MaxLine:
		return fmt.Errorf("sort: a line has %d bytes, at most %d are taken", len(line), MaxLine)
	}
	if !s.lines.fits(len(line)) {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.lines.add(line)
	return nil
}

// spill writes the lines in memory to a run and forgets them.
func (s *Sorter) spill() error {
	if s.lines.empty() {
		return nil
	}
	s.lines.sort()
	err := s.writeRun(func(w *runWriter) error {
		for i := range s.lines.index {
			if err := w.add(s.lines.at(i)); err != nil {
				return err
			}
		}
		return nil
	})
	s.lines.reset()
	return err
}

// writeRun makes a run of what fill adds.
func (s *Sorter) writeRun(fill func(*runWriter) error) error {
	file, err := s.create(s.dir)
	if err != nil {
		s.failed = fmt.Errorf("sort: %w", err)
		return s.failed
	}
	w := newRunWriter(file, s.lines.memory/4)
	if err := errors.Join(fill(w), w.close()); err != nil {
		s.failed = fmt.Errorf("sort: %w", err)
	}
	s.runs = append(s.runs, runFile{file.Name(), w.longest})
	return s.failed
}

// Sorted gives all lines in bytewise order, equal ones as often as they came.
// A line is valid until the next. An error is the last that comes. It may be
// ranged over again; nothing can be added any more.
func (s *Sorter) Sorted(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		if err := s.finish(ctx); err != nil {
			yield(nil, err)
			return
		}
		lines, end := s.inMemory(), func() error { return nil }
		if len(s.runs) > 0 {
			m, err := openMerge(s.runs, s.lines.memory)
			if err != nil {
				yield(nil, errors.Join(err, m.close()))
				return
			}
			lines, end = m.next, m.close
		}
		stopped, err := each(ctx, lines, func(line []byte) bool { return yield(line, nil) })
		if err = errors.Join(err, end()); err != nil && !stopped {
			yield(nil, err)
		}
	}
}

// finish brings the lines into a form that Sorted gives them from: all of them
// in memory, or all of them in as many runs as may be open.
func (s *Sorter) finish(ctx context.Context) error {
	switch {
	case s.failed != nil:
		return s.failed
	case s.closed:
		return errors.New("sort: Sorted was called after Close")
	case !s.sorted && len(s.runs) == 0:
		s.lines.sort()
	case !s.sorted:
		if err := s.spill(); err != nil {
			return err
		}
		s.lines.release()
	}
	s.sorted = true
	for open := s.mayOpen(s.lines.memory); len(s.runs) > open; open = s.mayOpen(s.lines.memory) {
		if err := s.mergeOldest(ctx, min(s.mayOpen(s.lines.memory/2), len(s.runs)-open+1)); err != nil {
			return err
		}
	}
	return nil
}

// mayOpen is how many of the oldest runs may be open in memory: each has its
// longest line there. Two are the fewest that can be merged.
func (s *Sorter) mayOpen(memory int) (count int) {
	for _, run := range s.runs[:min(len(s.runs), maxOpen)] {
		if memory -= run.longest; memory < 0 {
			break
		}
		count++
	}
	return max(count, 2)
}

// mergeOldest makes one run of the count oldest.
func (s *Sorter) mergeOldest(ctx context.Context, count int) error {
	oldest := s.runs[:count:count]
	m, err := openMerge(oldest, s.lines.memory/2)
	if err != nil {
		return errors.Join(err, m.close())
	}
	err = s.writeRun(func(w *runWriter) error {
		var failed error
		_, err := each(ctx, m.next, func(line []byte) bool {
			failed = w.add(line)
			return failed == nil
		})
		return errors.Join(err, failed)
	})
	if err = errors.Join(err, m.close()); err != nil {
		return err
	}
	s.runs = s.runs[count:]
	return remove(oldest)
}

// inMemory gives the lines of the arena one by one, nil behind the last.
func (s *Sorter) inMemory() func() ([]byte, bool, error) {
	i := -1
	return func() ([]byte, bool, error) {
		if i++; i >= len(s.lines.index) {
			return nil, false, nil
		}
		return s.lines.at(i), true, nil
	}
}

// each calls yield with what next gives until yield gives false.
func each(ctx context.Context, next func() ([]byte, bool, error), yield func([]byte) bool) (stopped bool, err error) {
	const often = 4096
	for count := 0; ; count++ {
		if count%often == 0 && ctx.Err() != nil {
			return false, fmt.Errorf("sort: %w", ctx.Err())
		}
		line, more, err := next()
		if err != nil || !more {
			return false, err
		}
		if !yield(line) {
			return true, nil
		}
	}
}

// Close removes the sorter's files. What Sorted gave is no longer valid.
func (s *Sorter) Close() error {
	runs := s.runs
	s.runs, s.closed = nil, true
	s.lines.release()
	return remove(runs)
}

func remove(runs []runFile) error {
	var err error
	for _, run := range runs {
		err = errors.Join(err, os.Remove(run.name))
	}
	return err
}
