package mirror_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/mirror"
	"github.com/stella-ops/exportcenter/mirror/mirrortest"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/tuf"
)

// renewal is an installation whose second root took the signing key away, and a site
// that has that root in place and both keys still.
type renewal struct {
	first, second tuf.Chain
	before, after mirrortest.Maker // by the key of the first root, and that of the second
	o             mirror.Options
}

func newRenewal(t testing.TB) renewal {
	t.Helper()
	retired, online, root := bundletest.Key(t, 2), bundletest.Key(t, 1), bundletest.RootKey(t, 1)
	r := renewal{first: bundletest.TUFRootLasting(t, nil, nil, root, retired)}
	r.second = bundletest.TUFRootLasting(t, r.first, root, root, online)
	r.before, r.after = lasting(t, retired, r.first), lasting(t, online, r.second)
	r.o = mirror.Options{Trust: verify.Trust{bundletest.Verifier(t, online), bundletest.Verifier(t, retired)},
		Mirror: verify.MirrorPolicy{Root: r.second[1].Raw}}
	return r
}

// lasting makes mirrors whose metadata is good for as long as anybody runs this.
func lasting(t testing.TB, signer signing.Signer, chain tuf.Chain) mirrortest.Maker {
	return timed(mirrortest.Maker{Signer: signer, T: t}, chain, 50*365*24*time.Hour)
}

// begun is a directory that holds a mirror since before the second root.
func (r renewal) begun(t testing.TB, full mirrortest.Mirror) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	o := r.o
	o.Mirror.Root = r.first[0].Raw
	_, err := mirror.Init(t.Context(), dir, written(t, "full", full), o)
	require.NoError(t, err)
	return dir
}

// requireNoRoot wants an error that says that the trusted root is missing.
func requireNoRoot(t testing.TB, err error) {
	t.Helper()
	var failure *verify.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, verify.ReasonTUFRoot, failure.Reason, err.Error())
	require.Equal(t, 3, failure.ExitCode())
}

// Mirrors from before the root that a site has in place are passed on the way to one
// that has it, and are never what the directory holds.
func TestMirrorsFromBeforeTheTrustedRoot(t *testing.T) {
	r := newRenewal(t)
	fulls, deltas := story3(t, [3]mirrortest.Maker{r.before, r.before, r.after})
	dir := r.begun(t, fulls[0])
	untouched := everything(t, dir)
	_, err := mirror.Apply(t.Context(), dir, deltas[:1], r.o)
	requireNoRoot(t, err)
	require.Equal(t, untouched, everything(t, dir))

	outcome, err := mirror.Apply(t.Context(), dir, deltas, r.o)
	require.NoError(t, err)
	require.Len(t, outcome.Done, 2)
	require.Len(t, outcome.Applied, 2)
	requireHolds(t, dir, fulls[2])
	_, err = mirror.Look(t.Context(), dir, true, r.o)
	require.NoError(t, err)
	_, err = mirror.Apply(t.Context(), dir, deltas, r.o)
	refusedFor(t, err, mirror.ReasonReplay, "was applied before")
}

// Who stole the key that the root took away makes mirrors under the first root, and no
// chain of deltas brings one into the directory.
func TestAKeyThatTheTrustedRootTookAway(t *testing.T) {
	r := newRenewal(t)
	const noEnd = "a last delta that gives no right end"
	for name, c := range map[string]struct {
		makers [3]mirrortest.Maker
		reason any // of the refusal: whose word it is that this is no mirror
	}{
		"under the old root to the end":      {[3]mirrortest.Maker{r.before, r.before, r.before}, verify.ReasonTUFRoot},
		"under the new root, by the old key": {[3]mirrortest.Maker{r.before, r.before, lasting(t, r.before.Signer, r.second)}, verify.ReasonTUFSignature},
		"under another new root, of his own": {[3]mirrortest.Maker{r.before, r.before, r.forked(t)}, verify.ReasonTUFRoot},
		noEnd:                                {[3]mirrortest.Maker{r.before, r.before, r.after}, mirror.ReasonContent},
	} {
		t.Run(name, func(t *testing.T) {
			fulls, deltas := story3(t, c.makers)
			if name == noEnd {
				other := r.before.Full(t, 2, mirrortest.Document{Kind: "vex", ID: "z", Original: "z"})
				other.End = fulls[1].End
				deltas[1] = written(t, "wrong", r.before.Delta(t, other, fulls[2]))
			}
			dir := r.begun(t, fulls[0])
			untouched := everything(t, dir)
			_, err := mirror.Apply(t.Context(), dir, deltas, r.o)
			require.Equal(t, c.reason, reasonOf(err), "%v", err)
			require.Equal(t, untouched, everything(t, dir))
		})
	}
}

// forked makes mirrors under a second root that is not the site's.
func (r renewal) forked(t testing.TB) mirrortest.Maker {
	chain := bundletest.TUFRootLasting(t, r.first, bundletest.RootKey(t, 1), bundletest.RootKey(t, 2), r.before.Signer)
	return lasting(t, r.before.Signer, chain)
}

// reasonOf is the reason of a refusal, the verifier's or the mirror's own.
func reasonOf(err error) any {
	var failure *verify.Error
	var own *mirror.Error
	switch {
	case errors.As(err, &failure):
		return failure.Reason
	case errors.As(err, &own):
		return own.Reason
	}
	return nil
}

// A command that ends anywhere leaves the mirror that was there or the last one, and the
// same command again leads to that.
func TestAKillBeforeTheTrustedRoot(t *testing.T) {
	t.Parallel()
	r := newRenewal(t)
	fulls, deltas := story3(t, [3]mirrortest.Maker{r.before, r.before, r.after})
	start := r.begun(t, fulls[0])
	all := effects(r.o, func(o mirror.Options) {
		_, err := mirror.Apply(t.Context(), copied(t, start), deltas, o)
		require.NoError(t, err)
	})
	for _, n := range worthwhile(all[:len(all)-1]) {
		dir := copied(t, start)
		_, err := mirror.Apply(t.Context(), dir, deltas, killedAt(r.o, n))
		status, looked := mirror.Look(t.Context(), dir, false, mirror.Options{})
		require.NoError(t, looked)
		require.Contains(t, []int64{1, 3}, status.Mirror.Generation, "at %d, %s", n, all[n])
		if err == nil {
			require.EqualValues(t, 3, status.Mirror.Generation)
			continue
		}
		_, err = mirror.Apply(t.Context(), dir, deltas, r.o)
		require.NoError(t, err, "after %d, %s", n, all[n])
		requireHolds(t, dir, fulls[2])
		require.NoError(t, os.RemoveAll(dir))
	}
}
