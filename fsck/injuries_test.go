package fsck_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// injury makes one divergence in a healthy world, in tenant acme, and says
// what it is about.
type injury struct {
	name, kind string
	injure     func(t *testing.T, w *world) (subject string)
	// run is what the divergence names as its run: "" = acme's bundle's.
	run string
	// with are kinds that come with it.
	with []string
	// touches are the tables that it changes, when it changes nothing else: then it is
	// undone, and the world is the next one's.
	touches []string
}

const noRun = "none"

var injuries = []injury{
	{name: "a blob's file is gone", kind: "blob-missing", injure: func(t *testing.T, w *world) string {
		e := w.entry(t, acme, "")
		require.NoError(t, os.Remove(w.path(acme, e.Digest)))
		return e.Digest.String()
	}},
	{name: "the plan's file is gone", kind: "blob-missing", injure: func(t *testing.T, w *world) string {
		plan, _, err := w.exec.Plan(t.Context(), w.ended[acme].Ref())
		require.NoError(t, err)
		require.NoError(t, os.Remove(w.path(acme, plan)))
		return plan.String()
	}},
	{name: "a blob's file is cut", kind: "blob-size", injure: func(t *testing.T, w *world) string {
		e := w.entry(t, acme, bundle.ManifestPath)
		w.write(t, w.path(acme, e.Digest), "cut")
		return e.Digest.String()
	}},
	{name: "a bit of a blob has flipped", kind: "blob-bytes", injure: func(t *testing.T, w *world) string {
		e := w.entry(t, acme, "")
		content, err := os.ReadFile(w.path(acme, e.Digest))
		require.NoError(t, err)
		content[len(content)/2] ^= 1
		w.write(t, w.path(acme, e.Digest), string(content))
		return e.Digest.String()
	}},
	{name: "a file nobody recorded", kind: "blob-unrecorded", run: noRun, injure: func(t *testing.T, w *world) string {
		digest := bundle.DigestOf([]byte("late"))
		w.write(t, w.path(acme, digest), "late")
		return digest.String()
	}},
	{name: "a row nobody keeps", kind: "blob-unneeded", run: noRun, injure: func(t *testing.T, w *world) string {
		digest := bundle.DigestOf([]byte("old"))
		w.write(t, w.path(acme, digest), "old")
		w.sql(t, "insert into blobs values ('acme', '_', $1, 3, 'live')", digest[:])
		return digest.String()
	}},
	{name: "a mark that was forgotten", kind: "blob-deleting", run: runID(11), injure: func(t *testing.T, w *world) string {
		digest := bundle.DigestOf([]byte("marked"))
		w.sql(t, "insert into blobs values ('acme', '_', $1, 6, 'deleting', $2)", digest[:], runID(11))
		return digest.String()
	}},
	{name: "a pin that was forgotten", kind: "pin-left", run: runID(11), injure: func(t *testing.T, w *world) string {
		e := w.entry(t, acme, "")
		w.sql(t, "insert into blob_pins values ('acme', '_', $1, $2)", e.Digest[:], runID(11))
		return ""
	}},
	{name: "an entry without a row", kind: "entry-lost", with: []string{"blob-unrecorded"}, injure: func(t *testing.T, w *world) string {
		e := w.entry(t, acme, bundle.ReadmePath)
		w.sql(t, "delete from blobs where tenant = 'acme' and sha256 = $1", e.Digest[:])
		return e.Path
	}},
	{name: "an entry of another size", kind: "entry-lost", injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_files set size = size + 1 where tenant = 'acme' and path = $1", bundle.ReadmePath)
		return bundle.ReadmePath
	}},
	{name: "a plan without a row", kind: "entry-lost", injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_runs set plan_digest = sha256('x') where tenant = 'acme' and id = $1", runID(1))
		return "the plan"
	}},
	{name: "a packed shard of another size", kind: "entry-lost", injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_inputs set result_size = result_size + 1 where tenant = 'acme'")
		return w.entry(t, acme, "").Path
	}},
	{name: "a packed shard without blob is offered", kind: "packed-lost", run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_packed set digest = sha256('x') where tenant = 'acme'")
		return w.shard(t, acme).Hash.String()
	}},
	{name: "a packed shard of another size is offered", kind: "packed-lost", run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_packed set size = size + 1 where tenant = 'acme'")
		return w.shard(t, acme).Hash.String()
	}},
	{name: "places of fewer documents", kind: "places-differ", injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_shards set places = substring(places for 2) where tenant = 'acme'")
		return w.shard(t, acme).Name
	}},
	{name: "places in another order", kind: "places-differ", injure: func(t *testing.T, w *world) string {
		w.places(t, func(p []ledger.Place) { p[0], p[1] = p[1], p[0] })
		return w.shard(t, acme).Name
	}},
	{name: "a place that is not there", kind: "places-differ", injure: func(t *testing.T, w *world) string {
		w.places(t, func(p []ledger.Place) { p[4].Block += 1 << 20 })
		return w.shard(t, acme).Name
	}},
	{name: "a slot that is not there", kind: "places-differ", injure: func(t *testing.T, w *world) string {
		w.places(t, func(p []ledger.Place) { p[4].Slot = 99 })
		return w.shard(t, acme).Name
	}},
	{name: "a writer died", kind: "staged-left", run: noRun, injure: func(t *testing.T, w *world) string {
		at := filepath.Join(storage.Namespace(acme), "staging", strings.Repeat("a", 32))
		w.write(t, filepath.Join(w.dir, at), "half")
		return at
	}},
	{name: "a file that is not ours", kind: "file-foreign", run: noRun, injure: func(t *testing.T, w *world) string {
		at := filepath.Join(storage.Namespace(acme), "sha256", "ab", "notes.txt")
		w.write(t, filepath.Join(w.dir, at), "mine")
		return at
	}},
	{name: "a link in the place of a blob", kind: "file-foreign", run: noRun, with: []string{"blob-missing"}, injure: func(t *testing.T, w *world) string {
		path := w.path(acme, w.entry(t, acme, "").Digest)
		require.NoError(t, os.Rename(path, filepath.Join(t.TempDir(), "moved")))
		require.NoError(t, os.Symlink("/dev/null", path))
		at, err := filepath.Rel(w.dir, path)
		require.NoError(t, err)
		return at
	}},

	{name: "an event is gone", kind: "journal-gap", injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from export_events where tenant = 'acme' and run_id = $1 and seq = 3", runID(1))
		return ""
	}},
	{name: "the first event is gone", kind: "journal-gap", injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from export_events where tenant = 'acme' and run_id = $1 and seq = 1", runID(1))
		return ""
	}},
	{name: "the counter ran ahead", kind: "journal-counter", injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_runs set event_seq = event_seq + 1 where tenant = 'acme' and id = $1", runID(1))
		return ""
	}},
	{name: "an end without its event", kind: "end-events", injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_events set event_type = 'run.odd' where tenant = 'acme' and run_id = $1 and event_type = 'run.succeeded'", runID(1))
		return ""
	}},
	{name: "two ends", kind: "end-events", injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_events set event_type = 'run.aborted' where tenant = 'acme' and run_id = $1 and seq = 2", runID(1))
		return ""
	}},
	{name: "another end", kind: "end-events", injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_events set event_type = 'run.failed' where tenant = 'acme' and run_id = $1 and event_type = 'run.succeeded'", runID(1))
		return ""
	}},
	{name: "an end of a run under way", kind: "end-events", run: runID(31), with: []string{"run-stuck"}, injure: func(t *testing.T, w *world) string {
		w.started(t, acme, 31)
		w.sql(t, "update export_events set event_type = 'run.aborted' where tenant = 'acme' and run_id = $1 and seq = 2", runID(31))
		return ""
	}},
	{name: "a success nobody was told of", kind: "untold", injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from export_outbox where tenant = 'acme' and run_id = $1 and event_type = 'export.distributed'", runID(1))
		return "export.distributed"
	}},
	{name: "an abort nobody was told of", kind: "untold", run: runID(11), injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from export_outbox where tenant = 'acme' and run_id = $1 and event_type = 'export.failed'", runID(11))
		return "export.failed"
	}},
	{name: "a failure that was none", kind: "told-falsely", injure: func(t *testing.T, w *world) string {
		w.sql(t, `insert into export_outbox select tenant, project, $2, run_id, seq, 'export.failed', payload, created_at
			from export_outbox where tenant = 'acme' and run_id = $1 and event_type = 'export.requested'`, runID(1), "any")
		return "export.failed"
	}},
	{name: "a delivery of an aborted run", kind: "told-falsely", run: runID(11), injure: func(t *testing.T, w *world) string {
		w.sql(t, `insert into export_outbox select tenant, project, $2, run_id, seq, 'export.distributed', payload, created_at
			from export_outbox where tenant = 'acme' and run_id = $1 and event_type = 'export.requested'`, runID(11), "any")
		return "export.distributed"
	}},
	{name: "an event under another id", kind: "outbox-differs", injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_outbox set event_id = 'x' where tenant = 'acme' and run_id = $1 and event_type = 'export.built'", runID(1))
		return "export.built"
	}},
	{name: "an event about another run", kind: "outbox-differs", injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_outbox set payload = replace(payload, $2, $3) where tenant = 'acme' and run_id = $1 and event_type = 'export.distributed'",
			runID(1), `"runId":"`+runID(1), `"runId":"`+runID(2))
		return "export.distributed"
	}},
	{name: "an event out of its place", kind: "outbox-differs", injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_outbox set seq = 2 where tenant = 'acme' and run_id = $1 and event_type = 'export.requested'", runID(1))
		return "export.requested"
	}},
	{name: "an event behind the journal", kind: "outbox-differs", injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_outbox set seq = 99 where tenant = 'acme' and run_id = $1 and event_type = 'export.distributed'", runID(1))
		return "export.distributed"
	}},
	{name: "progress ran ahead", kind: "progress-differs", injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_runs set records_done = records_done + 1 where tenant = 'acme' and id = $1", runID(1))
		return ""
	}},
	{name: "a shard is not in the sum", kind: "progress-differs", injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_runs set shards = 0, shards_done = 0 where tenant = 'acme' and id = $1", runID(1))
		return ""
	}},
	{name: "the queue fell back", kind: "queue-counter", run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_queues set seq = seq - 1 where tenant = 'acme'")
		return ""
	}},
	{name: "a day's runs ran ahead", kind: "usage-differs", run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_usage set runs = runs + 1 where tenant = 'acme' and profile_id = ''")
		return ""
	}},
	{name: "a bundle's bytes are not counted", kind: "usage-differs", run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_usage set bytes = bytes - 1 where tenant = 'acme' and profile_id = 'prof-json-raw'")
		return "prof-json-raw"
	}},
	{name: "the bytes of records ran ahead", kind: "usage-differs", run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_usage set record_bytes = record_bytes + 1 where tenant = 'acme' and profile_id = ''")
		return ""
	}},
	{name: "nothing is counted", kind: "usage-differs", run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from export_usage where tenant = 'acme' and profile_id = 'prof-json-raw'")
		return "prof-json-raw"
	}},
	{name: "a number without a run", kind: "run-lost", run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_queues set seq = seq + 1 where tenant = 'acme'")
		return ""
	}},
	{name: "a number of two runs", kind: "run-lost", run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_runs set queue_seq = 1 where tenant = 'acme' and id = $1", runID(11))
		return ""
	}},
	{name: "a run that waits for its start", kind: "run-stuck", run: runID(31), injure: func(t *testing.T, w *world) string {
		w.create(t, acme, 31)
		return ""
	}},
	{name: "a run that does not go on", kind: "run-stuck", run: runID(31), injure: func(t *testing.T, w *world) string {
		w.started(t, acme, 31)
		return ""
	}},
	{name: "a run waits after its time", kind: "run-stuck", run: runID(31), injure: func(t *testing.T, w *world) string {
		w.parked(t, 31, time.Minute)
		return ""
	}},
	{name: "a run waits and nobody knows why", kind: "guard-missing", run: runID(31), injure: func(t *testing.T, w *world) string {
		w.parked(t, 31, 24*time.Hour)
		w.sql(t, "delete from export_guards where tenant = 'acme' and run_id = $1", runID(31))
		return ""
	}},
	{name: "nobody was told that a run waits", kind: "untold", run: runID(31), injure: func(t *testing.T, w *world) string {
		w.parked(t, 31, 24*time.Hour)
		w.sql(t, "delete from export_outbox where tenant = 'acme' and run_id = $1 and event_type = 'export.waiting'", runID(31))
		return "export.waiting"
	}},
	{name: "an approval is told of that nobody gave", kind: "told-falsely", run: runID(31), injure: func(t *testing.T, w *world) string {
		w.started(t, acme, 31)
		w.sql(t, "update export_outbox set event_type = 'export.approved' where tenant = 'acme' and run_id = $1 and event_type = 'export.requested'", runID(31))
		return "export.approved"
	}, with: []string{"untold", "run-stuck"}},
	{name: "a success without archive", kind: "archive-missing", with: []string{"report-differs"}, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_runs set archive_digest = '' where tenant = 'acme' and id = $1", runID(1))
		return ""
	}},
	{name: "a success delivered nowhere", kind: "distribution-missing", injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from export_distributions where tenant = 'acme'")
		return w.ended[acme].Result.ArchiveDigest
	}},
	{name: "another archive was delivered", kind: "distribution-missing", injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_distributions set digest = sha256('x') where tenant = 'acme'")
		return w.ended[acme].Result.ArchiveDigest
	}},
	{name: "a success without seal", kind: "seal-missing", injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from export_files where tenant = 'acme' and path = $1", bundle.SealPath)
		return ""
	}},

	{name: "a head that fell back", kind: "head-differs", run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update ledger_heads set seq = 4 where tenant = 'acme'")
		return ""
	}},
	{name: "an observation is gone", kind: "observation-lost", run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from ledger_observations where tenant = 'acme' and seq = 3")
		return ""
	}},
	{name: "a document is gone", kind: "content-missing", run: noRun, injure: func(t *testing.T, w *world) string {
		digest := documents(t)[2].Digest
		w.sql(t, "update ledger_observations set block = block + 2 where tenant = 'acme' and sha256 = $1", digest[:])
		return digest.String()
	}},
	{name: "a page of terms is gone", kind: "terms-differ", run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from ledger_terms where tenant = 'acme' and axis = 'product'")
		return "product/1-5"
	}},
	{name: "a page of terms is of other documents", kind: "terms-differ", run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update ledger_terms set base = 1 where tenant = 'acme' and axis = 'ecosystem'")
		return "ecosystem/1-1"
	}},
	{name: "a page of other terms", kind: "terms-differ", run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from ledger_terms where tenant = 'acme' and axis = 'product'")
		w.sql(t, "insert into ledger_terms select tenant, 'product', base, nth, first, last, data from ledger_terms where tenant = 'acme' and axis = 'alias'")
		return "product/1-5"
	}},
	{name: "a page of terms is damaged", kind: "terms-bytes", run: noRun, with: []string{"terms-differ"}, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update ledger_terms set data = set_byte(data, 9, get_byte(data, 9) # 1) where tenant = 'acme' and axis = 'alias'")
		return "alias/0/0"
	}},
	{name: "a page that nobody finds", kind: "terms-bytes", run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update ledger_terms set first = 'z' where tenant = 'acme' and axis = 'alias'")
		return "alias/0/0"
	}},
	{name: "a document that nobody overtook", kind: "overtaken-differs", run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "insert into ledger_superseded values ('acme', 2, 2)")
		return "2"
	}},
	{name: "an overtaken document is current again", kind: "overtaken-differs", run: noRun, injure: func(t *testing.T, w *world) string {
		w.revise(t, acme)
		w.sql(t, "delete from ledger_superseded where tenant = 'acme' and seq = 1")
		return "1"
	}},
	{name: "a removed document is current again", kind: "overtaken-differs", run: noRun, injure: func(t *testing.T, w *world) string {
		w.remove(t, acme)
		w.sql(t, "delete from ledger_superseded where tenant = 'acme' and seq = 1")
		return "1"
	}},
	{name: "the last removal is gone", kind: "head-differs", run: noRun, injure: func(t *testing.T, w *world) string {
		w.remove(t, acme)
		w.sql(t, "delete from ledger_removals where tenant = 'acme'")
		w.sql(t, "delete from ledger_superseded where tenant = 'acme'")
		return ""
	}},
	{name: "a document's bytes changed", kind: "document-bytes", run: noRun, injure: func(t *testing.T, w *world) string {
		digest := documents(t)[2].Digest
		w.rewriteBlocks(t, 1, func(content []byte) { replaceIn(t, content, documents(t)[2].Raw) })
		return digest.String()
	}},
	{name: "a document's canonical form changed", kind: "document-canonical", run: noRun, injure: func(t *testing.T, w *world) string {
		digest := documents(t)[2].Digest
		w.rewriteBlocks(t, 0, func(content []byte) { replaceIn(t, content, documents(t)[2].Canonical) })
		return digest.String()
	}},
}
