package storagetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Profiles runs the suite of stores of profiles; open gives an empty one.
func Profiles(t *testing.T, open func(t *testing.T) storage.Profiles) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s storage.Profiles)
	}{
		{"what is made is read by id and by name", makeProfile},
		{"a configuration makes a revision, a description does not", reviseProfile},
		{"of two changes of one state one is refused", changeTogether},
		{"changes of whatever is there are all made", changeWhatever},
		{"an archived profile stays as it is", archiveProfile},
		{"names are given once", profileNames},
		{"a key makes one profile", profileKeys},
		{"pages", profilePages},
		{"a tenant is a wall", profileWall},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// ProfileAt is the n-th second of the suite's time.
func ProfileAt(n int) time.Time { return time.Date(2026, 3, 1, 12, 0, n, 0, time.UTC) }

// NewProfile is a profile as the frontend would make it.
func NewProfile(tenant, name string, n int) export.Profile {
	return export.Profile{Tenant: tenant, Project: "core", ID: fmt.Sprintf("0195f000-0000-7000-9000-%012x", n), Name: name,
		Kind: "json", Variant: "raw", Config: export.ProfileConfig{Include: []string{"vex", "advisories"}},
		Description: "every night", Labels: map[string]string{"team": "red"}, CreatedBy: "alice", CreatedAt: ProfileAt(n)}
}

func create(t *testing.T, s storage.Profiles, p export.Profile) export.Profile {
	t.Helper()
	stored, created, err := s.CreateProfile(t.Context(), p, storage.Idempotency{})
	require.NoError(t, err)
	require.True(t, created)
	return stored
}

func makeProfile(t *testing.T, s storage.Profiles) {
	want := NewProfile("acme", "nightly", 1)
	stored := create(t, s, want)
	want.Revision, want.Version, want.UpdatedBy, want.UpdatedAt = 1, 1, "alice", ProfileAt(1)
	want.Config.Include = []string{"advisories", "vex"}
	require.Equal(t, want, stored)
	for _, ref := range []string{want.ID, "nightly"} {
		got, err := s.GetProfile(t.Context(), "acme", ref)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, ref := range []string{"json:raw", "json-raw", "prof-json-raw"} {
		got, err := s.GetProfile(t.Context(), "acme", ref)
		require.NoError(t, err)
		require.Equal(t, "prof-json-raw", got.ID)
		require.Equal(t, "acme", got.Tenant)
	}
	for _, ref := range []string{"nightl", "", "\x00", "\xff", "NIGHTLY", "' or true --", NewProfile("", "", 2).ID, "json:RAW"} {
		_, err := s.GetProfile(t.Context(), "acme", ref)
		require.ErrorIs(t, err, storage.ErrNotFound, "%q", ref)
		require.Equal(t, export.CodeProfileNotFound, export.CodeOf(err))
	}
}

func reviseProfile(t *testing.T, s storage.Profiles) {
	first := create(t, s, NewProfile("acme", "nightly", 1))
	text := "by day"
	second, err := s.ChangeProfile(t.Context(), "acme", first.ID, storage.ProfileChange{If: 1, Description: &text, Labels: map[string]string{}, By: "bob", At: ProfileAt(2)})
	require.NoError(t, err)
	want := first
	want.Version, want.Description, want.Labels, want.UpdatedBy, want.UpdatedAt = 2, text, nil, "bob", ProfileAt(2)
	require.Empty(t, second.Labels)
	second.Labels = nil
	require.Equal(t, want, second, "in place")

	same := export.ProfileConfig{Include: []string{"vex", "advisories"}}
	again, err := s.ChangeProfile(t.Context(), "acme", first.ID, storage.ProfileChange{If: 2, Config: &same, Description: &text, By: "eve", At: ProfileAt(3)})
	require.NoError(t, err)
	again.Labels = nil
	require.Equal(t, want, again, "says nothing new")

	other := export.ProfileConfig{Include: []string{"sboms"}}
	third, err := s.ChangeProfile(t.Context(), "acme", first.ID, storage.ProfileChange{If: 2, Config: &other, By: "carol", At: ProfileAt(4)})
	require.NoError(t, err)
	require.Equal(t, 2, third.Revision)
	require.Equal(t, int64(3), third.Version)
	require.Equal(t, "carol", third.CreatedBy)

	revisions, err := s.ListRevisions(t.Context(), "acme", first.ID, 0, 10)
	require.NoError(t, err)
	require.Len(t, revisions, 2)
	require.Equal(t, other, revisions[0].Config)
	require.Equal(t, first.Config, revisions[1].Config, "the first is what it was")
	require.Equal(t, "alice", revisions[1].CreatedBy)
	require.Equal(t, text, revisions[1].Description, "what is said of a profile is said of all its revisions")
	older, err := s.ListRevisions(t.Context(), "acme", first.ID, 2, 10)
	require.NoError(t, err)
	require.Len(t, older, 1)
	none, err := s.ListRevisions(t.Context(), "acme", first.ID, 1, 10)
	require.NoError(t, err)
	require.Empty(t, none)
	_, err = s.ListRevisions(t.Context(), "acme", NewProfile("", "", 7).ID, 0, 10)
	require.ErrorIs(t, err, storage.ErrNotFound)
	builtin, err := s.ListRevisions(t.Context(), "acme", "prof-json-raw", 0, 10)
	require.NoError(t, err)
	require.Len(t, builtin, 1)
}

func changeTogether(t *testing.T, s storage.Profiles) {
	p := create(t, s, NewProfile("acme", "nightly", 1))
	const writers = 8
	var won, lost atomic.Int64
	var all sync.WaitGroup
	for n := range writers {
		all.Go(func() {
			text := fmt.Sprint("text ", n)
			_, err := s.ChangeProfile(t.Context(), "acme", p.ID, storage.ProfileChange{If: 1, Description: &text, By: "w", At: ProfileAt(n)})
			switch {
			case err == nil:
				won.Add(1)
			case export.CodeOf(err) == export.CodeChanged:
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.Equal(t, [2]int64{1, writers - 1}, [2]int64{won.Load(), lost.Load()})
}

func changeWhatever(t *testing.T, s storage.Profiles) {
	p := create(t, s, NewProfile("acme", "nightly", 1))
	const writers = 8
	var all sync.WaitGroup
	for n := range writers {
		all.Go(func() {
			config := export.ProfileConfig{Quotas: &export.ProfileQuotas{MaxRunsPerDay: n + 1}}
			_, err := s.ChangeProfile(t.Context(), "acme", p.ID, storage.ProfileChange{Config: &config, By: "w", At: ProfileAt(n)})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	revisions, err := s.ListRevisions(t.Context(), "acme", p.ID, 0, 100)
	require.NoError(t, err)
	require.Len(t, revisions, writers+1, "no change is lost, none is made twice")
	for i, r := range revisions {
		require.Equal(t, writers+1-i, r.Revision)
	}
}

func archiveProfile(t *testing.T, s storage.Profiles) {
	p := create(t, s, NewProfile("acme", "nightly", 1))
	_, err := s.ChangeProfile(t.Context(), "acme", p.ID, storage.ProfileChange{If: 9, Archive: true, By: "bob", At: ProfileAt(2)})
	require.Equal(t, export.CodeChanged, export.CodeOf(err))
	archived, err := s.ChangeProfile(t.Context(), "acme", p.ID, storage.ProfileChange{If: 1, Archive: true, By: "bob", At: ProfileAt(2)})
	require.NoError(t, err)
	require.True(t, archived.Archived())
	require.Equal(t, "bob", archived.ArchivedBy)
	again, err := s.ChangeProfile(t.Context(), "acme", p.ID, storage.ProfileChange{If: 1, Archive: true, By: "eve", At: ProfileAt(3)})
	require.NoError(t, err)
	require.Equal(t, archived, again, "once")
	text := "x"
	_, err = s.ChangeProfile(t.Context(), "acme", p.ID, storage.ProfileChange{If: 2, Description: &text, By: "eve", At: ProfileAt(3)})
	require.ErrorIs(t, err, storage.ErrConflict)
	require.Equal(t, export.CodeStateConflict, export.CodeOf(err))
	got, err := s.GetProfile(t.Context(), "acme", "nightly")
	require.NoError(t, err)
	require.Equal(t, archived, got, "it can still be read")
}

func profileNames(t *testing.T, s storage.Profiles) {
	first := create(t, s, NewProfile("acme", "nightly", 1))
	_, _, err := s.CreateProfile(t.Context(), NewProfile("acme", "nightly", 2), storage.Idempotency{})
	require.ErrorIs(t, err, storage.ErrConflict)
	_, err = s.ChangeProfile(t.Context(), "acme", first.ID, storage.ProfileChange{Archive: true, By: "b", At: ProfileAt(3)})
	require.NoError(t, err)
	_, _, err = s.CreateProfile(t.Context(), NewProfile("acme", "nightly", 3), storage.Idempotency{})
	require.ErrorIs(t, err, storage.ErrConflict, "an archived profile keeps its name")
	create(t, s, NewProfile("globex", "nightly", 1))
	for _, bad := range []string{"", "ab", "-ab", "ab-", "a_b", "ABC", "json-raw", "prof-x", NewProfile("", "", 4).ID, "a\x00b", "../abc"} {
		_, _, err := s.CreateProfile(t.Context(), NewProfile("acme", bad, 5), storage.Idempotency{})
		require.Equal(t, export.CodeValidation, export.CodeOf(err), "%q", bad)
	}
}

func profileKeys(t *testing.T, s storage.Profiles) {
	idem := storage.Idempotency{Key: "k", RequestHash: bundle.DigestOf([]byte("a"))}
	first, created, err := s.CreateProfile(t.Context(), NewProfile("acme", "nightly", 1), idem)
	require.NoError(t, err)
	require.True(t, created)
	again, created, err := s.CreateProfile(t.Context(), NewProfile("acme", "nightly", 2), idem)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, first, again)
	idem.RequestHash = bundle.DigestOf([]byte("b"))
	_, _, err = s.CreateProfile(t.Context(), NewProfile("acme", "other", 3), idem)
	require.ErrorIs(t, err, storage.ErrConflict)
	_, _, err = s.CreateProfile(t.Context(), NewProfile("globex", "other", 3), idem)
	require.NoError(t, err, "keys of tenants do not meet")
}

func profilePages(t *testing.T, s storage.Profiles) {
	var names []string
	for n := range 7 {
		name := fmt.Sprintf("k%d-profile", n)
		if n == 3 {
			name = "a-first"
		}
		p := create(t, s, NewProfile("acme", name, n))
		if n == 5 {
			_, err := s.ChangeProfile(t.Context(), "acme", p.ID, storage.ProfileChange{Archive: true, By: "b", At: ProfileAt(9)})
			require.NoError(t, err)
		}
	}
	filter := storage.ProfileFilter{Limit: 2}
	for range 10 {
		page, next, err := s.ListProfiles(t.Context(), "acme", filter)
		require.NoError(t, err)
		for _, p := range page {
			names = append(names, p.Name)
		}
		if filter.Cursor = next; next == "" {
			break
		}
		create(t, s, NewProfile("acme", fmt.Sprintf("0-before-%d", len(names)), 20+len(names))) // before what was listed
	}
	require.Equal(t, []string{"a-first", "json-policy", "json-raw", "k0-profile", "k1-profile", "k2-profile", "k4-profile", "k6-profile", "mirror-delta", "mirror-full", "trivy-db", "trivy-java-db"}, names)
	count := func(f storage.ProfileFilter) int {
		f.Limit = 200
		page, next, err := s.ListProfiles(t.Context(), "acme", f)
		require.NoError(t, err)
		require.Empty(t, next)
		for _, p := range page {
			require.Equal(t, "acme", p.Tenant)
		}
		return len(page)
	}
	all := count(storage.ProfileFilter{Archived: storage.ArchivedInclude})
	require.Equal(t, 1, count(storage.ProfileFilter{Archived: storage.ArchivedOnly}))
	builtin := len(export.BuiltinProfiles())
	require.Equal(t, all-1-(builtin-1), count(storage.ProfileFilter{Kind: "json", Variant: "raw", Project: "core"}))
	require.Equal(t, builtin, count(storage.ProfileFilter{Project: "web"}), "the built-in ones are everybody's")
	require.Zero(t, count(storage.ProfileFilter{Kind: "risk"}))
	for _, cursor := range []string{"x", "cDEu", "cDEuQQ", "cDEuYWJj=", "cDEuYWJjJw"} {
		_, _, err := s.ListProfiles(t.Context(), "acme", storage.ProfileFilter{Limit: 1, Cursor: cursor})
		require.Equal(t, export.CodeValidation, export.CodeOf(err), cursor)
	}
}

func profileWall(t *testing.T, s storage.Profiles) {
	p := create(t, s, NewProfile("acme", "nightly", 1))
	for _, ref := range []string{p.ID, p.Name} {
		_, err := s.GetProfile(t.Context(), "globex", ref)
		require.ErrorIs(t, err, storage.ErrNotFound, "a foreign one is absent")
	}
	_, err := s.ListRevisions(t.Context(), "globex", p.ID, 0, 1)
	require.ErrorIs(t, err, storage.ErrNotFound)
	_, err = s.ChangeProfile(t.Context(), "globex", p.ID, storage.ProfileChange{Archive: true, By: "g", At: ProfileAt(2)})
	require.ErrorIs(t, err, storage.ErrNotFound)
	page, _, err := s.ListProfiles(t.Context(), "globex", storage.ProfileFilter{Limit: 9, Archived: storage.ArchivedInclude})
	require.NoError(t, err)
	require.Len(t, page, len(export.BuiltinProfiles()))
}
