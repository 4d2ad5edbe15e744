package activities

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/tuf"
)

// Plan asks for the roots before anything is packed: roots under which nobody would
// take the mirror end the run, and the message says what its operator does.
func TestRootsUnderWhichNoMirrorIsMade(t *testing.T) {
	signer, mirror := bundletest.Key(t, 1), export.Run{Kind: "mirror", Variant: "full"}
	good := bundletest.TUFRoot(t, nil, nil, bundletest.RootKey(t, 1), signer)
	other := bundletest.TUFRoot(t, nil, nil, bundletest.RootKey(t, 1), bundletest.Key(t, 2))
	spoiled := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(spoiled, "1.root.json"), []byte("{}"), 0o600))
	with := func(roots Roots) *Export {
		return &Export{Signer: signer, TUF: TUF{Roots: roots}, Clock: clock.Fixed(bundletest.TUFMoment)}
	}
	late := with(bundletest.Roots(good))
	late.Clock = clock.Fixed(bundletest.TUFEnd)
	for name, of := range map[string]struct {
		e    *Export
		says string
	}{
		"none":                   {with(nil), "tuf-root init"},
		"a folder without roots": {with(tuf.Folder(t.TempDir())), "tuf-root init"},
		"a spoiled root":         {with(tuf.Folder(spoiled)), "tuf-root show"},
		"another key":            {with(bundletest.Roots(other)), "tuf-root renew --online"},
		"an expired root":        {late, "has expired, at " + bundle.Stamp(bundletest.TUFEnd)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := of.e.rootsOf(mirror)
			require.Equal(t, export.CodeSigning, export.CodeOf(err))
			require.Equal(t, export.ClassPermanent, export.ClassOf(err), "a retry would fail the same way")
			require.Contains(t, FailureOf(err, export.PhasePlan).Message, of.says)
			require.NotContains(t, FailureOf(err, export.PhasePlan).Message, spoiled, "no path of the server")
			chain, err := of.e.rootsOf(export.Run{Kind: "json", Variant: "raw"})
			require.NoError(t, err)
			require.Empty(t, chain, "other kinds need none")
		})
	}
	chain, err := with(bundletest.Roots(good)).rootsOf(mirror)
	require.NoError(t, err)
	require.Len(t, rootDocuments(chain), 2, "by its number, and as the last")
	again := with(nil)
	again.TUF.None = true
	chain, err = again.rootsOf(mirror)
	require.NoError(t, err)
	require.Empty(t, chain)
}
