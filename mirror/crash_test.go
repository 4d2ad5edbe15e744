package mirror_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/mirror"
	"github.com/stella-ops/exportcenter/mirror/mirrortest"
)

var errKilled = errors.New("the process is gone")

// killedAt prevents the n-th effect and all that come after it, as kill -9 does.
func killedAt(o mirror.Options, n int) mirror.Options {
	done := 0
	return o.Disturbed(func(string) error {
		if done++; done > n {
			return errKilled
		}
		return nil
	})
}

// effects lists what a command does to the disk.
func effects(o mirror.Options, do func(mirror.Options)) (all []string) {
	do(o.Disturbed(func(effect string) error {
		all = append(all, effect)
		return nil
	}))
	return all
}

// worthwhile are the places at which a process is ended: all but those between many
// files that are alike, of which some.
func worthwhile(all []string) (places []int) {
	for i, effect := range all {
		alike := effect == "link" || effect == "create" || effect == "write" || effect == "mkdir"
		if !alike || i%10 == 0 {
			places = append(places, i)
		}
	}
	return append(places, len(all))
}

// copied is a copy of a directory.
func copied(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		switch {
		case info.IsDir():
			return os.Mkdir(filepath.Join(to, name), 0o755)
		case info.Mode()&os.ModeSymlink != 0:
			leads, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(leads, filepath.Join(to, name))
		}
		return os.Link(path, filepath.Join(to, name))
	}))
	return to
}

// requireOneOf wants dir to hold one of some mirrors as a whole, whatever lies beside it.
func requireOneOf(t testing.TB, dir string, mirrors ...mirrortest.Mirror) {
	t.Helper()
	status, err := mirror.Look(t.Context(), dir, true, trust(t))
	require.NoError(t, err)
	for _, m := range mirrors {
		if m.End.ArchiveDigest.String() == status.ArchiveDigest {
			return
		}
	}
	require.Fail(t, "it holds another mirror", "%v", status)
}

// TestAKilledApplyIsFinishedByTheNext ends the command at every effect it has on the
// disk: the directory holds the old mirror or a new one, and the same command again
// leads to the same end.
func TestAKilledApplyIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	start := s.at(t)
	deltas := []string{s.names["12"], s.names["23"]}
	all := effects(trust(t), func(o mirror.Options) {
		_, err := mirror.Apply(t.Context(), copied(t, start), deltas, o)
		require.NoError(t, err)
	})
	places := worthwhile(all)
	t.Logf("%d effects, %d kills", len(all), len(places))
	for _, n := range places {
		dir := copied(t, start)
		_, err := mirror.Apply(t.Context(), dir, deltas, killedAt(trust(t), n))
		if err == nil { // only what is to be cleaned up was left
			for _, effect := range all[n:] {
				require.Equal(t, "remove", effect)
			}
		} else {
			require.ErrorIs(t, err, errKilled, "at %d, %v", n, all[n])
		}
		requireOneOf(t, dir, s.fulls...)
		if n == len(all) {
			refused(t, dir, mirror.ReasonReplay, 9, "was applied before", deltas...)
		} else {
			_, err = mirror.Apply(t.Context(), dir, deltas, trust(t))
			require.NoError(t, err, "after %d, %s", n, all[n])
		}
		requireHolds(t, dir, s.fulls[2])
		require.NoError(t, os.RemoveAll(dir))
	}
	requireHolds(t, start, s.fulls[0])
}

// Another command than the one that was killed begins from what is there.
func TestAnotherCommandAfterAKill(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	all := effects(trust(t), func(o mirror.Options) {
		_, err := mirror.Apply(t.Context(), s.at(t), []string{s.names["12"]}, o)
		require.NoError(t, err)
	})
	dir := s.at(t)
	_, err := mirror.Apply(t.Context(), dir, []string{s.names["12"]}, killedAt(trust(t), len(all)/2))
	require.ErrorIs(t, err, errKilled)
	_, err = mirror.Apply(t.Context(), dir, []string{s.names["13"]}, trust(t))
	require.NoError(t, err)
	requireHolds(t, dir, s.fulls[2])
}

func TestAKilledInitIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	full := written(t, "full", s.fulls[0])
	all := effects(trust(t), func(o mirror.Options) {
		_, err := mirror.Init(t.Context(), filepath.Join(t.TempDir(), "site"), full, o)
		require.NoError(t, err)
	})
	for _, n := range worthwhile(all) {
		dir := filepath.Join(t.TempDir(), "site")
		_, err := mirror.Init(t.Context(), dir, full, killedAt(trust(t), n))
		if _, there := os.Lstat(filepath.Join(dir, "current")); there == nil {
			requireHolds(t, dir, s.fulls[0])
			continue
		}
		require.ErrorIs(t, err, errKilled)
		_, err = mirror.Init(t.Context(), dir, full, trust(t))
		require.NoError(t, err, "after %d, %s", n, all[n])
		requireHolds(t, dir, s.fulls[0])
	}
}

// A disk that is full, at whichever effect, leaves the mirror that was there and
// nothing else, and says so.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	start := s.at(t)
	deltas := []string{s.names["12"]}
	all := effects(trust(t), func(o mirror.Options) {
		_, err := mirror.Apply(t.Context(), copied(t, start), deltas, o)
		require.NoError(t, err)
	})
	for _, n := range worthwhile(all[:len(all)-1]) {
		if all[n] == "remove" || all[n] == "link" {
			continue // no disk is too full for these
		}
		dir, done := copied(t, start), 0
		_, err := mirror.Apply(t.Context(), dir, deltas, trust(t).Disturbed(func(string) error {
			if done++; done == n+1 {
				return syscall.ENOSPC
			}
			return nil
		}))
		require.ErrorContains(t, err, "the disk is full", all[n])
		var why *mirror.Error
		require.ErrorAs(t, err, &why)
		require.Equal(t, 5, why.ExitCode())
		status, err := mirror.Look(t.Context(), dir, false, mirror.Options{})
		require.NoError(t, err)
		if status.Mirror.Generation == 2 { // it may not have reached the disk: nothing is cleaned up
			_, err = mirror.Apply(t.Context(), dir, deltas, trust(t))
			require.NoError(t, err)
		}
		requireHolds(t, dir, s.fulls[status.Mirror.Generation-1])
	}
}

// An error in a command of several deltas, at any effect, is nothing that the same
// command again does not mend: it goes on behind the deltas that were applied.
func TestTheSameCommandAfterAnError(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	start := s.at(t)
	// One that changes nothing is between them, and is passed.
	deltas := []string{s.names["12"], written(t, "still", s.m.Delta(t, s.fulls[1], s.fulls[1])), s.names["23"]}
	all := effects(trust(t), func(o mirror.Options) {
		_, err := mirror.Apply(t.Context(), copied(t, start), deltas, o)
		require.NoError(t, err)
	})
	resumed := 0
	for i, n := range worthwhile(all[:len(all)-1]) {
		if i%2 == 1 {
			continue
		}
		dir, done := copied(t, start), 0
		_, failed := mirror.Apply(t.Context(), dir, deltas, trust(t).Disturbed(func(string) error {
			if done++; done == n+1 {
				return errKilled
			}
			return nil
		}))
		if failed == nil {
			require.Equal(t, "remove", all[n], "only cleaning up may fail and be no error")
			requireOneOf(t, dir, s.fulls[2])
			continue
		}
		outcome, err := mirror.Apply(t.Context(), dir, deltas, trust(t))
		require.NoError(t, err, "after %d, %s: %v", n, all[n], failed)
		if outcome.Before > 0 {
			resumed++
		}
		requireHolds(t, dir, s.fulls[2])
		require.NoError(t, os.RemoveAll(dir))
	}
	require.Greater(t, resumed, 2)

	// All were applied, and only the journal stayed.
	dir := copied(t, start)
	_, err := mirror.Apply(t.Context(), dir, deltas, killedAt(trust(t), len(all)-1))
	require.NoError(t, err)
	outcome, err := mirror.Apply(t.Context(), dir, deltas, trust(t))
	require.NoError(t, err)
	require.Equal(t, 3, outcome.Before)
	requireHolds(t, dir, s.fulls[2])
}

func TestAFileSystemWithoutLinks(t *testing.T) {
	s := newStory(t)
	dir := s.at(t)
	outcome, err := mirror.Apply(t.Context(), dir, []string{s.names["12"]}, trust(t).Disturbed(func(effect string) error {
		if effect == "link" {
			return syscall.EPERM
		}
		return nil
	}))
	require.NoError(t, err)
	require.Positive(t, outcome.Copied)
	requireHolds(t, dir, s.fulls[1])
}

func TestTwoCommandsAtOnce(t *testing.T) {
	s := newStory(t)
	dir := s.at(t)
	o := trust(t)
	o.Say = func(string, ...any) {
		_, err := mirror.Apply(t.Context(), dir, []string{s.names["12"]}, trust(t))
		var why *mirror.Error
		require.ErrorAs(t, err, &why)
		require.Equal(t, mirror.ReasonBusy, why.Reason)
		require.Equal(t, 13, why.ExitCode())
		_, err = mirror.Look(t.Context(), dir, true, trust(t))
		require.ErrorAs(t, err, &why)
		require.Equal(t, mirror.ReasonBusy, why.Reason)
	}
	_, err := mirror.Apply(t.Context(), dir, []string{s.names["12"]}, o)
	require.NoError(t, err)
	requireHolds(t, dir, s.fulls[1])
}
