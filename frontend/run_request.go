package frontend

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// askedRun is a run request in its one form, before its profile has a say in it.
type askedRun struct {
	profile   string // id, name or catalogue name
	selectors export.Selectors
	options   export.Options
	dryRun    bool
	asOfTime  time.Time // the run is as of then; zero = options.AsOf says it
	labels    map[string]string
}

// snapshotID is the id of a policy snapshot: a word of the policy engine's.
var snapshotID = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._:/@-]{0,254}[A-Za-z0-9])?$`)

// readRun checks what a request says by itself.
func readRun(req RunRequest) (askedRun, error) {
	asked := askedRun{profile: req.ProfileID, labels: req.Labels}
	var err error
	if asked.selectors, err = checkSelectors(req.Selectors); err != nil {
		return asked, err
	}
	if err := checkLabels(req.Labels); err != nil {
		return asked, err
	}
	redaction, err := checkRedaction(req.Options.Redaction)
	if err != nil {
		return asked, err
	}
	snapshot := req.Options.PolicySnapshotID
	if snapshot != "" && !snapshotID.MatchString(snapshot) {
		return asked, fieldError(export.CodeValidation, "options.policySnapshotId", "is not 1 to 256 letters, digits and . _ : / @ -")
	}
	engine := req.Options.PolicyEngine
	if engine != "" && !engine.Valid() {
		return asked, fieldError(export.CodeValidation, "options.policyEngine", "is not one of %s, %s", export.PolicyEngineOPA, export.PolicyEngineImported)
	}
	asked.options = export.Options{AllowEmpty: req.Options.AllowEmpty, Redaction: redaction, PolicySnapshotID: snapshot,
		PolicyEngine: string(engine), SchemaVersion: req.Options.SchemaVersion, BaseRunID: req.Options.BaseRunID, TargetRunID: req.Options.TargetRunID,
		MirrorRunID: req.Options.MirrorRunID}
	asked.dryRun = req.Options.DryRun
	return asked, asked.readAsOf(req.Options)
}

// keyOf binds a client's key to what was asked of which profile. What the
// profile says now is no part of it: a request that is repeated is the same
// request when somebody has changed the profile meanwhile.
func (a askedRun) keyOf(key *string, who Principal, profile export.Profile) (storage.Idempotency, error) {
	return keyFor(key, struct {
		Project   string
		Profile   string
		Selectors export.Selectors
		Options   export.Options
		Labels    map[string]string
		AsOfTime  time.Time `json:",omitzero"`
	}{who.Project, profile.ID, a.selectors, a.options, a.labels, a.asOfTime})
}

// runOf makes the run that is asked for: of the profile's newest revision, and
// with all that it says of runs written into the run. What happens to the profile
// later does not matter to it.
func (s *Server) runOf(who Principal, profile export.Profile, asked askedRun) (export.Run, error) {
	if profile.Archived() {
		return export.Run{}, export.Errorf(export.CodeStateConflict, "profile %s is archived and makes no new runs", profile.Name)
	}
	project, err := projectOf(who, asked.selectors.Projects)
	if err != nil {
		return export.Run{}, err
	}
	if err := checkTenants(who, asked.selectors.Tenants); err != nil {
		return export.Run{}, err
	}
	selectors, options, err := configured(profile, asked)
	if err != nil {
		return export.Run{}, err
	}
	return export.Run{
		Tenant: who.Tenant, Project: project, ID: s.ids(),
		ProfileID: profile.ID, ProfileRevision: profile.Revision, ProfileName: profile.Name,
		Kind: profile.Kind, Variant: profile.Variant,
		Selectors: selectors, Options: options, Quotas: quotasOf(profile), Guard: profile.Config.Guard, Encryption: profile.Config.Encryption.Terms(), Labels: asked.labels, RequestedBy: who.Subject,
		RequestedAt: s.clock().UTC().Truncate(time.Second), State: export.StatePending,
	}, nil
}

// quotasOf are what the profile's revision bounds.
func quotasOf(profile export.Profile) export.ProfileQuotas {
	if q := profile.Config.Quotas; q != nil {
		return *q
	}
	return export.ProfileQuotas{}
}

// configured is what was asked, with what the profile's configuration adds.
func configured(profile export.Profile, asked askedRun) (export.Selectors, export.Options, error) {
	selectors, options := asked.selectors, asked.options
	kinds, err := kindsOf(profile, selectors.Kinds)
	if err != nil {
		return selectors, options, err
	}
	selectors.Kinds = kinds
	if err := options.CheckSchema(profile.Kind, profile.Variant); err != nil {
		return selectors, options, err
	}
	if options.Redaction != nil && export.Assembled(profile.Kind, profile.Variant) {
		return selectors, options, fieldError(export.CodeValidation, "options.redaction",
			"profile %s is of kind %s, which is made of whole evidence; leave the redaction out, or export json:raw", profile.Name, profile.Label())
	}
	if options.Redaction == nil {
		options.Redaction = profile.Config.Redaction
	} else if err := options.Redaction.Within(profile.Config.Redaction); err != nil {
		return selectors, options, err
	}
	if err := redactsAll(options.Redaction, kinds); err != nil {
		return selectors, options, err
	}
	if err := checkEngine(profile, options.PolicyEngine, kinds); err != nil {
		return selectors, options, err
	}
	return selectors, options, checkSnapshot(profile, options.PolicySnapshotID)
}

// kindsOf are the kinds that a run takes: those asked for, which the profile
// must include, or else those that it includes.
func kindsOf(profile export.Profile, asked []string) ([]string, error) {
	included := profile.Config.IncludedKinds()
	if len(asked) == 0 {
		return included, nil
	}
	if len(included) == 0 {
		return asked, nil
	}
	for i, kind := range asked {
		if !slices.Contains(included, kind) {
			return nil, fieldError(export.CodeSelector, fmt.Sprintf("selectors.kinds[%d]", i),
				"profile %s does not include kind %s; it includes %s", profile.Name, kind, strings.Join(included, ", "))
		}
	}
	return asked, nil
}

// checkSnapshot holds a run to its profile's policySnapshotMode.
func checkSnapshot(profile export.Profile, snapshot string) error {
	var err *export.Error
	switch mode := profile.Config.PolicySnapshotMode; {
	case mode == export.SnapshotRequired && snapshot == "":
		err = export.Errorf(export.CodePolicySnapshot, "profile %s requires a policy snapshot: name one in options.policySnapshotId", profile.Name)
	case mode == export.SnapshotNone && snapshot != "":
		err = export.Errorf(export.CodeValidation, "options.policySnapshotId: profile %s takes no policy snapshot; leave it out", profile.Name)
	default:
		return nil
	}
	err.Field = "options.policySnapshotId"
	return err
}

// promised gives the run that a request asks for, or the one that was promised
// under its key when it could not be made any more.
func (s *Server) promised(ctx context.Context, req RunRequest, key *string) (run export.Run, idem storage.Idempotency, err error) {
	asked, err := readRun(req)
	if err != nil {
		return run, idem, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	profile, err := s.findProfile(ctx, asked.profile)
	if err != nil {
		return run, idem, err
	}
	who := callOf(ctx).principal
	if idem, err = asked.keyOf(key, who, profile); err != nil {
		return run, idem, err
	}
	run, err = s.runOf(who, profile, asked)
	var mirror *export.Run
	if err == nil {
		mirror, err = s.followMirror(ctx, &run, asked)
	}
	if err == nil {
		err = s.resolveSnapshot(ctx, &run)
	}
	if err == nil {
		err = s.resolveDelta(ctx, &run, asked)
	}
	if err == nil {
		err = s.resolveAsOf(ctx, &run, asked)
	}
	if err == nil && mirror != nil {
		err = run.CheckMirror(*mirror)
	}
	if err == nil {
		run.Reach, err = s.reachOf(ctx, who, profile, run)
	}
	if err == nil || idem.Key == "" || req.Options.DryRun {
		return run, idem, err
	}
	first, found, findErr := s.cfg.Runs.FindRun(ctx, who.Tenant, idem)
	if findErr != nil {
		return run, idem, errors.Join(err, findErr)
	}
	if found && visible(who, first) {
		return first, idem, nil
	}
	return run, idem, err
}
