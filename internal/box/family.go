package box

import (
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/stella-ops/exportcenter/internal/pgchild"
	"github.com/stella-ops/exportcenter/internal/supervise"
)

// How long children may take to end after they were asked. Workers hand their
// activities back; Temporal and PostgreSQL have everything on the disk anyway.
// Together they stay below fifteen seconds. A PostgreSQL that is slower, because
// the checkpoint of its end is large or the disk slow, is told to leave that to
// the next start (an immediate shutdown): it then ends its processes itself, so
// that none of them still writes when up has ended.
const (
	drainGrace    = 10 * time.Second
	temporalGrace = 2 * time.Second
	postgresGrace = 2 * time.Second
)

// tailLines of a log are shown when its child ends during the start.
const tailLines = 12

// family is the children that live now.
type family struct {
	layout layout
	say    *voice

	mu       sync.Mutex
	children map[string]*supervise.Child
	settled  bool                 // everything was ready once
	exits    map[string]lastWords // of children that ended during the start
}

type lastWords struct{ reason, log string }

func newFamily(l layout, say *voice) *family {
	return &family{layout: l, say: say, children: map[string]*supervise.Child{}, exits: map[string]lastWords{}}
}

// add starts a child and keeps it running.
func (f *family) add(name string, sig syscall.Signal, grace time.Duration, command func() (*exec.Cmd, error)) {
	f.start(supervise.Spec{Name: name, Command: command, StopSignal: sig, Grace: grace})
}

func (f *family) start(spec supervise.Spec) {
	spec.Log = f.layout.log(spec.Name)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.children[spec.Name] = supervise.Start(spec, f.ended)
}

// ended is told of every end of a child that nobody asked for. During the
// start the end of its log is shown with the first; afterwards a line is enough.
func (f *family) ended(e supervise.Exit) {
	f.mu.Lock()
	_, again := f.exits[e.Child]
	loud := !f.settled && !again
	if !f.settled {
		f.exits[e.Child] = lastWords{reason: e.Reason, log: f.layout.log(e.Child)}
	}
	f.mu.Unlock()
	f.say.line("%s ended (%s); starting it again in %s. Its log: %s", e.Child, e.Reason, e.Again, f.layout.log(e.Child))
	if loud {
		f.say.block(supervise.Tail(f.layout.log(e.Child), tailLines))
	}
}

// ready: from now on the end of a child is an incident, not a failed start.
func (f *family) ready() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settled = true
	clear(f.exits)
}

// lastWords of the children that ended during a start that failed.
func (f *family) lastWords() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := ""
	for _, name := range []string{postgresChild, temporalChild, apiChild, workerChild} {
		if w, ok := f.exits[name]; ok {
			text += fmt.Sprintf("\n%s ended (%s); the end of %s:\n%s", name, w.reason, w.log, supervise.Tail(w.log, tailLines))
		}
	}
	return text
}

// stop ends the children in order: the API and the worker first, then what
// they work on. When kill is closed everything left is ended at once, and the
// answer is false.
func (f *family) stop(kill <-chan struct{}) bool {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		f.each(func(c *supervise.Child) { c.Stop() }, apiChild, workerChild)
		f.each(func(c *supervise.Child) { c.Stop() }, temporalChild)
		f.each(func(c *supervise.Child) { c.Stop() }, postgresChild)
	}()
	select {
	case <-stopped:
		return true
	case <-kill:
		f.each(func(c *supervise.Child) { c.Kill() }, apiChild, workerChild, temporalChild, postgresChild)
		<-stopped
		return false
	}
}

// each acts on the named children at the same time and waits for all.
func (f *family) each(act func(*supervise.Child), names ...string) {
	var all sync.WaitGroup
	for _, name := range names {
		f.mu.Lock()
		child := f.children[name]
		f.mu.Unlock()
		if child != nil {
			all.Go(func() { act(child) })
		}
	}
	all.Wait()
}

func (b *box) addPostgres() {
	c := b.postgresConfig()
	b.family.start(supervise.Spec{
		Name: postgresChild, Command: func() (*exec.Cmd, error) { return pgchild.Command(c) },
		StopSignal: pgchild.StopSignal, Grace: postgresGrace, QuitSignal: pgchild.QuitSignal,
	})
}

func (b *box) addTemporal() {
	b.family.add(temporalChild, syscall.SIGTERM, temporalGrace, func() (*exec.Cmd, error) {
		return exec.Command(b.options.Temporal, "--config", b.layout.temporalConfig()), nil
	})
}

// addService starts the API or a worker: the same program, by its first word.
func (b *box) addService(name string) {
	b.family.add(name, syscall.SIGTERM, drainGrace, func() (*exec.Cmd, error) { return b.service(name), nil })
}

func (b *box) service(name string) *exec.Cmd {
	args := []string{name, "--data", b.layout.root}
	if name == apiChild {
		args = append(args, "--development-issuer")
	}
	return exec.Command(b.options.Exportcenter, args...)
}
