package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// plantedBug is a deliberate defect in our own code, and the tests that must
// notice it. `make planted` plants each into a copy of the tree and runs them.
type plantedBug struct {
	name string
	file string
	old  string // stands exactly once in file
	new  string
	pkg  string // whose tests must notice
	run  string // which of them: -run
}

var plantedBugs = []plantedBug{
	{"a blob is renamed before its bytes are on disk", "storage/files/staged.go",
		"	if err := b.file.Sync(); err != nil {\n		return err\n	}\n", "", "./storage/files", "Disk"},
	{"the name of a published blob is not forced to disk", "storage/files/staged.go",
		"	return b.store.syncDir(dir)\n", "	return nil\n", "./storage/files", "Disk"},
	{"a blob is published before it is pinned", "activities/packing.go",
		"	if err := p.Execution.PinAll(ctx, p.claim, blobs); err != nil {\n		return fmt.Errorf(\"pin %d packed shards: %w\", len(blobs), err)\n	}\n", "",
		"./activities", "Pack"},
	{"a transaction does not say whose it is", "storage/postgres/transaction.go",
		`"select set_config('app.current_tenant', $1, true)"`, `"select set_config('app.current_tenant', $1, false)"`, "./storage/postgres", "Tenant"},
	{"a tenant's table is not protected from its owner's kind", "storage/postgres/migrations/00001_foundation.sql",
		"  execute format('alter table %s force row level security', name);\n", "", "./storage/postgres", "Wall|Tenant|Protect"},
	{"an import is acknowledged before it is recorded", "frontend/import_store.go",
		"		if r.err = s.record(ctx, store, tenant, batch, through); r.err == nil && s.told != nil {\n			r.err = s.told(s.settled)\n		}\n",
		"		if s.told != nil {\n			r.err = s.told(ledger.Counts{Read: through.Read, Accepted: through.Read - through.Rejected, Rejected: through.Rejected})\n		}\n		if r.err == nil {\n			r.err = s.record(ctx, store, tenant, batch, through)\n		}\n",
		"./frontend", "Import"},
	{"an older attempt may still write", "storage/postgres/execution.go",
		"		if !newest {\n			return outrun(c)\n		}\n", "", "./storage/postgres", "Fence|Stale|Attempt|Range"},
	{"a process that is stopped in a transaction keeps its locks", "storage/postgres/pool.go",
		"strconv.FormatInt(silence.Milliseconds(), 10)", "strconv.FormatInt(1000*silence.Milliseconds(), 10)", "./storage/postgres", "Stopped"},
	{"a deep fsck does not compare blobs with their digests", "fsck/blobs.go",
		"		if message != \"\" {\n			kind = &blobBytes\n		}\n", "", "./fsck", "EveryKind|Rot"},
	{"a blob is erased without asking whether the transaction lives", "storage/files/fence.go",
		"if err := still(ctx); err != nil {", "if err := still(ctx); err != nil && false {", "./storage/files", "."},
	{"a run fails although its cancel was accepted", "storage/postgres/execution_finish.go",
		"if o.State == export.StateFailed && run.Cancel != nil {", "if o.State == export.StateFailed && run.Cancel != nil && false {",
		"./storage/postgres", "Cancel"},
	{"an attempt's number is used again after a reset", "activities/export.go",
		"return info.ScheduledTime.UnixMilli()*attemptsPerSchedule + min(int64(info.Attempt), attemptsPerSchedule-1)", "return int64(info.Attempt)",
		"./activities", "Attempt"},
	{"a key is taken for another request", "storage/postgres/idempotency.go",
		"	if bundle.Digest(hash) != idem.RequestHash {", "	if bundle.Digest(hash).IsZero() {", "./storage/postgres", "Idempot|Key|Run"},
	{"one run too many works at once", "storage/postgres/runs_queue.go",
		"p.slot = waiting == 0 && mayWork && active < limits.Active;", "p.slot = waiting == 0 && mayWork && active <= limits.Active;", "./storage/postgres", "Queue|Cap|Slot"},
	{"a quota lets one run too many of a profile work", "storage/postgres/runs_queue.go",
		"from ranked where bound is null or place <= bound", "from ranked where bound is null or place <= bound + 1", "./storage/postgres", "AtWorkOfAProfile"},
	{"a quota of the day lets one run too many in", "storage/postgres/runs_quota.go",
		"bound > 0 && u.tenant.runs > int64(bound)", "bound > 0 && u.tenant.runs > int64(bound)+1", "./storage/postgres", "RunsPerDayOfATenant"},
	{"a quota on bytes is asked for only when a run is asked for", "storage/postgres/execution.go",
		"if err := mayKeepMore(ctx, tx, run.Tenant, e.limits); err != nil {", "if err := mayKeepMore(ctx, tx, run.Tenant, e.limits); err != nil && false {",
		"./storage/postgres", "BytesOfATenant"},
	{"a quota on a run's bytes is not kept", "activities/resolve.go",
		"if bound == 0 || bytes <= bound {", "if bound == 0 || bytes <= bound || true {", "./activities", "BeyondItsProfilesBytes"},
	{"a call beyond its tenant's rate costs a write (quota)", "frontend/auth.go",
		"	if err := s.admission.knock(principal.Tenant, lane, s.clock()); err != nil {\n		return Principal{}, err\n	}\n	if proof != nil {\n		if err := s.useProof(r.Context(), *proof); err != nil {\n			return Principal{}, err\n		}\n	}\n",
		"	if proof != nil {\n		if err := s.useProof(r.Context(), *proof); err != nil {\n			return Principal{}, err\n		}\n	}\n	if err := s.admission.knock(principal.Tenant, lane, s.clock()); err != nil {\n		return Principal{}, err\n	}\n",
		"./frontend", "CostsNoWrite"},
	{"a forged token uses up a quota", "frontend/auth.go",
		"	proof, err := s.prove(r, scheme, token, principal)\n	if err != nil {\n		return Principal{}, err\n	}\n	if err := s.admission.knock(principal.Tenant, lane, s.clock()); err != nil {\n		return Principal{}, err\n	}\n",
		"	if err := s.admission.knock(principal.Tenant, lane, s.clock()); err != nil {\n		return Principal{}, err\n	}\n	proof, err := s.prove(r, scheme, token, principal)\n	if err != nil {\n		return Principal{}, err\n	}\n",
		"./frontend", "AForgedTokenTakes"},
	{"a proof is believed while nobody knows whether it was used", "frontend/proof.go",
		"	return &export.Error{Code: export.CodeUnavailable, Class: export.ClassTransient,\n		Message: \"whether the DPoP",
		"	if err != nil {\n		return nil\n	}\n	return &export.Error{Code: export.CodeUnavailable, Class: export.ClassTransient,\n		Message: \"whether the DPoP",
		"./faults", "TestFrontFaultPoints"},
	{"a notice that was not recorded is not given again", "frontend/deprecated.go",
		"	timed, cancel := context.WithTimeout", "	s.notices.note(about, now)\n	timed, cancel := context.WithTimeout",
		"./faults", "TestFrontFaultPoints"},
	{"which revision is current follows from arrival", "storage/postgres/ledger_import.go",
		"(best.modified, best.sha256) > (b.modified, b.sha256)", "best.seq > 1 << 60", "./storage/postgres", "Order|Property|Revision|Superseded"},
	{"a block of documents is believed without its checksum", "storage/postgres/block.go",
		"	if crc32.Checksum(content, castagnoli) != binary.BigEndian.Uint32(stored[1:]) {\n		return nil, corruptBlock(\"the checksum differs\")\n	}\n	return content, nil\n}\n\n// sealStream",
		"	return content, nil\n}\n\n// sealStream", "./storage/postgres", "Damaged|Block"},
	{"an adapter may change the evidence", "activities/evidence.go",
		"g.whole = len(raw) == g.size && crc32.Checksum(raw, castagnoli) == g.before", "g.whole = true", "./activities", "Evidence"},
	{"documents that were not planned are packed", "activities/packing.go",
		"packed != shard.Hash {", "packed != shard.Hash && false {", "./activities", "Places|Pack"},
	{"a cut that is gone is kept", "activities/derive.go",
		"		if in > 0 && old[in].Cursor == key {\n			stale[in-1] = true\n		}\n", "", "./activities", "Plan"},
	{"a download is not compared with its digest", "frontend/compared.go",
		"storage.OpenCompared(ctx, s.cfg.Objects, tenant, digest, size, known)",
		"func() (storage.Blob, storage.Checkpoints, error) {\n		b, err := storage.OpenExact(ctx, s.cfg.Objects, tenant, digest, size)\n		return b, nil, err\n	}()",
		"./frontend", "Rot|Changed|Range"},
	{"who downloads gets the piece that another wanted", "frontend/shared_archive.go",
		"	if here.chunk == chunk {\n", "	if here.chunk != 0 {\n", "./frontend", "Readers"},
	{"a run that was cancelled leaves its blobs", "workflows/export_run.go",
		"	if ended.State != export.StateSucceeded || ended.Rebuild {\n", "	if ended.State == export.StateFailed || ended.Rebuild {\n", "./workflows", "Cancel"},
	{"a token's time is not looked at", "frontend/token.go",
		"		jwt.WithValidate(true),\n", "		jwt.WithValidate(false),\n", "./frontend", "Token|Auth"},
	{"a signature has two forms", "signing/ecdsa.go",
		"	if v.S.Cmp(halfOrder) > 0 {\n		return fmt", "	if v.S.Sign() < 0 {\n		return fmt", "./signing", "."},
	{"the verifier does not look at the provenance's envelope", "bundle/verify/signatures.go",
		"		{bundle.ProvenancePath, bundle.ProvenanceEnvelopePath, v.openEnvelope(bundle.StatementPayloadType)},\n", "", "./bundle/verify", "Mutation|Step"},
	{"the verifier does not look behind the last entry", "bundle/verify/walk.go",
		"	if blocks != ([bundle.TrailerSize]byte{}) || at+bundle.TrailerSize != v.size {\n", "	if blocks != ([bundle.TrailerSize]byte{}) {\n", "./bundle/verify", "Mutation"},
	{"the verifier does not look at padding", "bundle/verify/walk.go",
		"		if b != 0 {\n", "		if b != 0 && false {\n", "./bundle/verify", "Mutation|Flip"},
	{"keys are sorted by bytes", "bundle/canonical_order.go",
		"compareUTF16(c.key(&a), c.key(&b))", "bytes.Compare(c.key(&a), c.key(&b))", "./bundle", "Canonical"},
	{"a bomb is read to its end", "ledger/feed/meter.go",
		"m.total/maxRatio > m.packed()", "m.total/maxRatio > 1<<40+m.packed()", "./ledger/feed", "Bomb|Archive|Ratio"},
	{"what was packed by other rules is taken over", "activities/reuse.go",
		"run.Options.Redaction.Fingerprint(), attribution.Version, run.Project})", "\"\", attribution.Version, run.Project})", "./activities", "Recipe"},
	{"a source may lose ten times what it may", "export/guard_rules.go",
		"(before-now)*100 > int64(c.MaxDrop())*before", "(before-now)*10 > int64(c.MaxDrop())*before", "./export", "."},
	{"a manifest may speak of another policy than decided", "bundle/verify/documents.go",
		"if said != *v.manifest.Policy {", "if said != *v.manifest.Policy && false {", "./bundle/verify", "TheirForm"},
	{"bytes may stand behind a database", "bundle/layer.go",
		"if _, err := stored.ReadByte(); err == nil {", "if _, err := stored.ReadByte(); err == nil && false {", "./bundle", "Layer"},
	{"a database is built of shards whose bytes have changed", "activities/assembly.go",
		"case err == io.EOF && bundle.Digest(p.hash.Sum(nil)) != p.want:", "case err == io.EOF && p.want.IsZero():", "./activities", "PackedShards"},
	{"what a killed worker built stays on the disk", "internal/scratch/scratch.go",
		"err == nil && free {", "err == nil && free && false {", "./internal/scratch", "."},
	{"an original may be other than its name", "bundle/verify/originals.go",
		"if got := bundle.Digest(h.Sum(nil)); got != want {", "if got := bundle.Digest(h.Sum(nil)); got != want && got.IsZero() {", "./bundle/verify", "OriginalsAreThose"},
	{"originals that no list has are passed over", "bundle/verify/originals.go",
		"	if at < v.originals.to {\n		e, _, failure", "	if at < v.originals.to && found.Count == 0 {\n		e, _, failure", "./bundle/verify", "OriginalsAreThose"},
	{"a segment is taken over that lacks an original", "adapters/mirrorfull/originals.go",
		"	if of.Count != int64(len(o.open)) {", "	if of.Count < int64(len(o.open)) {", "./adapters/mirrorfull", "TheMirrorBefore"},
	{"a file that an earlier attempt built stays in the bundle", "storage/postgres/execution_files.go",
		"c.Phase != export.PhaseManifest && c.Phase != export.PhaseAdapt {", "c.Phase != export.PhaseManifest {", "./storage/postgres", "BuiltFiles"},
}

// A bug that does not fit the code any more would never be caught, and never
// be missed.
func TestPlantedBugsFitTheCode(t *testing.T) {
	require.GreaterOrEqual(t, len(plantedBugs), 10)
	names := map[string]bool{}
	for _, bug := range plantedBugs {
		raw, err := os.ReadFile(filepath.Join(repository, bug.file))
		require.NoError(t, err)
		require.Equal(t, 1, strings.Count(string(raw), bug.old), "%s: its place in %s", bug.name, bug.file)
		require.NotEqual(t, bug.old, bug.new, bug.name)
		require.False(t, names[bug.name], bug.name)
		names[bug.name] = true
	}
}
