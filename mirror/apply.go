package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/delta"
)

// Outcome is what an Apply did.
type Outcome struct {
	Status
	// Done are the deltas that this command applied; Before are those that an earlier
	// one, which ended on the way, had applied already.
	Done   []Applied `json:"done"`
	Before int       `json:"before,omitempty"`
	// Copied counts files that the file system could not link.
	Copied int64 `json:"copied,omitempty"`
}

// Apply brings the mirror in dir further by deltas, one after the other. Nothing is
// touched before all of them were verified and found to lead on from what dir holds.
// After each, dir holds that delta's target, verified as a whole, or what it held
// before. The same command again goes on where one ended on the way.
func Apply(ctx context.Context, dir string, deltas []string, o Options) (Outcome, error) {
	outcome, err := apply(ctx, dir, deltas, o)
	return outcome, told(err)
}

func apply(ctx context.Context, dir string, names []string, o Options) (_ Outcome, err error) {
	if _, _, err := (&place{dir: dir}).current(); err != nil {
		return Outcome{}, err
	}
	p, err := enter(dir, true, o)
	if err != nil {
		return Outcome{}, err
	}
	defer func() { err = errors.Join(err, p.leave()) }()
	a := &applying{ctx: ctx, place: p, o: o}
	defer func() { err = errors.Join(err, a.close()) }()
	if err := a.open(names); err != nil {
		return Outcome{}, err
	}
	if err := a.check(); err != nil {
		return Outcome{}, err
	}
	return a.run()
}

// applying is a command at work.
type applying struct {
	*place
	ctx    context.Context
	o      Options
	deltas []*opened
	digest []bundle.Digest // of their manifests
	before int             // how many of deltas were applied by the same command, before it ended

	at     string // the generation that dir holds
	passed string // one that was built upon it, and is not what dir holds; "": none
	state  State  // of passed, or else of at
	moved  bool   // dir holds more than when the command began
}

func (a *applying) close() (err error) {
	for _, d := range a.deltas {
		err = errors.Join(err, d.close())
	}
	return err
}

// open verifies every delta.
func (a *applying) open(names []string) error {
	for _, name := range names {
		a.o.say("verifying %s", name)
		d, err := open(a.ctx, name, a.o)
		if err != nil {
			return err
		}
		a.deltas, a.digest = append(a.deltas, d), append(a.digest, d.digest)
		if d.manifest.Delta == nil {
			return refuse(ReasonKind, "%s is of profile %s:%s; only deltas (mirror:delta) are applied", name, d.manifest.Profile.Kind, d.manifest.Profile.Variant)
		}
	}
	return nil
}

// check refuses deltas that are not this mirror's next.
func (a *applying) check() (err error) {
	if a.at, a.state, err = a.current(); err != nil {
		return err
	}
	base, err := openTree(a.path(a.at, treeName), a.o.Trust)
	if err != nil {
		return err
	}
	if base.digest != a.state.Mirror.ManifestDigest {
		return spoilt("%s: its manifest is %s, and was %s when it was made: it has changed on this disk",
			base.dir, base.digest, a.state.Mirror.ManifestDigest)
	}
	if err := errors.Join(a.state.fits(a.dir, base.manifest), base.strays()); err != nil {
		return err
	}
	var steps []step
	for _, d := range a.deltas {
		if err := checkFamily(a.ctx, d, base.manifest); err != nil {
			return err
		}
		steps = append(steps, stepOf(d))
	}
	if slices.Equal(a.readJournal(), a.digest) {
		a.before = applied(a.state, steps)
	}
	if refused := checkChain(a.state, steps[a.before:]); refused != nil {
		return refused
	}
	if a.lastChange() < 0 { // nothing will be built, and so nothing verified then
		a.o.say("verifying what is there")
		return held(a.ctx, a.path(a.at, treeName), a.state, a.o)
	}
	return nil
}

// lastChange is the last delta that is left and changes something; -1: none does.
func (a *applying) lastChange() int {
	for i := len(a.deltas) - 1; i >= a.before; i-- {
		if !stepOf(a.deltas[i]).still() {
			return i
		}
	}
	return -1
}

func stepOf(d *opened) step {
	identity := func(e bundle.DeltaEnd) Identity { return Identity{e.ExportID, e.ManifestDigest, e.Generation} }
	return step{name: d.name, manifest: d.digest, base: identity(d.manifest.Delta.Base), target: identity(d.manifest.Delta.Target)}
}

// checkFamily refuses a delta that is not of the base's tenant, project, profile and
// selection: what the delta says of itself, and what its target's manifest says.
func checkFamily(ctx context.Context, d *opened, base bundle.Manifest) error {
	if d.manifest.Tenant != base.Tenant || d.manifest.Project != base.Project {
		return refuse(ReasonForeign, "%s is of tenant %s, project %q; the mirror is of %s, %q", d.name, d.manifest.Tenant, d.manifest.Project, base.Tenant, base.Project)
	}
	return eachResult(ctx, d, func(r delta.Result) error {
		if r.Path != bundle.ManifestPath {
			return nil
		}
		target, err := bundle.ParseManifest(r.Content)
		if err != nil {
			return refuse(ReasonContent, "%s: the target's %w", d.name, err)
		}
		if err := targetFits(d, target); err != nil {
			return err
		}
		switch {
		case target.Tenant != base.Tenant || target.Project != base.Project:
			return refuse(ReasonForeign, "%s leads to a mirror of tenant %s, project %q; this one is of %s, %q", d.name, target.Tenant, target.Project, base.Tenant, base.Project)
		case target.Profile.ID != base.Profile.ID || target.Profile.Kind != base.Profile.Kind || target.Profile.Variant != base.Profile.Variant:
			return refuse(ReasonForeign, "%s leads to a mirror of profile %s (%s); this one is of %s (%s)", d.name, target.Profile.Name, target.Profile.ID, base.Profile.Name, base.Profile.ID)
		case string(target.Selectors) != string(base.Selectors):
			return refuse(ReasonForeign, "%s leads to a mirror of another selection: %.200s; this one is of %.200s", d.name, target.Selectors, base.Selectors)
		}
		return nil
	})
}

// targetFits holds the target's manifest against what the delta says of it.
func targetFits(d *opened, target bundle.Manifest) error {
	says := d.manifest.Delta.Target
	switch {
	case target.Mirror == nil || target.Delta != nil:
		return refuse(ReasonContent, "%s: its target is no full mirror", d.name)
	case target.ExportID != says.ExportID || target.Mirror.Generation != says.Generation:
		return refuse(ReasonContent, "%s: says that it leads to %s, generation %d; the target's manifest is of %s, generation %d",
			d.name, says.ExportID, says.Generation, target.ExportID, target.Mirror.Generation)
	}
	return nil
}

// run applies the deltas that are left.
func (a *applying) run() (Outcome, error) {
	outcome, last := Outcome{Before: a.before, Done: []Applied{}}, a.lastChange()
	// The link that leads to what is kept may not have reached the disk.
	if err := a.disk.syncDir(a.dir); err != nil {
		return outcome, err
	}
	if err := a.clean(a.at); err != nil {
		return outcome, err
	}
	if err := a.writeJournal(a.digest); err != nil {
		return outcome, errors.Join(err, a.giveUp())
	}
	var led []Applied
	for i, d := range a.deltas {
		if i < a.before {
			continue
		}
		if stepOf(d).still() {
			a.o.say("%s changes nothing: it was made of one mirror twice", d.name)
			continue
		}
		a.o.say("applying %s", d.name)
		if err := a.advance(d, i == last); err != nil {
			return outcome, errors.Join(err, a.giveUp())
		}
		led = append(led, a.state.Applied[len(a.state.Applied)-1])
		if a.passed == "" { // what was only passed counts once it led to a mirror
			outcome.Done, led = append(outcome.Done, led...), nil
		}
	}
	outcome.Copied = a.disk.copied
	a.tidy(a.disk.remove(a.path(journalName)))
	t, err := openManifest(a.path(a.at, treeName))
	outcome.Status = statusOf(a.state, t)
	outcome.looked()
	return outcome, err
}

// giveUp removes what a delta that was not applied left, and what was only passed. The
// journal stays once a delta was applied, so that the same command goes on behind it.
// When only the end of a switch failed, all stays: which generation the disk leads to is
// not known.
func (a *applying) giveUp() error {
	at, _, err := a.current()
	if err != nil || at != a.at {
		return err
	}
	if err := a.clean(at); err != nil || a.before > 0 || a.moved {
		return err
	}
	return a.disk.remove(a.path(journalName))
}

// tidy says what could not be cleaned up behind a switch: the mirror is there, and the
// next command tries again.
func (a *applying) tidy(err error) {
	if err != nil {
		a.o.say("warning: what the command leaves stays until the next one: %v", err)
	}
}

// advance applies one delta. The moments of the target's metadata, and the root from
// outside, count for the last one of a command: what is passed on the way there is
// nobody's mirror.
func (a *applying) advance(d *opened, last bool) error {
	base, err := openTree(a.path(cmp.Or(a.passed, a.at), treeName), a.o.Trust)
	if err != nil {
		return err
	}
	b := &building{ctx: a.ctx, disk: a.disk, o: a.o, base: base, delta: d, dir: a.path(buildingName, treeName)}
	if err := a.disk.mkdir(b.dir); err != nil {
		return err
	}
	if err := b.build(); err != nil {
		return err
	}
	a.o.say("verifying generation %d", d.manifest.Delta.Target.Generation)
	o := a.o
	o.passing = !last
	report, err := check(a.ctx, b.dir, b.repacked || a.state.Repacked > 0, o)
	if err != nil {
		return err
	}
	says := d.manifest.Delta.Target
	state := a.state.after(Applied{d.manifest.ExportID, d.digest, says.Generation}, stepOf(d).target)
	if state.Repacked = report.Repacked; report.Repacked == 0 {
		if state.ArchiveDigest = report.ArchiveDigest; state.ArchiveDigest != says.ArchiveDigest.String() {
			return refuse(ReasonContent, "%s: the mirror it led to is verified, and is archive %s, not %s", d.name, state.ArchiveDigest, says.ArchiveDigest)
		}
	}
	if report.ManifestDigest != says.ManifestDigest.String() {
		return refuse(ReasonContent, "%s: leads to manifest %s, not %s", d.name, report.ManifestDigest, says.ManifestDigest)
	}
	if err := rootsFollow(base, &tree{dir: b.dir}); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	return a.take(state, &tree{dir: b.dir})
}
