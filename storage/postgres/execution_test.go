package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

func TestBeginClaimsForTheNewestAttempt(t *testing.T) {
	w := newWorld(t)
	ref := w.create(t, "acme", 1).Ref()
	claim, run, err := w.exec.Begin(t.Context(), ref, export.PhasePlan, 2)
	require.NoError(t, err)
	require.Equal(t, storage.Claim{Ref: ref, Phase: export.PhasePlan, Attempt: 2}, claim)
	require.Equal(t, w.get(t, ref), run)
	w.begin(t, ref, export.PhasePlan, 2) // again
	_, run, err = w.exec.Begin(t.Context(), ref, export.PhasePlan, 1)
	require.ErrorIs(t, err, storage.ErrStale)
	require.Equal(t, ref, run.Ref(), "the run is told in either case")
	w.begin(t, ref, export.PhaseResolve, 1) // each phase counts for itself
	w.begin(t, ref, export.PhasePlan, 1772366400000123)

	w.finish(t, ref, aborted(run))
	_, run, err = w.exec.Begin(t.Context(), ref, export.PhaseResolve, 9)
	require.ErrorIs(t, err, storage.ErrStale)
	require.Equal(t, export.StateAborted, run.State)
}

func TestStartFixesTheMomentOnce(t *testing.T) {
	w := newWorld(t)
	run := w.started(t, "acme", 1)
	require.Equal(t, export.StateRunning, run.State)
	require.Equal(t, int64(77), run.AsOf)
	require.Equal(t, at(100), run.StartedAt)
	before := w.fingerprint(t)
	again, err := w.exec.Start(t.Context(), w.begin(t, run.Ref(), export.PhasePlan, 1), 99, at(101))
	require.NoError(t, err)
	require.Equal(t, run, again)
	require.Equal(t, before, w.fingerprint(t))
	require.Equal(t, []export.EventType{export.EventPending, export.EventStarted}, w.types(t, run.Ref()))
}

func TestPlanAndShards(t *testing.T) {
	w := newWorld(t)
	ref := w.started(t, "acme", 1).Ref()
	_, _, err := w.exec.Plan(t.Context(), ref)
	require.ErrorIs(t, err, storage.ErrNotFound, "no plan yet")

	resolve := w.begin(t, ref, export.PhaseResolve, 1)
	require.NoError(t, w.exec.SavePlan(t.Context(), resolve, digest("draft"), digest("selection"), shards(2), at(101)))
	plan := shards(5)
	require.NoError(t, w.exec.SavePlan(t.Context(), resolve, digest("plan"), digest("selection"), plan, at(102)), "replaces the draft")
	got, rows, err := w.exec.Plan(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, digest("plan"), got)
	require.Equal(t, plan, rows)
	require.Equal(t, export.Progress{Shards: 5, Records: 50, Bytes: 5000}, w.get(t, ref).Progress)

	adapt := w.begin(t, ref, export.PhaseAdapt, 1)
	done := packed(plan)
	require.NoError(t, w.exec.SaveShards(t.Context(), adapt, digest("recipe"), done[:2], at(103)))
	require.NoError(t, w.exec.SaveShards(t.Context(), adapt, digest("recipe"), done[1:4], at(104)), "one of them again")
	before := w.fingerprint(t)
	require.NoError(t, w.exec.SaveShards(t.Context(), adapt, digest("recipe"), done[:4], at(105)))
	require.NoError(t, w.exec.SavePlan(t.Context(), resolve, digest("plan"), digest("selection"), plan, at(106)))
	require.Equal(t, before, w.fingerprint(t), "repeating has no effect")
	require.Equal(t, export.Progress{Shards: 5, ShardsDone: 4, Records: 50, RecordsDone: 40, Bytes: 5000, BytesDone: 4000},
		w.get(t, ref).Progress)
	_, rows, err = w.exec.Plan(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, append(done[:4:4], plan[4]), rows)

	events := w.journal(t, ref)
	require.Len(t, events, 7, "two events for what a call packed first: %v", events)
	require.Equal(t, map[string]int64{"shards": 2, "records": 20, "bytes": 2000, "shardsDone": 4, "shardsTotal": 5}, events[5].Metrics)
	require.Equal(t, map[string]int64{"shards": 5, "shardsDone": 4, "recordsDone": 40, "bytesDone": 4000}, events[6].Metrics)

	stranger := packed(shards(6))[5:]
	require.ErrorIs(t, w.exec.SaveShards(t.Context(), adapt, digest("recipe"), stranger, at(107)), storage.ErrConflict)
	require.Equal(t, before, w.fingerprint(t))
}

func TestAPlanMayBeEmpty(t *testing.T) {
	w := newWorld(t)
	ref := w.started(t, "acme", 1).Ref()
	resolve := w.begin(t, ref, export.PhaseResolve, 1)
	require.NoError(t, w.exec.SavePlan(t.Context(), resolve, digest("empty"), digest("selection"), nil, at(101)))
	plan, rows, err := w.exec.Plan(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, digest("empty"), plan)
	require.Empty(t, rows)
	require.NoError(t, w.exec.SaveShards(t.Context(), resolve, digest("recipe"), nil, at(102)))
}

func TestFilesComeInArchiveOrder(t *testing.T) {
	w := newWorld(t)
	ref := w.started(t, "acme", 1).Ref()
	files, err := w.runs.Files(t.Context(), ref)
	require.NoError(t, err)
	require.Empty(t, files)
	require.NoError(t, w.exec.SavePlan(t.Context(), w.begin(t, ref, export.PhaseResolve, 1), digest("plan"), digest("selection"), shards(1), at(101)))
	claim := w.begin(t, ref, export.PhaseManifest, 1)
	payload := storage.File{Path: "data/raw/advisories-0000000000000000.jsonl.zst", Digest: digest("d"), Size: 3,
		Records: 7, ContentDigest: digest("c"), ContentSize: 9, Payload: true}
	given := []storage.File{
		{Path: bundle.SealPath, Digest: digest("seal"), Size: 1},
		{Path: "signatures/zzz.json", Digest: digest("z"), Size: 2},
		{Path: "checksums.txt", Digest: digest("old"), Size: 3},
		payload,
		{Path: "README.md", Digest: digest("r"), Size: 4},
	}
	require.NoError(t, w.exec.SaveFiles(t.Context(), claim, given))
	checksums := storage.File{Path: "checksums.txt", Digest: digest("new"), Size: 5}
	require.NoError(t, w.exec.SaveFiles(t.Context(), claim, []storage.File{checksums}))
	files, err = w.exec.BundleFiles(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, []storage.File{given[4], checksums, payload, given[1], given[0]}, files)
	for i := 1; i < len(files); i++ {
		require.True(t, bundle.PathBefore(files[i-1].Path, files[i].Path))
	}
	before := w.fingerprint(t)
	require.NoError(t, w.exec.SaveFiles(t.Context(), claim, []storage.File{checksums, payload}))
	require.Equal(t, before, w.fingerprint(t))
	require.Error(t, w.exec.SaveFiles(t.Context(), claim, []storage.File{checksums, checksums}), "a path is given once")
	same, err := w.runs.Files(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, files, same)
}

// A workflow that is reset may plan anew. What only the old plan had is in no
// manifest, and must not be in the archive.
func TestFilesOfAnEarlierPlanGo(t *testing.T) {
	w := newWorld(t)
	ref, other := w.started(t, "acme", 1).Ref(), w.started(t, "acme", 2).Ref()
	save := func(ref export.Ref, phase export.Phase, attempt int64, plan []storage.Shard, more ...storage.File) {
		t.Helper()
		for _, s := range packed(plan) {
			more = append(more, *s.Result)
		}
		require.NoError(t, w.exec.SaveFiles(t.Context(), w.begin(t, ref, phase, attempt), more))
	}
	paths := func(ref export.Ref) (found []string) {
		files, err := w.exec.BundleFiles(t.Context(), ref)
		require.NoError(t, err)
		for _, f := range files {
			found = append(found, f.Path)
		}
		return found
	}
	readme := storage.File{Path: "README.md", Digest: digest("r"), Size: 4}
	for _, r := range []export.Ref{ref, other} {
		require.NoError(t, w.exec.SavePlan(t.Context(), w.begin(t, r, export.PhaseResolve, 1), digest("plan"), digest("selection"), shards(3), at(101)))
		save(r, export.PhaseManifest, 1, shards(3), readme)
		require.Len(t, paths(r), 4)
	}
	require.NoError(t, w.exec.SavePlan(t.Context(), w.begin(t, ref, export.PhaseResolve, 2), digest("new plan"), digest("selection"), shards(4)[1:], at(102)))
	save(ref, export.PhaseSign, 1, nil, storage.File{Path: "checksums.txt", Digest: digest("c"), Size: 1})
	require.Len(t, paths(ref), 5, "only the manifest decides")
	save(ref, export.PhaseManifest, 1, shards(3), readme)
	require.Len(t, paths(ref), 4, "an old attempt cannot bring back what the plan has not: %v", paths(ref))
	save(ref, export.PhaseManifest, 2, shards(4)[1:], readme)
	require.Equal(t, []string{"README.md", "checksums.txt", shards(4)[1].Name, shards(4)[2].Name, shards(4)[3].Name}, paths(ref))
	require.Len(t, paths(other), 4, "another run's stay")
}

// What is built comes as a whole, like what the manifest lists: a file that only an
// earlier attempt built goes, and what the plan names is nobody's to remove.
func TestBuiltFilesOfAnEarlierAttemptGo(t *testing.T) {
	w := newWorld(t)
	ref := w.started(t, "acme", 1).Ref()
	require.NoError(t, w.exec.SavePlan(t.Context(), w.begin(t, ref, export.PhaseResolve, 1), digest("plan"), digest("selection"), shards(2), at(101)))
	built := func(names ...string) (files []storage.File) {
		for i, name := range names {
			files = append(files, storage.File{Path: name, Digest: digest(name), Size: 1, Payload: true, Ordinal: i})
		}
		return files
	}
	saved := func() (paths []string, ordinals []int) {
		files, err := w.exec.BundleFiles(t.Context(), ref)
		require.NoError(t, err)
		for _, f := range files {
			paths, ordinals = append(paths, f.Path), append(ordinals, f.Ordinal)
		}
		return paths, ordinals
	}
	findings := bundle.PolicyShardPath("findings", "x", false)
	save := func(phase export.Phase, attempt int64, files []storage.File) {
		t.Helper()
		claim, _, err := w.exec.BeginPart(t.Context(), ref, phase, "assemble", attempt)
		require.NoError(t, err)
		require.NoError(t, w.exec.SaveFiles(t.Context(), claim, files))
	}
	save(export.PhaseAdapt, 1, built(bundle.PolicySnapshotPath, findings, bundle.PolicyPackPath))
	paths, ordinals := saved()
	require.Equal(t, []string{findings, bundle.PolicyPackPath, bundle.PolicySnapshotPath}, paths)
	require.Equal(t, []int{1, 2, 0}, ordinals)
	save(export.PhaseAdapt, 2, built(bundle.PolicyPackPath, bundle.PolicySnapshotPath))
	paths, ordinals = saved()
	require.Equal(t, []string{bundle.PolicyPackPath, bundle.PolicySnapshotPath}, paths)
	require.Equal(t, []int{0, 1}, ordinals)

	evidence := append(built(bundle.PolicyPackPath, bundle.PolicySnapshotPath), *packed(shards(2))[0].Result, *packed(shards(2))[1].Result)
	save(export.PhaseManifest, 1, append(evidence, storage.File{Path: "README.md", Digest: digest("r"), Size: 4}))
	paths, _ = saved()
	require.Len(t, paths, 5)
}

func TestTheFirstSignatureStays(t *testing.T) {
	w := newWorld(t)
	ref := w.started(t, "acme", 1).Ref()
	claim := w.begin(t, ref, export.PhaseSign, 1)
	first := storage.StoredSignature{Artifact: "seal", KeyID: "sha256:k", Algorithm: "ed25519", Message: digest("m"), Signature: []byte{1, 0, 255}}
	none, err := w.exec.FindSignature(t.Context(), claim, first.Artifact, first.KeyID, first.Message)
	require.NoError(t, err)
	require.Nil(t, none)
	kept, err := w.exec.KeepSignature(t.Context(), claim, first)
	require.NoError(t, err)
	require.Equal(t, first, kept)
	before := w.fingerprint(t)
	found, err := w.exec.FindSignature(t.Context(), claim, first.Artifact, first.KeyID, first.Message)
	require.NoError(t, err)
	require.Equal(t, &first, found)
	for _, other := range []storage.StoredSignature{{Artifact: "x", KeyID: first.KeyID, Message: first.Message},
		{Artifact: "seal", KeyID: "x", Message: first.Message}, {Artifact: "seal", KeyID: first.KeyID, Message: digest("x")}} {
		none, err := w.exec.FindSignature(t.Context(), claim, other.Artifact, other.KeyID, other.Message)
		require.NoError(t, err)
		require.Nil(t, none)
	}
	second := first
	second.Signature = []byte("a key service signs differently each time")
	kept, err = w.exec.KeepSignature(t.Context(), claim, second)
	require.NoError(t, err)
	require.Equal(t, first, kept)
	require.Equal(t, before, w.fingerprint(t))
	second.Message = digest("other bytes")
	kept, err = w.exec.KeepSignature(t.Context(), claim, second)
	require.NoError(t, err)
	require.Equal(t, second, kept)
}

func TestResultsAndDistribution(t *testing.T) {
	w := newWorld(t)
	run := w.started(t, "acme", 1)
	ref := run.Ref()
	want := export.Result{
		ManifestDigest: digest("m").String(), PayloadDigest: digest("p").String(), RerunHash: digest("r").String(),
		ArchiveDigest: digest("a").String(), ArchiveBytes: 12345,
		Signatures: []export.SignatureRef{{ID: digest("s").String(), Artifact: "manifests/export.json",
			Path: "signatures/export.sigstore.json", KeyID: "sha256:k", Algorithm: "ecdsa-p256-sha256", Verify: "cosign verify-blob <x> && 'y'"}},
	}
	save := func() {
		require.NoError(t, w.exec.SaveManifest(t.Context(), w.begin(t, ref, export.PhaseManifest, 1), want, at(110)))
		require.NoError(t, w.exec.SaveSigned(t.Context(), w.begin(t, ref, export.PhaseSign, 1), want,
			timeline(ref, export.TransitionBuilt), at(111)))
		require.NoError(t, w.exec.SaveDistribution(t.Context(), w.begin(t, ref, export.PhaseDistribute, 1),
			storage.Distribution{Type: "http", Location: "/download", Digest: digest("a"), Size: 12345}, at(112)))
	}
	save()
	require.Equal(t, want, w.get(t, ref).Result)
	before := w.fingerprint(t)
	save()
	require.Equal(t, before, w.fingerprint(t), "repeating has no effect")
	require.Equal(t, []export.EventType{export.EventPending, export.EventStarted, export.EventManifestWritten,
		export.EventSigned, export.EventDistributed}, w.types(t, ref))
	require.Equal(t, 1, value[int](t, w, "acme", "select count(*) from export_outbox where event_type = 'export.built'"))

	foreign := timeline(export.Ref{Tenant: "globex", RunID: ref.RunID}, export.TransitionBuilt)
	require.ErrorContains(t, w.exec.SaveSigned(t.Context(), w.begin(t, ref, export.PhaseSign, 1), want, foreign, at(113)), "not about run")
}

func TestAddEventOncePerSubject(t *testing.T) {
	w := newWorld(t)
	ref := w.started(t, "acme", 1).Ref()
	claim := w.begin(t, ref, export.PhaseAdapt, 1)
	event := export.Event{Type: export.EventAdapterComplete, Message: "done \x00\xff", At: at(120), Metrics: map[string]int64{"records": 3}}
	require.NoError(t, w.exec.AddEvent(t.Context(), claim, "", event))
	before := w.fingerprint(t)
	require.NoError(t, w.exec.AddEvent(t.Context(), claim, "", event))
	later := w.begin(t, ref, export.PhaseAdapt, 1)
	require.NoError(t, w.exec.AddEvent(t.Context(), later, "", event))
	require.Equal(t, before, w.fingerprint(t))
	require.NoError(t, w.exec.AddEvent(t.Context(), claim, "another", event))
	require.Len(t, w.journal(t, ref), 4)
}
