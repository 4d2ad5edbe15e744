//go:build torture

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/storage"
)

// rest lets everything come to rest and counts what is left in the database
// and on the disk. The database is asked as its superuser: the tables' owner
// is held back by row level security like everybody else.
func (w *torture) rest() {
	db := w.house.superuser(w.t)
	w.countRuns(db)
	w.countJournals(db)
	w.countBlobs(db)
	w.countStaged()
	w.countCanaries()
	w.countDivergences()
}

// countRuns holds our journal against the API and the table: every run that
// was acknowledged is there, and none that was not asked for.
func (w *torture) countRuns(db *pgx.Conn) {
	asked := map[string]bool{}
	for _, o := range w.journal {
		if o.err != nil {
			continue
		}
		asked[o.run.RunID] = true
		w.countChanged(o)
		status, body := w.get(o.tenant, "/api/export/runs/"+o.run.RunID)
		var rows int
		w.row(db, &rows, `select count(*) from export_runs where tenant = $1 and id = $2`, o.tenant, o.run.RunID)
		if status != http.StatusOK || rows != 1 {
			w.found(&w.count.Lost, "run %s of %s was acknowledged; now the API answers %d and the table has %d rows: %s",
				o.run.RunID, o.tenant, status, rows, body)
		}
	}
	for _, id := range w.texts(db, `select tenant || ' ' || id from export_runs`) {
		if _, run, _ := cutTwo(id); !asked[run] {
			w.found(&w.count.Duplicated, "run %s is there, nobody was told of it", id)
		}
	}
}

// countChanged counts a run that is not any more what it was when it ended.
func (w *torture) countChanged(o ordered) {
	now, err := w.client(o.tenant).GetRun(w.t.Context(), o.run.RunID)
	if err != nil || !o.run.Ended() {
		return // counted as lost or stuck
	}
	if now.Status != o.run.Status || now.PayloadDigest != o.run.PayloadDigest || now.ArchiveDigest != o.run.ArchiveDigest {
		w.found(&w.count.Corrupted, "run %s of %s ended %s with payload %s and archive %s; now it is %s with %s and %s", o.run.RunID, o.tenant,
			o.run.Status, o.run.PayloadDigest, o.run.ArchiveDigest, now.Status, now.PayloadDigest, now.ArchiveDigest)
	}
}

// countDivergences counts what `exportcenter fsck` names in a house at rest.
func (w *torture) countDivergences() {
	for _, d := range w.house.divergences(w.t) {
		counter := &w.count.Corrupted
		if left[d.Kind] {
			counter = &w.count.Leaked
		}
		w.found(counter, "fsck: %s", d)
	}
}

// left are the kinds of divergence that are something too much; all others are
// something that is wrong or missing.
var left = map[string]bool{"blob-unrecorded": true, "blob-unneeded": true, "blob-deleting": true, "pin-left": true,
	"staged-left": true, "file-foreign": true, "namespace-unknown": true}

// countJournals counts runs whose journal has gaps, repeats or not exactly one
// end, transitions told twice, and cancels and transitions not told at all.
func (w *torture) countJournals(db *pgx.Conn) {
	w.each(db, &w.count.Duplicated, "journal with gaps, repeats or not one end", `
		select r.tenant || ' ' || r.id || ': ' || r.status || ', counter ' || r.event_seq || ', events ' || count(e.*)
			|| ', ends ' || count(e.*) filter (where e.event_type in ('run.succeeded', 'run.failed', 'run.aborted'))
		from export_runs r left join export_events e on e.tenant = r.tenant and e.run_id = r.id
		group by r.tenant, r.id
		having count(e.*) <> r.event_seq or count(distinct e.seq) <> r.event_seq
			or min(e.seq) is distinct from 1 or max(e.seq) is distinct from r.event_seq
			or count(*) filter (where e.event_type in ('run.succeeded', 'run.failed', 'run.aborted')) <> 1`)
	w.each(db, &w.count.Duplicated, "step of a run told twice", `
		select tenant || ' ' || run_id || ' ' || phase || ' ' || event_type || ' ' || subject from export_events
		group by tenant, run_id, phase, event_type, subject having count(*) > 1`)
	w.each(db, &w.count.Duplicated, "transition told twice", `
		select tenant || ' ' || run_id || ' ' || event_type from export_outbox
		group by tenant, run_id, event_type having count(*) > 1`)
	w.each(db, &w.count.Lost, "transition of a run that succeeded not told", `
		select r.tenant || ' ' || r.id || ' ' || t.name
		from export_runs r, (values ('export.requested'), ('export.built'), ('export.distributed')) t (name)
		where r.status = 'succeeded' and not exists (select from export_outbox o
			where o.tenant = r.tenant and o.run_id = r.id and o.event_type = t.name)`)
	w.each(db, &w.count.Lost, "end of a run without bundle not told", `
		select r.tenant || ' ' || r.id || ' ' || r.status from export_runs r
		where r.status in ('aborted', 'failed') and not exists (select from export_outbox o
			where o.tenant = r.tenant and o.run_id = r.id and o.event_type = 'export.failed')`)
	w.each(db, &w.count.Lost, "cancel not in the journal", `
		select r.tenant || ' ' || r.id || ': ' || r.cancel_by || ': ' || r.cancel_reason from export_runs r
		where r.cancel_requested_at is not null and not exists (select from export_events e
			where e.tenant = r.tenant and e.run_id = r.id and e.event_type = 'run.cancel_requested'
				and e.message = 'cancel requested by ' || r.cancel_by || ': ' || r.cancel_reason)`)
	w.each(db, &w.count.Duplicated, "run told to have succeeded and not to have", `
		select tenant || ' ' || run_id from export_outbox where event_type in ('export.distributed', 'export.failed')
		group by tenant, run_id having count(*) > 1`)
}

// countBlobs holds the rows of blobs against the files, both ways, and every
// file against its name.
func (w *torture) countBlobs(db *pgx.Conn) {
	w.each(db, &w.count.Leaked, "blob that no run needs", `
		select b.tenant || ' ' || encode(b.sha256, 'hex') || ' ' || b.state from blobs b
		where b.state <> 'live' or not exists (select from blob_pins p where p.tenant = b.tenant and p.sha256 = b.sha256)`)
	w.each(db, &w.count.Corrupted, "bundle entry without blob", `
		select f.tenant || ' ' || f.run_id || ' ' || f.path from export_files f
		where not exists (select from blobs b where b.tenant = f.tenant and b.sha256 = f.digest and b.size = f.size)`)
	rows := map[string]bool{}
	for _, text := range w.texts(db, `select tenant || ' ' || encode(sha256, 'hex') || ' ' || size from blobs where state = 'live'`) {
		tenant, digest, size := cutTwo(text)
		path := filepath.Join(storage.Namespace(tenant), "sha256", digest[:2], digest)
		rows[path] = true
		info, err := os.Stat(filepath.Join(w.house.dir, "blobs", path))
		switch {
		case err != nil:
			w.found(&w.count.Leaked, "row without blob: %s %s", tenant, digest)
		case fmt.Sprint(info.Size()) != size:
			w.found(&w.count.Corrupted, "blob %s of %s has %d bytes, its row says %s", digest, tenant, info.Size(), size)
		}
	}
	root := filepath.Join(w.house.dir, "blobs")
	files, err := filepath.Glob(filepath.Join(root, "*", "sha256", "*", "*"))
	require.NoError(w.t, err)
	for _, file := range files {
		path, err := filepath.Rel(root, file)
		require.NoError(w.t, err)
		if !rows[path] {
			w.found(&w.count.Leaked, "blob without row: %s", path)
		}
		if got := w.hashFile(file); got != filepath.Base(file) {
			w.found(&w.count.Corrupted, "blob %s has the digest %s", path, got)
		}
	}
	w.t.Logf("%d blobs, %d rows", len(files), len(rows))
}

// countStaged counts files that were being written when their writer died. A
// late attempt may still clean up behind itself, so it is given the minute.
func (w *torture) countStaged() {
	deadline := time.Now().Add(restWithin)
	for ; ; time.Sleep(200 * time.Millisecond) {
		var left []string
		for _, pattern := range []string{"*/staging/*", "probe/*"} {
			found, err := filepath.Glob(filepath.Join(w.house.dir, "blobs", pattern))
			require.NoError(w.t, err)
			left = append(left, found...)
		}
		if len(left) > 0 && time.Now().Before(deadline) && !w.planted {
			continue
		}
		for _, file := range left {
			w.found(&w.count.Leaked, "left staged: %s", file)
		}
		return
	}
}

// each counts the rows a query finds, and names them.
func (w *torture) each(db *pgx.Conn, counter *int, what, query string) {
	for _, found := range w.texts(db, query) {
		w.found(counter, "%s: %s", what, found)
	}
}

func (w *torture) texts(db *pgx.Conn, query string) []string {
	rows, err := db.Query(w.t.Context(), query)
	require.NoError(w.t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(w.t, err)
	return all
}

func (w *torture) row(db *pgx.Conn, into any, query string, args ...any) {
	require.NoError(w.t, db.QueryRow(w.t.Context(), query, args...).Scan(into))
}

// cutTwo splits a text of up to three words.
func cutTwo(text string) (first, second, third string) {
	fmt.Sscan(text, &first, &second, &third) //nolint:errcheck // fewer words leave the rest empty
	return first, second, third
}

// get asks the API as a tenant.
func (w *torture) get(tenant, path string) (int, string) {
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.house.env["STELLA_SERVER"]+path, nil)
	require.NoError(w.t, err)
	request.Header.Set("Authorization", "Bearer "+w.tokens[tenant])
	answer, err := http.DefaultClient.Do(request)
	require.NoError(w.t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(w.t, err)
	return answer.StatusCode, string(body)
}

func (w *torture) hashFile(path string) string {
	file, err := os.Open(path)
	require.NoError(w.t, err)
	defer file.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, file)
	require.NoError(w.t, err)
	return hex.EncodeToString(sum.Sum(nil))
}
