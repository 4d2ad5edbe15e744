package mirror

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

// Init makes the directory dir a mirror: the full mirror in the bundle, verified and
// unpacked. dir must be absent or empty; it may hold what an Init left that ended on
// the way.
func Init(ctx context.Context, dir, name string, o Options) (Status, error) {
	status, err := initialise(ctx, dir, name, o)
	return status, told(err)
}

func initialise(ctx context.Context, dir, name string, o Options) (_ Status, err error) {
	if err := free(dir); err != nil {
		return Status{}, err
	}
	o.say("verifying %s", name)
	full, err := open(ctx, name, o)
	if err != nil {
		return Status{}, older(err)
	}
	defer func() { err = errors.Join(err, full.close()) }()
	if full.manifest.Mirror == nil || full.manifest.Delta != nil {
		return Status{}, refuse(ReasonKind, "%s is of profile %s:%s; a directory begins with a full mirror (mirror:full)",
			name, full.manifest.Profile.Kind, full.manifest.Profile.Variant)
	}
	made, err := (&disk{at: o.at}).make(dir)
	if err != nil {
		return Status{}, err
	}
	p, err := enter(dir, true, o)
	if err != nil {
		return Status{}, err
	}
	defer func() { err = errors.Join(err, p.leave()) }()
	if err := free(dir); err != nil { // verifying took its time
		return Status{}, err
	}
	state, err := p.begin(ctx, full, o)
	if err != nil {
		return Status{}, errors.Join(err, p.undo(made))
	}
	status := statusOf(state, full.manifest)
	status.looked()
	return status, nil
}

// older gives the refusal of a mirror that is no news the code that it has for deltas.
func older(err error) error {
	var failure *verify.Error
	if errors.As(err, &failure) && failure.Reason == verify.ReasonRollback {
		return refuse(ReasonRollback, "%w", err)
	}
	return err
}

// lostAndFound is in each new file system of some kinds. It is not ours and stays.
const lostAndFound = "lost+found"

// free wants dir to be absent, empty, or what an Init left that ended on the way.
func free(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == currentName {
			return refuse(ReasonMirror, "%s is a mirror already; \"stella mirror apply\" brings it further, and for another one take another directory", dir)
		}
		if !ours(e.Name()) && !(e.IsDir() && e.Name() == lostAndFound) {
			return refuse(ReasonMirror, "%s is not empty: it has %q; take another directory", dir, e.Name())
		}
	}
	return nil
}

// begin unpacks a full mirror, verifies what it unpacked, and makes it the mirror.
func (p *place) begin(ctx context.Context, full *opened, o Options) (State, error) {
	if err := p.clean(); err != nil {
		return State{}, err
	}
	if err := p.disk.wantPointers(p.dir); err != nil {
		return State{}, err
	}
	o.say("unpacking %d bytes", full.size)
	tree := p.path(buildingName, treeName)
	if err := p.disk.mkdir(tree); err != nil {
		return State{}, err
	}
	entries := bufio.NewReaderSize(io.NewSectionReader(full.archive, 0, full.size-bundle.TrailerSize), 1<<20)
	err := bundle.EachEntry(entries, func(path string, _ int64, content io.Reader) error {
		if err := errors.Join(ctx.Err(), bundle.CheckPath(path)); err != nil {
			return err
		}
		return p.disk.write(p.path(buildingName, treeName, path), content)
	})
	if err != nil {
		return State{}, fmt.Errorf("unpack: %w", err)
	}
	o.say("verifying what was unpacked")
	report, err := check(ctx, tree, false, o)
	if err == nil && report.ArchiveDigest != full.report.ArchiveDigest {
		err = refuse(ReasonContent, "%s: %w", full.name, errChanged)
	}
	if err != nil {
		return State{}, err
	}
	state := State{Schema: StateSchema, ArchiveDigest: report.ArchiveDigest, Applied: []Applied{},
		Mirror: Identity{full.manifest.ExportID, full.digest, full.manifest.Mirror.Generation}}
	return state, p.keep(state)
}

// undo removes what an Init that failed has made: its own names, and the directory
// when it made that and nothing else came into it.
func (p *place) undo(made bool) error {
	if _, err := os.Lstat(p.path(currentName)); err == nil {
		return nil // all is there
	}
	err := errors.Join(p.clean(), p.disk.remove(p.path(generationsName)), p.disk.remove(p.path(lockName)))
	if made && err == nil {
		err = p.disk.unmake(p.dir)
	}
	return err
}

// check verifies the tree in a directory as the archive that it is, and that nothing
// else is there. With repacked, payload files may be packed by another encoder.
func check(ctx context.Context, dir string, repacked bool, o Options) (verify.Report, error) {
	t, err := openTree(dir, o.Trust)
	if err != nil {
		return verify.Report{}, err
	}
	if err := t.strays(); err != nil {
		return verify.Report{}, err
	}
	view, err := t.view()
	if err != nil {
		return verify.Report{}, refuse(ReasonContent, "%s: %w", dir, err)
	}
	options := o.verifying()
	if repacked {
		options = append(options, verify.WithRepacked())
	}
	report, err := verify.Reader(ctx, view, view.Size(), o.Trust, options...)
	if err != nil {
		return report, fmt.Errorf("%s: %w", dir, err)
	}
	return report, nil
}
