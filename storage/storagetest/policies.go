package storagetest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// PolicySnapshots runs the suite of stores of policy snapshots; open gives an empty one.
func PolicySnapshots(t *testing.T, open func(t *testing.T) storage.PolicySnapshots) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s storage.PolicySnapshots)
	}{
		{"what is imported is read, byte for byte", importSnapshot},
		{"the same pack is one snapshot", importSnapshotAgain},
		{"one name and version is one pack", otherPackRefused},
		{"what does not fit is not recorded", badSnapshots},
		{"a key makes one snapshot", snapshotKeys},
		{"at once, one is made", snapshotsTogether},
		{"an archived snapshot stays as it is", archiveSnapshot},
		{"pages", snapshotPages},
		{"a tenant is a wall", snapshotWall},
		{"the built-in one is everybody's", baselineSnapshot},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// NewSnapshot is a policy snapshot as the frontend would make it, with its pack.
func NewSnapshot(tenant, name, version string, n int) (export.PolicySnapshot, []byte) {
	pack := []byte("pack " + name + " " + version + "\x00\xff")
	return export.PolicySnapshot{Tenant: tenant, Project: "core", ID: fmt.Sprintf("0195f000-0000-7000-a000-%012x", n), Name: name, Version: version,
		Digest: bundle.DigestOf(pack).String(), Bytes: int64(len(pack)), Description: "what we block", CreatedBy: "alice", CreatedAt: ProfileAt(n)}, pack
}

func imported(t *testing.T, s storage.PolicySnapshots, tenant, name, version string, n int) export.PolicySnapshot {
	t.Helper()
	snapshot, pack := NewSnapshot(tenant, name, version, n)
	stored, created, err := s.ImportSnapshot(t.Context(), snapshot, pack, storage.Idempotency{})
	require.NoError(t, err)
	require.True(t, created)
	require.Equal(t, snapshot, stored)
	return stored
}

func importSnapshot(t *testing.T, s storage.PolicySnapshots) {
	want := imported(t, s, "acme", "blocking", "2026-11-01", 1)
	_, pack := NewSnapshot("acme", "blocking", "2026-11-01", 1)
	got, err := s.GetSnapshot(t.Context(), "acme", want.ID)
	require.NoError(t, err)
	require.Equal(t, want, got)
	got, content, err := s.ReadPack(t.Context(), "acme", want.ID)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, pack, content)
	for _, id := range []string{"blocking", "", "\x00", "\xff", "' or true --", strings.ToUpper(want.ID), export.BaselineSnapshot} {
		_, err := s.GetSnapshot(t.Context(), "acme", id)
		requireNoSnapshot(t, err)
		_, _, err = s.ReadPack(t.Context(), "acme", id)
		requireNoSnapshot(t, err)
		_, err = s.ArchiveSnapshot(t.Context(), "acme", id, "b", ProfileAt(2))
		requireNoSnapshot(t, err)
	}
}

func requireNoSnapshot(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, storage.ErrNotFound)
	require.Equal(t, export.CodeNoSnapshot, export.CodeOf(err))
}

func importSnapshotAgain(t *testing.T, s storage.PolicySnapshots) {
	first := imported(t, s, "acme", "blocking", "1", 1)
	again, pack := NewSnapshot("acme", "blocking", "1", 2)
	again.Description, again.CreatedBy, again.Project = "in other words", "bob", ""
	stored, created, err := s.ImportSnapshot(t.Context(), again, pack, storage.Idempotency{})
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, first, stored, "the first one is what it was")
	// Under another name it is another snapshot.
	other := again
	other.ID, other.Name = NewSnapshotID(3), "other"
	stored, created, err = s.ImportSnapshot(t.Context(), other, pack, storage.Idempotency{})
	require.NoError(t, err)
	require.True(t, created)
	require.Equal(t, other, stored)
}

// NewSnapshotID is the id of the suite's n-th snapshot.
func NewSnapshotID(n int) string {
	s, _ := NewSnapshot("", "", "", n)
	return s.ID
}

func otherPackRefused(t *testing.T, s storage.PolicySnapshots) {
	first := imported(t, s, "acme", "blocking", "1", 1)
	other, _ := NewSnapshot("acme", "blocking", "1", 2)
	pack := []byte("other bytes")
	other.Digest, other.Bytes = bundle.DigestOf(pack).String(), int64(len(pack))
	_, _, err := s.ImportSnapshot(t.Context(), other, pack, storage.Idempotency{Key: "k", RequestHash: bundle.DigestOf(pack)})
	require.ErrorIs(t, err, storage.ErrConflict)
	require.Equal(t, export.CodeStateConflict, export.CodeOf(err))
	require.ErrorContains(t, err, first.Digest, "and says which one is there")
	_, err = s.ArchiveSnapshot(t.Context(), "acme", first.ID, "b", ProfileAt(3))
	require.NoError(t, err)
	_, _, err = s.ImportSnapshot(t.Context(), other, pack, storage.Idempotency{})
	require.ErrorIs(t, err, storage.ErrConflict, "an archived snapshot keeps its place")
	other.Version = "2"
	_, created, err := s.ImportSnapshot(t.Context(), other, pack, storage.Idempotency{Key: "k", RequestHash: bundle.DigestOf([]byte("another request"))})
	require.NoError(t, err, "what was refused has used no key up")
	require.True(t, created)
	imported(t, s, "globex", "blocking", "1", 1)
}

func badSnapshots(t *testing.T, s storage.PolicySnapshots) {
	for what, change := range map[string]func(*export.PolicySnapshot){
		"no name":        func(p *export.PolicySnapshot) { p.Name = "" },
		"a path":         func(p *export.PolicySnapshot) { p.Name = "../etc" },
		"an id":          func(p *export.PolicySnapshot) { p.Name = p.ID },
		"built in":       func(p *export.PolicySnapshot) { p.Name = "baseline" },
		"reserved":       func(p *export.PolicySnapshot) { p.Name = "policy-x" },
		"no id":          func(p *export.PolicySnapshot) { p.ID = "" },
		"built-in id":    func(p *export.PolicySnapshot) { p.ID = export.BaselineSnapshot },
		"no version":     func(p *export.PolicySnapshot) { p.Version = "" },
		"control":        func(p *export.PolicySnapshot) { p.Version = "a\x00" },
		"not text":       func(p *export.PolicySnapshot) { p.Version = "\xff" },
		"long version":   func(p *export.PolicySnapshot) { p.Version = strings.Repeat("x", 257) },
		"description":    func(p *export.PolicySnapshot) { p.Description = strings.Repeat("x", 1025) },
		"no bytes":       func(p *export.PolicySnapshot) { p.Bytes = 0 },
		"too many bytes": func(p *export.PolicySnapshot) { p.Bytes = export.MaxPolicyPack + 1 },
	} {
		snapshot, pack := NewSnapshot("acme", "blocking", "1", 1)
		change(&snapshot)
		_, _, err := s.ImportSnapshot(t.Context(), snapshot, pack, storage.Idempotency{})
		require.Equal(t, export.CodeValidation, export.CodeOf(err), what)
	}
	snapshot, pack := NewSnapshot("acme", "blocking", "1", 1)
	_, _, err := s.ImportSnapshot(t.Context(), snapshot, append(pack[:len(pack)-1:len(pack)-1], 0), storage.Idempotency{})
	require.ErrorIs(t, err, storage.ErrCorrupt, "other bytes than it says")
	page, _, err := s.ListSnapshots(t.Context(), "acme", storage.SnapshotFilter{Limit: 9, Archived: storage.ArchivedInclude})
	require.NoError(t, err)
	require.Empty(t, page)
}

func snapshotKeys(t *testing.T, s storage.PolicySnapshots) {
	snapshot, pack := NewSnapshot("acme", "blocking", "1", 1)
	idem := storage.Idempotency{Key: "k", RequestHash: bundle.DigestOf([]byte("a"))}
	first, created, err := s.ImportSnapshot(t.Context(), snapshot, pack, idem)
	require.NoError(t, err)
	require.True(t, created)
	snapshot.ID = NewSnapshotID(2)
	again, created, err := s.ImportSnapshot(t.Context(), snapshot, pack, idem)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, first, again)
	other, pack := NewSnapshot("acme", "other", "1", 3)
	idem.RequestHash = bundle.DigestOf([]byte("b"))
	_, _, err = s.ImportSnapshot(t.Context(), other, pack, idem)
	require.ErrorIs(t, err, storage.ErrConflict)
	_, err = s.GetSnapshot(t.Context(), "acme", other.ID)
	requireNoSnapshot(t, err)
	other.Tenant = "globex"
	_, _, err = s.ImportSnapshot(t.Context(), other, pack, idem)
	require.NoError(t, err, "keys of tenants do not meet")
}

func snapshotsTogether(t *testing.T, s storage.PolicySnapshots) {
	const writers = 8
	var made atomic.Int64
	var ids sync.Map
	var all sync.WaitGroup
	for n := range writers {
		all.Go(func() {
			snapshot, pack := NewSnapshot("acme", "blocking", "1", n)
			idem := storage.Idempotency{}
			if n%2 == 0 {
				idem = storage.Idempotency{Key: "k", RequestHash: bundle.DigestOf(pack)}
			}
			stored, created, err := s.ImportSnapshot(t.Context(), snapshot, pack, idem)
			if err != nil {
				t.Error(err)
			}
			if created {
				made.Add(1)
			}
			ids.Store(stored.ID, true)
		})
	}
	all.Wait()
	require.Equal(t, int64(1), made.Load())
	different := 0
	ids.Range(func(any, any) bool { different++; return true })
	require.Equal(t, 1, different, "all are told the same one")
}

func archiveSnapshot(t *testing.T, s storage.PolicySnapshots) {
	p := imported(t, s, "acme", "blocking", "1", 1)
	archived, err := s.ArchiveSnapshot(t.Context(), "acme", p.ID, "bob", ProfileAt(2))
	require.NoError(t, err)
	want := p
	want.ArchivedBy, want.ArchivedAt = "bob", ProfileAt(2)
	require.Equal(t, want, archived)
	require.True(t, archived.Archived())
	again, err := s.ArchiveSnapshot(t.Context(), "acme", p.ID, "eve", ProfileAt(3))
	require.NoError(t, err)
	require.Equal(t, want, again, "once")
	got, content, err := s.ReadPack(t.Context(), "acme", p.ID)
	require.NoError(t, err, "what was decided by it can be decided again")
	require.Equal(t, want, got)
	require.Len(t, content, int(p.Bytes))
	snapshot, pack := NewSnapshot("acme", "blocking", "1", 4)
	stored, created, err := s.ImportSnapshot(t.Context(), snapshot, pack, storage.Idempotency{})
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, want, stored, "an import does not bring it back")
}

func snapshotPages(t *testing.T, s storage.PolicySnapshots) {
	for n, place := range [][2]string{{"b-one", "2"}, {"b-one", "10"}, {"b-one", "é"}, {"a-two", "1"}, {"c-three", "x y/:+"}, {"zzz", "1"}} {
		p := imported(t, s, "acme", place[0], place[1], n)
		if place[0] == "zzz" {
			_, err := s.ArchiveSnapshot(t.Context(), "acme", p.ID, "b", ProfileAt(9))
			require.NoError(t, err)
		}
	}
	require.Equal(t, []string{"a-two 1", "b-one 10", "b-one 2", "b-one é", "c-three x y/:+"}, placesOf(t, s, 2, func(n int) {
		imported(t, s, "acme", fmt.Sprintf("0-before-%d", n), "1", 20+n) // before what was listed
	}))
	count := func(f storage.SnapshotFilter) int {
		f.Limit = 200
		page, next, err := s.ListSnapshots(t.Context(), "acme", f)
		require.NoError(t, err)
		require.Empty(t, next)
		return len(page)
	}
	all := count(storage.SnapshotFilter{Archived: storage.ArchivedInclude})
	require.Equal(t, 1, count(storage.SnapshotFilter{Archived: storage.ArchivedOnly}))
	require.Equal(t, all-1, count(storage.SnapshotFilter{Project: "core"}))
	require.Equal(t, 3, count(storage.SnapshotFilter{Name: "b-one"}))
	require.Zero(t, count(storage.SnapshotFilter{Project: "web", Archived: storage.ArchivedInclude}))
	for _, cursor := range []string{"x", "czEu", "czEuYWJj", "czEuYWJjAA", "czEuAGE", "czEuYWJjAGE=", "cDEuYWJj"} {
		_, _, err := s.ListSnapshots(t.Context(), "acme", storage.SnapshotFilter{Limit: 1, Cursor: cursor})
		require.Equal(t, export.CodeValidation, export.CodeOf(err), cursor)
	}
}

// placesOf reads a list to its end; between is called after each page.
func placesOf(t *testing.T, s storage.PolicySnapshots, limit int, between func(n int)) (places []string) {
	t.Helper()
	filter := storage.SnapshotFilter{Limit: limit}
	for n := range 20 {
		page, next, err := s.ListSnapshots(t.Context(), "acme", filter)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), limit)
		for _, p := range page {
			require.Equal(t, "acme", p.Tenant)
			places = append(places, p.Name+" "+p.Version)
		}
		if filter.Cursor = next; next == "" {
			return places
		}
		if between != nil {
			between(n)
		}
	}
	t.Fatal("the list has no end")
	return nil
}

func snapshotWall(t *testing.T, s storage.PolicySnapshots) {
	p := imported(t, s, "acme", "blocking", "1", 1)
	_, err := s.GetSnapshot(t.Context(), "globex", p.ID)
	requireNoSnapshot(t, err)
	_, _, err = s.ReadPack(t.Context(), "globex", p.ID)
	requireNoSnapshot(t, err)
	_, err = s.ArchiveSnapshot(t.Context(), "globex", p.ID, "g", ProfileAt(2))
	requireNoSnapshot(t, err)
	page, _, err := s.ListSnapshots(t.Context(), "globex", storage.SnapshotFilter{Limit: 9, Archived: storage.ArchivedInclude})
	require.NoError(t, err)
	require.Empty(t, page)
	got, err := s.GetSnapshot(t.Context(), "acme", p.ID)
	require.NoError(t, err)
	require.Equal(t, p, got, "nothing was done to it")
}

// baselineSnapshot holds storage.WithBaseline over the store.
func baselineSnapshot(t *testing.T, inner storage.PolicySnapshots) {
	builtin := storage.NewBaseline("baseline", "1.0", []byte("the built-in pack"))
	s := storage.WithBaseline(inner, builtin)
	got, pack, err := s.ReadPack(t.Context(), "acme", export.BaselineSnapshot)
	require.NoError(t, err)
	require.Equal(t, "the built-in pack", string(pack))
	require.Equal(t, bundle.DigestOf(pack).String(), got.Digest)
	require.True(t, got.BuiltIn())
	require.Equal(t, "acme", got.Tenant)
	pack[0] = 'x'
	_, again, err := s.ReadPack(t.Context(), "globex", export.BaselineSnapshot)
	require.NoError(t, err)
	require.Equal(t, "the built-in pack", string(again), "nobody changes it")
	alone, err := s.GetSnapshot(t.Context(), "acme", export.BaselineSnapshot)
	require.NoError(t, err)
	require.Equal(t, got, alone)
	_, err = s.ArchiveSnapshot(t.Context(), "acme", export.BaselineSnapshot, "b", ProfileAt(1))
	require.ErrorIs(t, err, storage.ErrConflict)

	want := []string{"baseline 1.0"}
	for n, name := range []string{"", "aaa", "bbb", "ccc", "aab"} {
		if name != "" {
			imported(t, s, "acme", name, "1", n)
			want = append(want, name+" 1")
		}
		for limit := 1; limit <= len(want)+1; limit++ {
			require.ElementsMatch(t, want, placesOf(t, s, limit, nil), "limit %d", limit)
		}
	}
	require.Equal(t, []string{"aaa 1", "aab 1", "baseline 1.0", "bbb 1", "ccc 1"}, placesOf(t, s, 2, nil))
	for filter, builtin := range map[storage.SnapshotFilter]int{
		{Project: "web"}: 1, {Name: "baseline"}: 1, {Name: "aaa"}: 0, {Archived: storage.ArchivedOnly}: 0, {Archived: storage.ArchivedInclude, Project: "web"}: 1,
	} {
		filter.Limit = 9
		page, _, err := s.ListSnapshots(t.Context(), "acme", filter)
		require.NoError(t, err)
		found := 0
		for _, p := range page {
			if p.BuiltIn() {
				found++
			}
		}
		require.Equal(t, builtin, found, "%+v", filter)
	}
}
