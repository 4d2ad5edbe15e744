// Package box is everything in one box: what `exportcenter up` runs on one
// machine. It supervises a private PostgreSQL, the embedded Temporal cluster,
// one api and one worker, all on loopback, all with their state in one data
// directory (ARCHITECTURE D10).
//
// Each child is a process of its own, the same program that a cluster would
// run, so each can be killed by itself: it is started again, and the others
// wait for it. When `up` itself is killed the kernel ends the children, and
// the next `up` on the same data goes on with what was under way.
package box

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/pgchild"
)

// Options of one `up`.
type Options struct {
	// Data is the directory that holds everything.
	Data string
	// Listen is the API's host:port; port 0 = a free one, the same as last
	// time when it is still free.
	Listen string
	// PostgresBin is the directory with initdb and postgres; "" = look for it.
	PostgresBin string
	// CrossTenantApprovers are files with the public keys of those who may approve
	// that a run reads another tenant's evidence; none = no run does.
	CrossTenantApprovers []string
	// Exportcenter and Temporal are the programs that children run.
	Exportcenter, Temporal string
	// ReadyWithin bounds the start, from the first child to a ready API.
	ReadyWithin time.Duration

	Clock clock.Clock
	// Random makes passwords; crypto/rand.Reader outside tests.
	Random io.Reader
	// Out gets the start screen and what happens to children, in plain words.
	Out io.Writer
}

// Up runs the box until ctx ends, then stops it: first those who do work, then
// those who keep it. When kill is closed all children are ended at once.
func Up(ctx context.Context, kill <-chan struct{}, o Options) error {
	b, err := open(o)
	if err != nil {
		return err
	}
	defer b.lock.release()
	return b.serve(ctx, kill)
}

// box is an opened data directory.
type box struct {
	options Options
	layout  layout
	lock    *lock
	state   state
	say     *voice
	family  *family
	keyID   string
}

// open prepares the data directory: everything children read is there when it
// returns. Each step finds the work of an earlier, killed start and keeps it.
func open(o Options) (*box, error) {
	if err := programs(o); err != nil {
		return nil, err
	}
	if _, _, err := splitListen(o.Listen); err != nil {
		return nil, err
	}
	l, err := makeLayout(o.Data)
	if err != nil {
		return nil, err
	}
	held, err := acquire(l.lock())
	if err != nil {
		return nil, err
	}
	b := &box{options: o, layout: l, lock: held, say: &voice{out: o.Out}}
	if err := b.prepare(); err != nil {
		if !held.resumed { // nothing was started
			held.clean()
		}
		held.release()
		return nil, err
	}
	return b, nil
}

func (b *box) prepare() error {
	if b.lock.resumed {
		b.say.line("The last start on %s was killed; going on with what was under way.", b.layout.root)
	}
	if err := b.layout.removeReady(); err != nil {
		return err
	}
	if err := pgchild.CheckPlace(b.options.PostgresBin, b.layout.postgres()); err != nil {
		return err
	}
	var err error
	if b.state, err = loadState(b.layout, b.options.Random); err != nil {
		return err
	}
	if err := b.choosePorts(); err != nil {
		return err
	}
	if b.keyID, err = makeKeys(b.layout, b.options.Random, b.options.Clock); err != nil {
		return err
	}
	if err := b.writeConfigs(); err != nil {
		return err
	}
	return b.refreshEnv()
}

// serve runs the children until ctx ends.
func (b *box) serve(ctx context.Context, kill <-chan struct{}) error {
	b.family = newFamily(b.layout, b.say)
	begin := b.options.Clock()
	b.say.starting(b)
	starting, cancel := context.WithTimeout(ctx, b.options.ReadyWithin)
	err := b.start(starting)
	cancel()
	switch {
	case ctx.Err() != nil: // asked to end while starting: not a failure
		err = nil
	case err != nil:
		err = fmt.Errorf("start: %w%s", err, b.family.lastWords())
	default:
		b.say.ready(b, b.options.Clock().Sub(begin))
		<-ctx.Done()
	}
	if forget := b.layout.removeReady(); forget != nil {
		err = errors.Join(err, forget)
	}
	b.say.line("Stopping; once more Ctrl-C ends everything at once.")
	if !b.family.stop(kill) {
		return errors.Join(err, errors.New("killed before everything had stopped; the next start will recover"))
	}
	b.lock.clean()
	b.say.line("Stopped. %s keeps everything for the next start.", b.layout.root)
	return err
}

// programs checks that what children run is there before anything is made.
func programs(o Options) error {
	for _, path := range []string{o.Exportcenter, o.Temporal} {
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			return fmt.Errorf("the program %s is missing: run `make build`", path)
		}
	}
	return nil
}
