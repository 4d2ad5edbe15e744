package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

// previousRelease is the last commit before mirrors. PREVIOUS names another one. Its
// processes must work beside ours: an upgrade replaces one after the other, and
// may be taken back.
const previousRelease = "83a72de81b1642cd64e780fbe76417870e426bc2"

// release names whose program a process runs.
type release string

const (
	ours     release = "ours"
	previous release = "previous" // also the version that it is built with
	both     release = ""
)

// upgrade is a house whose worker is replaced.
type upgrade struct {
	house    *house
	storm    *storm             // its lanes, and what their runs must give
	programs map[release]string // paths
	bin      string             // the directory whose exportcenter the house starts
	logs     []string           // of all workers

	beside *exec.Cmd       // the worker beside that of the house
	before release         // whose workers were left by the step before
	ended  map[release]int // runs
	handed int             // held runs that the other release ended
}

// openUpgrade starts a house of our release and makes the twins.
func openUpgrade(t *testing.T) *upgrade {
	t.Helper()
	u := &upgrade{bin: t.TempDir(), before: ours, ended: map[release]int{},
		programs: map[release]string{ours: program(t, "exportcenter"), previous: buildPrevious(t)}}
	u.install(t, ours)
	copyProgram(t, program(t, "exportcenter-temporal"), filepath.Join(u.bin, "exportcenter-temporal"))
	u.house = openHouseOf(t, u.bin)
	u.programs[previous] = u.withoutNewMembers(t, u.programs[previous])
	u.logs = []string{filepath.Join(u.house.dir, "logs", "worker.log")}
	u.storm = stormOver(t, u.house)
	buildGates(t, u.house.superuser(t))
	return u
}

// buildPrevious builds the program of the previous release out of the history.
func buildPrevious(t *testing.T) string {
	t.Helper()
	commit := cmp.Or(os.Getenv("PREVIOUS"), previousRelease)
	git := func(args ...string) (string, error) {
		out, err := exec.Command("git", append([]string{"-C", repository}, args...)...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	if out, err := git("cat-file", "-e", commit+"^{commit}"); err != nil {
		testkit.Missing(t, "git, or commit "+commit+" in the history (a shallow clone has not all of it): "+out)
	}
	name, err := git("log", "-1", "--format=%h, %s", commit)
	require.NoError(t, err, name)
	began, dir := time.Now(), t.TempDir()
	tree, program := filepath.Join(dir, "source"), filepath.Join(dir, "exportcenter")
	require.NoError(t, os.Mkdir(tree, 0o755))
	out, err := git("archive", "-o", filepath.Join(dir, "source.tar"), commit)
	require.NoError(t, err, out)
	requireRuns(t, tree, "tar", "-xf", filepath.Join(dir, "source.tar"))
	build := exec.Command("go", "build", "-ldflags", "-X main.version="+string(previous), "-o", program, "./cmd/exportcenter")
	build.Dir = tree
	said, err := build.CombinedOutput()
	require.NoError(t, err, "build the previous release: %s", said)
	t.Logf("the previous release is %s; built in %s", name, time.Since(began).Round(time.Second))
	return program
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	require.NoError(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	require.NoError(t, err)
	_, err = io.Copy(out, in)
	require.NoError(t, err)
	require.NoError(t, out.Close())
}

// install puts a program where the house finds it at the next start of a child.
func (u *upgrade) install(t *testing.T, r release) {
	t.Helper()
	fresh := filepath.Join(u.bin, "fresh")
	copyProgram(t, u.programs[r], fresh)
	require.NoError(t, os.Rename(fresh, filepath.Join(u.bin, "exportcenter")))
}

// replace ends the house's worker with a signal - SIGTERM, as an orchestrator
// asks - and lets the house go on with another release's.
func (u *upgrade) replace(r release, signal syscall.Signal) func(*testing.T) func() {
	return func(t *testing.T) func() {
		t.Helper()
		u.install(t, r)
		pid, began := u.house.child(" worker "), time.Now()
		require.NotZero(t, pid)
		require.NoError(t, syscall.Kill(pid, signal))
		return func() {
			u.house.waitChild(t, " worker ", pid)
			u.house.waitAnnounced(t, "worker", began)
		}
	}
}

// start starts a worker beside that of the house; it is at work when the runs go on.
func (u *upgrade) start(r release) func(*testing.T) func() {
	return func(t *testing.T) func() {
		t.Helper()
		began := time.Now()
		u.beside = u.run(t, r, "worker", "--data", u.house.dir)
		u.logs = append(u.logs, u.beside.Stderr.(*os.File).Name())
		u.house.waitAnnounced(t, "worker", began)
		return func() {}
	}
}

// end asks the worker beside that of the house to end.
func (u *upgrade) end(t *testing.T) func() {
	t.Helper()
	require.NoError(t, u.beside.Process.Signal(syscall.SIGTERM))
	return func() {
		require.NoError(t, u.beside.Wait(), "a worker that is asked to end lets its activities finish")
	}
}

// replaceAll ends `up` with all that it runs while a run is held, and starts
// another release's on the same data, as one upgrades a single machine. The run
// must succeed, and so must one that comes after it, by that release.
func (u *upgrade) replaceAll(t *testing.T, r release) {
	t.Helper()
	began := time.Now()
	ctx, stop := context.WithTimeout(t.Context(), stepWithin)
	defer stop()
	l := u.storm.lane(t, u.storm.small)
	require.NoError(t, l.gate.close(ctx, l.tenant, "file manifests/export.json"))
	held, err := l.create(ctx)
	require.NoError(t, err)
	require.NoError(t, l.gate.await(ctx, atTheGate, 1), u.house.tail())

	u.install(t, r)
	u.house.stop(t) // and with PostgreSQL the gate
	u.house.start(t)
	l.client, err = client.New(u.house.env["STELLA_SERVER"], u.house.tokenFor(t, l.tenant))
	require.NoError(t, err)
	later, err := l.create(ctx)
	require.NoError(t, err)
	for _, run := range []client.Run{held, later} {
		run, err := l.client.WaitRun(ctx, run.RunID, nil)
		require.NoError(t, err, u.house.tail())
		require.Equal(t, client.RunStatusSucceeded, run.Status, "%+v\n%s", run.Error, u.house.tail())
		require.Equal(t, l.twin, run.PayloadDigest)
	}
	require.Equal(t, map[release]int{r: 2}, u.endedBy(t, []client.Run{held, later}), "who ended the runs")
	t.Logf("all of the house is of %s: 2 runs; %s", r, time.Since(began).Round(time.Millisecond))
}

// run starts a process of a release; it ends with the test.
func (u *upgrade) run(t *testing.T, r release, args ...string) *exec.Cmd {
	t.Helper()
	log, err := os.CreateTemp(filepath.Join(u.house.dir, "logs"), args[0]+"-beside-*.log")
	require.NoError(t, err)
	t.Cleanup(func() { log.Close() })
	cmd := exec.Command(u.programs[r], args...)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		if cmd.ProcessState == nil { // nobody has waited for it
			cmd.Process.Kill() //nolint:errcheck // it has ended by itself
			cmd.Wait()         //nolint:errcheck // it was killed
		}
	})
	return cmd
}

// endedBy counts the runs that each release has ended, as the logs of the
// workers say. A run's row is there before its line in the log.
func (u *upgrade) endedBy(t *testing.T, runs []client.Run) map[release]int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		by, all := map[release]int{}, u.ends(t)
		found := 0
		for _, run := range runs {
			if r, ok := all[run.RunID]; ok {
				by[r]++
				found++
			}
		}
		if found == len(runs) {
			return by
		}
		require.True(t, time.Now().Before(deadline), "no worker's log says of %d of %d runs that they ended", len(runs)-found, len(runs))
	}
}

// ends reads from the logs which release ended which run.
func (u *upgrade) ends(t *testing.T) map[string]release {
	t.Helper()
	ends := map[string]release{}
	for _, path := range u.logs {
		said, err := os.ReadFile(path)
		require.NoError(t, err)
		for line := range bytes.Lines(said) {
			var entry struct {
				Msg, Version string
				RunID        string `json:"run_id"`
			}
			if json.Unmarshal(line, &entry) != nil || entry.Msg != "run ended" {
				continue // a crash writes no JSON
			}
			if ends[entry.RunID] = ours; entry.Version == string(previous) {
				ends[entry.RunID] = previous
			}
		}
	}
	return ends
}

// aheadOfAll is a migration that no release has.
const aheadOfAll = 999_999

// migrateOfPrevious runs the previous release's migrate on our schema, and on
// one that is further than it knows, as taking an upgrade back does: it must
// leave both alone.
func (u *upgrade) migrateOfPrevious(t *testing.T) {
	t.Helper()
	db := u.house.superuser(t)
	versions := func() (all []int64) {
		require.NoError(t, db.QueryRow(t.Context(), "select array_agg(version_id order by id) from goose_db_version").Scan(&all))
		return all
	}
	migrate := func() {
		requireRuns(t, u.house.dir, u.programs[previous], "migrate", "--data", u.house.dir)
	}
	before := versions()
	migrate()
	require.Equal(t, before, versions())
	_, err := db.Exec(t.Context(), "insert into goose_db_version (version_id, is_applied) values ($1, true)", aheadOfAll)
	require.NoError(t, err)
	migrate()
	require.Equal(t, append(before, aheadOfAll), versions())
	_, err = db.Exec(t.Context(), "delete from goose_db_version where version_id = $1", aheadOfAll)
	require.NoError(t, err)
}
