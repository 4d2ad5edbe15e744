package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/storage"
)

// diskDocuments are imported by each tenant of the disk tests.
const diskDocuments = 3000

// TestFullDisks fills the disks of a house one by one and frees them again. What
// is refused says that a disk is full; nothing hangs, nothing is half done, and
// soon after space is free the service is healthy and every run succeeds with the
// payload of its undisturbed twin.
func TestFullDisks(t *testing.T) {
	t.Parallel() // it waits more than it works
	d := openDisks(t)
	t.Run("blobs, while staging", d.fullBeforeARun)
	t.Run("blobs, while publishing", d.fullDuringARun)
	t.Run("database, while importing", d.databaseFullAtAnImport)
	t.Run("database, with a run in flight", d.databaseFullDuringARun)
	t.Run("logs", d.logsFull)
	d.fsck(t, healthyWithin, "--deep")
}

// disks is a house whose blobs, database and logs lie on disks of their own.
type disks struct {
	*house
	documents string
	twin      client.Run
}

// openDisks starts a house on a tmpfs, with two of its directories on a tmpfs each.
func openDisks(t *testing.T) *disks {
	t.Helper()
	program(t, "exportcenter-temporal")
	dir, err := os.MkdirTemp("", "exportcenter-e2e-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755), "PostgreSQL drops root and must get in")
	d := &disks{house: &house{dir: filepath.Join(dir, "data")}, documents: replicas(t, diskDocuments, "")}
	for _, name := range []string{database, blobs, logs} {
		mountDisk(t, filepath.Join(d.dir, name))
	}
	d.start(t)
	t.Cleanup(func() { d.stop(t) })
	d.twin = d.succeeds(t, d.tenant(t, "twin").order(t))
	return d
}

// The disks of the house, by directory. The database has that of the house.
const (
	database = "."
	blobs    = "blobs"
	logs     = "logs"
)

// roomy is the size of a disk that is not full.
const roomy = "size=4g"

func mountDisk(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, os.Mkdir(dir, 0o711))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, roomy+",mode=711"); err != nil {
		testkit.Missing(t, "the right to mount a tmpfs: "+err.Error())
	}
	t.Cleanup(func() { // what was killed may still be letting go
		require.Eventually(t, func() bool { return syscall.Unmount(dir, 0) == nil }, 10*time.Second, 50*time.Millisecond, "unmount %s", dir)
	})
}

// fill makes a disk exactly as large as what is on it; free gives it room again.
func (d *disks) fill(t *testing.T, name string) (free func()) {
	t.Helper()
	dir := filepath.Join(d.dir, name)
	resize := func(size string) error { return syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, size) }
	require.Eventually(t, func() bool { // between the look and the change it may have grown
		var disk syscall.Statfs_t
		require.NoError(t, syscall.Statfs(dir, &disk))
		return resize(fmt.Sprintf("size=%d", int64(disk.Blocks-disk.Bfree)*disk.Bsize)) == nil
	}, 5*time.Second, time.Millisecond, "the disk could not be filled")
	full := true
	free = func() {
		if full {
			require.NoError(t, resize(roomy))
			full = false
		}
	}
	t.Cleanup(free)
	return free
}

// tenant is a tenant of a house with disks, with evidence of its own.
type tenant struct {
	*disks
	name, token string
}

// newcomer is a tenant without evidence.
func (d *disks) newcomer(t *testing.T, name string) tenant {
	t.Helper()
	return tenant{disks: d, name: name, token: d.tokenFor(t, name)}
}

func (d *disks) tenant(t *testing.T, name string) tenant {
	t.Helper()
	who := d.newcomer(t, name)
	who.imports(t)
	return who
}

func (w tenant) imports(t *testing.T) {
	t.Helper()
	out, code := w.stellaAs(t, w.token, "ledger", "import", w.documents, "--format", "json")
	require.Zero(t, code, "%s\n%s", out, w.tail())
}

// orderedRun is a run of a tenant.
type orderedRun struct {
	tenant
	id string
}

func (w tenant) order(t *testing.T) orderedRun {
	t.Helper()
	c, err := client.New(w.env["STELLA_SERVER"], w.token)
	require.NoError(t, err)
	run, err := c.CreateRun(t.Context(), client.RunRequest{ProfileID: "json:raw"}, clock.NewID())
	require.NoError(t, err, w.tail())
	return orderedRun{tenant: w, id: run.RunID}
}

// look gives a run as it is now.
func (r orderedRun) look(t *testing.T) (run client.Run) {
	t.Helper()
	status, _, body := r.ask(t, r.token, "GET", "/api/export/runs/"+r.id)
	require.Equal(t, http.StatusOK, status, body)
	require.NoError(t, json.Unmarshal([]byte(body), &run))
	return run
}

// succeeds waits for the end of a run and holds it to the twin.
func (d *disks) succeeds(t *testing.T, r orderedRun) client.Run {
	t.Helper()
	c, err := client.New(d.env["STELLA_SERVER"], r.token)
	require.NoError(t, err)
	run, err := c.WaitRun(t.Context(), r.id, nil)
	require.NoError(t, err, d.tail())
	require.Equal(t, client.RunStatusSucceeded, run.Status, "%+v\n%s", run.Error, d.tail())
	if d.twin.RunID != "" {
		require.Equal(t, d.twin.PayloadDigest, run.PayloadDigest, "not the bytes of its twin")
	}
	return run
}

// recovers holds what must be so after space is free again.
func (d *disks) recovers(t *testing.T, r orderedRun) client.Run {
	t.Helper()
	began := time.Now()
	d.waitServing(t, healthyWithin)
	t.Logf("healthy %s after space was free", time.Since(began).Round(time.Millisecond))
	run := d.succeeds(t, r)
	d.fsck(t, healthyWithin)
	return run
}

// awaitLog waits until a child has said something since the log was as long as
// from says.
func (d *disks) awaitLog(t *testing.T, child, word string, from int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		content, err := os.ReadFile(filepath.Join(d.dir, "logs", child+".log"))
		require.NoError(t, err)
		return strings.Contains(string(content[min(from, int64(len(content))):]), word)
	}, healthyWithin, 20*time.Millisecond, "%s never said %q:\n%s", child, word, lateTail{d.house})
}

// lateTail is the logs as they are when a failure is told.
type lateTail struct{ *house }

func (l lateTail) String() string { return l.tail() }

func (d *disks) said(t *testing.T, child string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(d.dir, "logs", child+".log"))
	require.NoError(t, err)
	return info.Size()
}

const databaseFull = "the database's disk is full"
const blobsFull = "the blob store's disk is full"

func (d *disks) fullBeforeARun(t *testing.T) {
	who, from := d.tenant(t, "staging"), d.said(t, "worker")
	free := d.fill(t, blobs)
	run := who.order(t)
	d.awaitLog(t, "worker", blobsFull, from)
	require.False(t, run.look(t).Ended(), "it waits for space")
	status, _, body := d.ask(t, who.token, "GET", "/health/ready")
	require.Equal(t, http.StatusServiceUnavailable, status, body)
	free()
	d.recovers(t, run)
}

func (d *disks) fullDuringARun(t *testing.T) {
	who, from := d.tenant(t, "publishing"), d.said(t, "worker")
	run := who.order(t)
	staged := filepath.Join(d.dir, "blobs", storage.Namespace(who.name), "staging", "*")
	require.Eventually(t, func() bool {
		found, err := filepath.Glob(staged)
		require.NoError(t, err)
		return len(found) > 0
	}, healthyWithin, time.Millisecond, "nothing was staged")
	free := d.fill(t, blobs)
	d.awaitLog(t, "worker", blobsFull, from)
	require.False(t, run.look(t).Ended(), "it waits for space")
	free()
	d.recovers(t, run)
}

func (d *disks) databaseFullAtAnImport(t *testing.T) {
	who, from := d.newcomer(t, "importing"), d.said(t, "api")
	free := d.fill(t, database)
	began := time.Now()
	out, code := who.stellaAs(t, who.token, "ledger", "import", d.documents, "--format", "json")
	require.NotZero(t, code, "an import onto a full disk: %s", out)
	require.Less(t, time.Since(began), time.Minute+overhead)
	d.awaitLog(t, "api", databaseFull, from)
	free()
	d.waitServing(t, healthyWithin)
	who.imports(t)
	d.recovers(t, who.order(t))
}

// A run that had ended before the disk was full does not count.
func (d *disks) databaseFullDuringARun(t *testing.T) {
	for try := range tries {
		who := d.tenant(t, fmt.Sprintf("in-flight-%d", try))
		run := who.order(t)
		d.waitStatusAs(t, run)
		from := d.said(t, "postgres")
		free := d.fill(t, database)
		began := time.Now()
		d.awaitLog(t, "postgres", "No space left on device", from)
		free()
		if d.recovers(t, run).CompletedAt.After(began) {
			return
		}
	}
	t.Fatalf("no run was in flight in %d tries: nothing was tested", tries)
}

// waitStatusAs waits until a run is at work.
func (d *disks) waitStatusAs(t *testing.T, r orderedRun) {
	t.Helper()
	require.Eventually(t, func() bool { return r.look(t).Status != client.RunStatusPending }, healthyWithin, 2*time.Millisecond)
}

func (d *disks) logsFull(t *testing.T) {
	who := d.tenant(t, "logs")
	free := d.fill(t, logs)
	worker := d.child("worker")
	require.NoError(t, syscall.Kill(worker, syscall.SIGKILL))
	d.waitChild(t, "worker", worker) // its log has no room for a word
	run := who.order(t)
	d.succeeds(t, run)
	free()
	d.recovers(t, run)
}
