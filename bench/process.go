package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// parts of the house, by a word in their command lines.
var parts = []string{"worker", "api", "postgres", "temporal"}

// tick is the unit of process times in /proc; Linux gives user space 100 per
// second on every architecture that Go has (USER_HZ, proc(5)).
const tick = 10 * time.Millisecond

// process is one line of /proc/PID/stat.
type process struct {
	pid, parent int
	cpu         time.Duration // its own and that of children it has waited for
}

// cpuByPart adds up the processor time of all processes below `up`, by the
// part they belong to; "up" is `up` itself. Backends of PostgreSQL that ended
// are in the time their server has waited for, so nothing is lost.
func cpuByPart(up int) (map[string]time.Duration, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	below := map[int][]process{}
	for _, p := range all {
		below[p.parent] = append(below[p.parent], p)
	}
	sum := map[string]time.Duration{}
	var add func(p process, part string)
	add = func(p process, part string) {
		sum[part] += p.cpu
		for _, child := range below[p.pid] {
			add(child, part)
		}
	}
	for _, child := range below[up] {
		add(child, partOf(child.pid))
	}
	for _, p := range all {
		if p.pid == up {
			sum["up"] += p.cpu
		}
	}
	return sum, nil
}

func processes() ([]process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it ended since
		}
		p, err := parseStat(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, p)
	}
	return all, nil
}

// parseStat reads the fields 1, 4 and 14 to 17 (proc(5)). The second, the
// program's name, may hold anything and ends at the last parenthesis.
func parseStat(raw []byte) (process, error) {
	end := bytes.LastIndexByte(raw, ')')
	begin := bytes.IndexByte(raw, ' ')
	if end < 0 || begin < 0 {
		return process{}, fmt.Errorf("unexpected form %.40q", raw)
	}
	fields := strings.Fields(string(raw[end+1:]))
	if len(fields) < 15 {
		return process{}, fmt.Errorf("unexpected form %.40q", raw)
	}
	var p process
	var err error
	if p.pid, err = strconv.Atoi(string(raw[:begin])); err != nil {
		return p, err
	}
	if p.parent, err = strconv.Atoi(fields[1]); err != nil {
		return p, err
	}
	for _, field := range fields[11:15] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return p, err
		}
		p.cpu += time.Duration(ticks) * tick
	}
	return p, nil
}

func partOf(pid int) string {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // a process that ended belongs nowhere
	program, _, _ := bytes.Cut(raw, []byte{0})
	args := string(bytes.ReplaceAll(raw[len(program):], []byte{0}, []byte{' '}))
	for _, part := range parts {
		if strings.Contains(filepath.Base(string(program)), part) || strings.HasPrefix(args, " "+part+" ") {
			return part
		}
	}
	return "other"
}

// childOf gives the pid of a part.
func childOf(up int, part string) (int, error) {
	all, err := processes()
	if err != nil {
		return 0, err
	}
	for _, p := range all {
		if p.parent == up && partOf(p.pid) == part {
			return p.pid, nil
		}
	}
	return 0, fmt.Errorf("no child %q of process %d", part, up)
}

// resetPeak begins a new measurement of a process's peak memory.
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// peak is the most memory a process had since resetPeak, in bytes (VmHWM).
func peak(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("process %d tells no VmHWM", pid)
}

// watchEvery is how often runWatched looks: what a program has at its very end, for less
// than that, is not seen.
const watchEvery = 10 * time.Millisecond

// runWatched runs a program and gives the most memory that it had, in bytes. What
// getrusage(2) says of a child is at least what its parent had when it began it, and the
// bench holds all documents of a change.
func runWatched(cmd *exec.Cmd) (most int64, err error) {
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		if now, err := peak(cmd.Process.Pid); err == nil { // else it has ended
			most = max(most, now)
		}
		select {
		case err := <-ended:
			return most, err
		case <-time.After(watchEvery):
		}
	}
}
