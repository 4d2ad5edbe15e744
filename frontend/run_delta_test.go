package frontend_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// mirrored puts a run of mirror:full into the world that succeeded.
func mirrored(w *frontendtest.World, tenant string, generation int64, change func(*export.Run)) export.Run {
	run := w.Run(tenant, export.StateSucceeded)
	run.ProfileID, run.ProfileName, run.Kind, run.Variant, run.Generation = "prof-mirror-full", "mirror-full", "mirror", "full", generation
	if change != nil {
		change(&run)
	}
	w.Runs.Amend(run)
	return run
}

// What a delta lies between is written into the run when it is asked for.
func TestADeltaLiesBetweenTwoMirrors(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	ask := func(base, target string) answer {
		return c.send("POST", runsPath, fmt.Sprintf(`{"profileId":"mirror:delta","options":{"baseRunId":%q,"targetRunId":%q}}`, base, target))
	}
	selected := export.Selectors{Kinds: []string{"vex"}}
	first := mirrored(w, "acme", 1, nil)
	second := mirrored(w, "acme", 2, nil)
	third := mirrored(w, "acme", 5, nil)
	narrow := mirrored(w, "acme", 6, func(r *export.Run) { r.Selectors = selected })
	narrower := mirrored(w, "acme", 7, func(r *export.Run) { r.Selectors = selected })
	profile := mirrored(w, "acme", 8, func(r *export.Run) { r.ProfileID = "another" })
	failed := mirrored(w, "acme", 9, func(r *export.Run) { r.State = export.StateFailed })
	expired := mirrored(w, "acme", 10, func(r *export.Run) { r.State = export.StateExpired })
	foreign := mirrored(w, "globex", 3, nil)
	plain, _ := w.Sealed(t, "acme", 1)

	for name, a := range map[string]answer{
		"named":              ask(first.ID, second.ID),
		"the same twice":     ask(first.ID, first.ID),
		"of a selection":     ask(narrow.ID, narrower.ID),
		"with its selectors": c.send("POST", runsPath, fmt.Sprintf(`{"profileId":"mirror-delta","selectors":{"kinds":["vex"]},"options":{"baseRunId":%q}}`, narrow.ID)),
	} {
		require.Equal(t, 202, a.Status, "%s: %s", name, a.Body)
	}
	newest := c.send("POST", runsPath, fmt.Sprintf(`{"profileId":"mirror:delta","options":{"baseRunId":%q}}`, first.ID)).run(t)
	require.Equal(t, third.ID, newest.Options.TargetRunID, "the newest of the same selection and profile that succeeded")
	require.Equal(t, newest.Options, c.send("GET", runsPath+"/"+newest.RunID, "").run(t).Options)
	require.Equal(t, []string{"vex"}, ask(narrow.ID, narrower.ID).run(t).Selectors.Kinds, "what the mirrors take")

	refused := func(a answer, status int, code, field, says string) {
		t.Helper()
		require.Equal(t, status, a.Status, a.Body)
		p := a.problem(t)
		require.Equal(t, code, p.Code)
		require.Equal(t, field, p.Details[0].Field)
		require.Contains(t, p.Message, says)
	}
	locked := func(r *export.Run) {
		r.ProfileID, r.Encryption = "locked", &export.Encryption{Enabled: true, Mode: export.EncryptionAge}
	}
	secret, open := mirrored(w, "acme", 20, locked), mirrored(w, "acme", 21, func(r *export.Run) { r.ProfileID = "locked" })
	later := mirrored(w, "acme", 22, locked)
	const base, target = "options.baseRunId", "options.targetRunId"
	absent := ask("0195f000-0000-7000-8000-0000deadbeef", "")
	refused(ask("0195f000-0000-7000-8000-0000deadbeef", second.ID), 409, "ERR_EXPORT_006", base, "no such run")
	refused(ask("nonsense", second.ID), 409, "ERR_EXPORT_006", base, "no such run")
	refused(ask(foreign.ID, second.ID), 409, "ERR_EXPORT_006", base, "no such run")
	require.Equal(t, absent.problem(t).Message, ask(foreign.ID, "").problem(t).Message, "a foreign mirror looks like none")
	refused(ask(first.ID, foreign.ID), 409, "ERR_EXPORT_006", target, "no such run")
	refused(ask(plain.ID, second.ID), 409, "ERR_EXPORT_006", base, "is of kind json:raw")
	refused(ask(failed.ID, second.ID), 409, "ERR_EXPORT_006", base, "is failed")
	refused(ask(first.ID, expired.ID), 409, "ERR_EXPORT_006", target, "is expired")
	refused(ask(first.ID, narrow.ID), 409, "ERR_EXPORT_006", target, "different evidence")
	refused(ask(first.ID, profile.ID), 409, "ERR_EXPORT_006", target, "one project and profile")
	refused(ask(second.ID, first.ID), 409, "ERR_EXPORT_006", target, "older than the base")
	refused(ask(secret.ID, open.ID), 409, "ERR_EXPORT_006", base, "leaves encrypted only")
	refused(ask(open.ID, later.ID), 409, "ERR_EXPORT_006", target, "leaves encrypted only")
	send := func(body string) answer { return c.send("POST", runsPath, fmt.Sprintf(body, first.ID)) }
	refused(send(`{"profileId":"mirror:delta","labels":{"a":%q}}`), 400, "ERR_EXPORT_001", base, "is missing")
	refused(send(`{"profileId":"json:raw","options":{"baseRunId":%q}}`), 400, "ERR_EXPORT_001", base, "lies between no mirrors")
	refused(send(`{"profileId":"mirror:delta","options":{"baseRunId":%q,"dryRun":true}}`), 400, "ERR_EXPORT_001", "options.dryRun", "leave it out")
	refused(send(`{"profileId":"mirror:delta","options":{"baseRunId":%q,"asOf":1}}`), 400, "ERR_EXPORT_001", "options.asOf", "as of its target")
	refused(send(`{"profileId":"mirror:delta","selectors":{"kinds":["vex"]},"options":{"baseRunId":%q}}`), 400, "ERR_EXPORT_004", "selectors", "leave them out")
}

// Which mirror is the newest does not depend on how many other runs there are: those of
// another project or selection, and rebuilds. Where the base itself is, an empty delta is
// made only for who names it.
func TestADeltaToTheNewestMirror(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	toNewest := func(base export.Run) answer {
		return c.send("POST", runsPath, fmt.Sprintf(`{"profileId":"mirror:delta","options":{"baseRunId":%q}}`, base.ID))
	}
	base := mirrored(w, "acme", 1, nil)
	alone := toNewest(base)
	require.Equal(t, 409, alone.Status, alone.Body)
	require.Equal(t, "ERR_EXPORT_006", alone.problem(t).Code)
	require.Equal(t, "options.targetRunId", alone.problem(t).Details[0].Field)
	require.Contains(t, alone.problem(t).Message, "would be empty")
	named := c.send("POST", runsPath, fmt.Sprintf(`{"profileId":"mirror:delta","options":{"baseRunId":%q,"targetRunId":%[1]q}}`, base.ID))
	require.Equal(t, 202, named.Status, named.Body)

	next := mirrored(w, "acme", 2, nil)
	for i := range 250 {
		mirrored(w, "acme", int64(i+3), func(r *export.Run) {
			switch i % 3 {
			case 0:
				r.Project = "other"
			case 1:
				r.Selectors = export.Selectors{Kinds: []string{"vex"}}
			case 2:
				r.RebuildOf, r.Generation = base.ID, 0
			}
		})
	}
	require.Equal(t, next.ID, toNewest(base).run(t).Options.TargetRunID)
}

// A delta of encrypted mirrors is for nobody whom one of them is not for; for fewer it
// may be.
func TestADeltaIsForThoseOfItsMirrors(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	alice, bob := bundletest.Identity(t, 0).Recipient().String(), bundletest.Identity(t, 1).Recipient().String()
	sealedFor := func(generation int64, keys ...string) export.Run {
		return mirrored(w, "acme", generation, func(r *export.Run) {
			r.Encryption = &export.Encryption{Enabled: true, Mode: export.EncryptionAge, RecipientKeys: keys}
		})
	}
	for name, keys := range map[string]string{"both": fmt.Sprintf("%q,%q", bob, alice), "bob": fmt.Sprintf("%q", bob)} {
		made := c.send("POST", "/api/export/profiles", fmt.Sprintf(`{"name":"for-%s","kind":"mirror","variant":"delta",
			"config":{"encryption":{"enabled":true,"mode":"age","recipientKeys":[%s]}}}`, name, keys))
		require.Equal(t, 201, made.Status, made.Body)
	}
	ask := func(profile string, base, target export.Run) answer {
		return c.send("POST", runsPath, fmt.Sprintf(`{"profileId":%q,"options":{"baseRunId":%q,"targetRunId":%q}}`, profile, base.ID, target.ID))
	}
	both, later, ofBob := sealedFor(1, alice, bob), sealedFor(2, alice, bob), sealedFor(3, bob)
	open := mirrored(w, "acme", 4, nil)
	for name, a := range map[string]answer{
		"the same":            ask("for-both", both, later),
		"for fewer":           ask("for-bob", both, later),
		"for those of both":   ask("for-bob", both, ofBob),
		"of one in the clear": ask("for-bob", ofBob, open),
		"of two in the clear": ask("for-both", open, open),
	} {
		require.Equal(t, 202, a.Status, "%s: %s", name, a.Body)
	}
	for field, a := range map[string]answer{
		"options.baseRunId":   ask("for-both", ofBob, open),
		"options.targetRunId": ask("for-both", both, ofBob),
	} {
		require.Equal(t, 409, a.Status, a.Body)
		p := a.problem(t)
		require.Equal(t, "ERR_EXPORT_006", p.Code)
		require.Equal(t, field, p.Details[0].Field)
		require.Contains(t, p.Message, "the mirror of run "+ofBob.ID+" is not for the recipient "+alice)
	}
}
