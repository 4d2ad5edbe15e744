package fsck_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/fsck"
)

// Every kind is injected, and named, with its tenant, run and subject, and
// nothing else is: not what the other tenant has under the same digests either.
func TestEveryKindIsNamed(t *testing.T) {
	kinds := map[string]fsck.Kind{}
	for _, k := range fsck.Kinds {
		require.NotContains(t, kinds, k.Code)
		kinds[k.Code] = k
	}
	// It has no tenant: TestBlobsOfNoTenant; they need runs at work: TestTooManyRunsAtWork, TestTooManyRunsOfAProfile.
	injected := map[string]bool{"namespace-unknown": true, "queue-over": true, "profile-over": true}
	all := append(slices.Clone(injuries), newerInjuries...)
	for _, i := range all {
		injected[i.kind] = true
		if i.touches != nil {
			continue
		}
		t.Run(i.kind+"/"+i.name, func(t *testing.T) {
			t.Parallel()
			newWorld(t).requireNamed(t, i, kinds)
		})
	}
	t.Run("one after the other", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.admin(t)
		for _, i := range all {
			if i.touches == nil {
				continue
			}
			t.Run(i.kind+"/"+i.name, func(t *testing.T) {
				defer w.keep(t, i.touches)()
				w.requireNamed(t, i, kinds)
			})
		}
		_, found := w.look(t, true)
		require.Empty(t, found, "all was undone")
	})
	for _, k := range fsck.Kinds {
		require.True(t, injected[k.Code], k.Code)
	}
	require.Len(t, injected, len(fsck.Kinds), "each kind is injected")
	t.Cleanup(func() { // the parallel tests have ended
		if t.Failed() {
			return
		}
		for _, k := range fsck.Kinds {
			t.Logf("%-20s injected and named; --repair: %s", k.Code, cmp.Or(k.Repair, "-"))
		}
		t.Logf("%d of %d kinds, by %d injuries and two tests of their own", len(injected), len(fsck.Kinds), len(all))
	})
}

// requireNamed injures the world, and wants fsck to name that and nothing else.
func (w *world) requireNamed(t *testing.T, i injury, kinds map[string]fsck.Kind) {
	t.Helper()
	subject := i.injure(t, w)
	_, found := w.look(t, true)
	requireOnly(t, w, i, subject, kinds[i.kind], found)
	if _, found := w.look(t, false); kinds[i.kind].Deep {
		require.Empty(t, found, "it needs a deep look")
	} else {
		requireOnly(t, w, i, subject, kinds[i.kind], found)
	}
	w.requireMended(t, i, kinds)
}

// keep gives a way to have acme's rows of some tables as they are now.
func (w *world) keep(t *testing.T, tables []string) (undo func()) {
	t.Helper()
	do := func(format string) {
		for _, table := range tables {
			_, err := w.admin(t).Exec(t.Context(), "set session_replication_role = replica; "+strings.ReplaceAll(format, "TABLE", table))
			require.NoError(t, err)
		}
	}
	do("create temp table kept_TABLE as select * from TABLE where tenant = 'acme'")
	return func() {
		do("delete from TABLE where tenant = 'acme'; insert into TABLE select * from kept_TABLE; drop table kept_TABLE")
	}
}

func requireOnly(t *testing.T, w *world, i injury, subject string, kind fsck.Kind, found []fsck.Divergence) {
	t.Helper()
	run := i.run
	switch run {
	case "":
		run = w.ended[acme].ID
	case noRun:
		run = ""
	}
	require.Len(t, found, 1+len(i.with), "%+v", found)
	others := map[string]bool{}
	for _, d := range found {
		require.Equal(t, acme, d.Tenant)
		if d.Kind != i.kind {
			others[d.Kind] = true
			continue
		}
		action := strings.ReplaceAll(kind.Action, "RUN", run)
		if run == "" {
			action = kind.Action
		}
		require.NotEmpty(t, d.Message)
		require.Equal(t, fsck.Divergence{Kind: i.kind, Tenant: acme, Run: run, Subject: subject, Message: d.Message, Action: action}, d)
	}
	for _, kind := range i.with {
		require.True(t, others[kind], kind)
	}
	require.Len(t, others, len(i.with))
}
