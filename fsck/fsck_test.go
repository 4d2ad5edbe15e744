package fsck_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/fsck"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

func TestAHealthyInstallationIsSilent(t *testing.T) {
	w := newWorld(t)
	for _, deep := range []bool{false, true} {
		looked, found := w.lookAt(t, now.Add(later), 0, deep)
		require.Empty(t, found)
		t.Logf("%d false alarms in a healthy installation (deep: %t): %+v", len(found), deep, looked)
		require.EqualValues(t, 4, looked.Runs)
		require.EqualValues(t, 10, looked.Documents)
		entries, err := w.runs.Files(t.Context(), w.ended[acme].Ref())
		require.NoError(t, err)
		require.EqualValues(t, 2*(len(entries)+1), looked.Blobs, "the entries of two bundles and their plans")
	}
}

// What is on its way is not a divergence.
func TestRunsUnderWayAreSilent(t *testing.T) {
	w := newWorld(t)
	w.create(t, acme, 21)
	recorded := w.started(t, acme, 22)
	require.NoError(t, w.exec.Pin(t.Context(), w.begin(t, recorded, export.PhaseAdapt), bundle.DigestOf([]byte("not stored yet")), 9))
	kept := w.started(t, acme, 23)
	require.NoError(t, w.exec.Pin(t.Context(), w.begin(t, kept, export.PhaseAdapt), bundle.DigestOf([]byte("not taken back yet")), 9))
	w.abort(t, kept)
	marked := w.started(t, acme, 24)
	require.NoError(t, w.exec.Pin(t.Context(), w.begin(t, marked, export.PhaseAdapt), bundle.DigestOf([]byte("not erased yet")), 9))
	w.abort(t, marked)
	_, err := w.exec.DropBlobs(t.Context(), marked)
	require.NoError(t, err)
	w.write(t, filepath.Join(w.dir, storage.Namespace(acme), "staging", strings.Repeat("a", 32)), "half")
	_, found := w.lookAt(t, now.Add(fsck.DefaultPatience/2), fsck.DefaultPatience, true)
	require.Empty(t, found)

	_, found = w.look(t, true)
	require.Equal(t, []string{"blob-deleting 24", "blob-missing 23", "pin-left 23", "run-stuck 21", "run-stuck 22", "staged-left"}, short(found),
		"an hour later all of that is left over")
	_, found = w.lookAt(t, now.Add(fsck.DefaultPatience/2), 0, true)
	require.Len(t, found, 6, "at rest nothing is on its way")
}

// short gives kinds and the ends of run ids, sorted.
func short(found []fsck.Divergence) []string {
	all := make([]string, len(found))
	for i, d := range found {
		all[i] = strings.TrimSpace(d.Kind + " " + d.Run[max(0, len(d.Run)-2):])
	}
	slices.Sort(all)
	return all
}

// The database may be older than the blobs, or another's.
func TestBlobsOfNoTenant(t *testing.T) {
	w := newWorld(t)
	stray := storage.Namespace("hooli")
	digest := bundle.DigestOf([]byte("x"))
	w.write(t, filepath.Join(w.dir, stray, "sha256", digest.Hex()[:2], digest.Hex()), "x")
	_, found := w.look(t, true)
	require.Len(t, found, 1, "one for all its blobs")
	require.Equal(t, fsck.Divergence{Kind: "namespace-unknown", Subject: stray, Message: "it has 1 blobs of 1 bytes", Action: found[0].Action}, found[0])
	require.NoError(t, os.Remove(filepath.Join(w.dir, stray, "sha256", digest.Hex()[:2], digest.Hex())))
	_, found = w.look(t, true)
	require.Empty(t, found, "an empty namespace is nothing")
}

// When all blobs are gone, each is named, of both tenants, and nothing else.
func TestEverythingGone(t *testing.T) {
	w := newWorld(t)
	for _, tenant := range []string{acme, globex} {
		require.NoError(t, os.RemoveAll(filepath.Join(w.dir, storage.Namespace(tenant))))
	}
	looked, found := w.look(t, true)
	require.EqualValues(t, looked.Blobs, len(found))
	for _, d := range found {
		require.Equal(t, "blob-missing", d.Kind)
		require.Equal(t, w.ended[d.Tenant].ID, d.Run)
	}
}

// An error is not an answer: nobody may take a half look for a clean one.
func TestWhatCannotBeLookedAtIsAnError(t *testing.T) {
	w := newWorld(t)
	_, err := files.OpenSurvey(filepath.Join(w.dir, "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
	survey, err := files.OpenSurvey(w.dir)
	require.NoError(t, err)
	require.NoError(t, survey.Close())
	check := fsck.Check{Records: postgres.NewSurvey(w.DB), Files: survey, Clock: clock.Fixed(now)}
	_, err = check.Run(t.Context(), func(fsck.Divergence) error { return nil })
	require.Error(t, err, "a store that cannot be read is not an empty one")
	mine := errors.New("the output is gone")
	w.sql(t, "update export_runs set event_seq = 99 where id = $1", runID(1))
	_, err = check.Run(t.Context(), func(fsck.Divergence) error { return mine })
	require.ErrorIs(t, err, mine)
}

// The page and the code name the same kinds, in the same words.
func TestPageAndCodeAgree(t *testing.T) {
	page, err := os.ReadFile("../docs/formats/fsck.md")
	require.NoError(t, err)
	var listed []string
	for _, line := range strings.Split(string(page), "\n") {
		if strings.HasPrefix(line, "| `") {
			listed = append(listed, line)
		}
	}
	var want []string
	for _, k := range fsck.Kinds {
		deep := ""
		if k.Deep {
			deep = "deep"
		}
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s | %s |", k.Code, deep, k.Means, k.Action, k.Repair))
	}
	require.Equal(t, strings.Join(want, "\n"), strings.Join(listed, "\n"))
}
