package mirror

import (
	"context"
	"errors"
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
	state  State
	at     string // the generation that dir holds
	before int    // how many of deltas were applied by the same command, before it ended
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
	base, err := openTree(a.path(a.at, treeName))
	if err != nil {
		return err
	}
	if base.digest != a.state.Mirror.ManifestDigest {
		return refuse(ReasonContent, "%s: its manifest is %s, and was %s when it was made: it has changed on this disk; make the mirror anew of a full one",
			base.dir, base.digest, a.state.Mirror.ManifestDigest)
	}
	for _, d := range a.deltas {
		if err := checkFamily(a.ctx, d, base.manifest); err != nil {
			return err
		}
	}
	if slices.Equal(a.readJournal(), a.digest) {
		for a.before < len(a.deltas) && a.state.has(a.digest[a.before]) {
			a.before++
		}
	}
	var steps []step
	for _, d := range a.deltas[a.before:] {
		steps = append(steps, stepOf(d))
	}
	if refused := checkChain(a.state, steps); refused != nil {
		return refused
	}
	return nil
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

// run applies the deltas that are left.
func (a *applying) run() (Outcome, error) {
	outcome := Outcome{Before: a.before, Done: []Applied{}}
	if err := a.clean(a.at); err != nil {
		return outcome, err
	}
	if err := a.writeJournal(a.digest); err != nil {
		return outcome, errors.Join(err, a.giveUp())
	}
	for _, d := range a.deltas[a.before:] {
		if stepOf(d).still() {
			a.o.say("%s changes nothing: it was made of one mirror twice", d.name)
			continue
		}
		a.o.say("applying %s", d.name)
		if err := a.advance(d); err != nil {
			return outcome, errors.Join(err, a.giveUp())
		}
		outcome.Done = append(outcome.Done, a.state.Applied[len(a.state.Applied)-1])
	}
	outcome.Copied = a.disk.copied
	if err := a.disk.remove(a.path(journalName)); err != nil {
		return outcome, err
	}
	t, err := openManifest(a.path(a.at, treeName))
	outcome.Status = statusOf(a.state, t)
	return outcome, err
}

// giveUp removes what a delta that was not applied left: all but what the directory
// leads to, which is the new generation when only the end of the switch failed.
func (a *applying) giveUp() error {
	at, _, err := a.current()
	if err != nil {
		return err
	}
	return errors.Join(a.clean(at), a.disk.remove(a.path(journalName)))
}

// advance applies one delta.
func (a *applying) advance(d *opened) error {
	base, err := openTree(a.path(a.at, treeName))
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
	report, err := check(a.ctx, b.dir, b.repacked || a.state.Repacked > 0, a.o)
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
	if err := a.keep(state); err != nil {
		return err
	}
	a.state, a.at = state, generationDir(state.Mirror.Generation)
	return a.clean(a.at)
}
