package again

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/tuf"
)

// A mirror whose metadata has ended is refused, unless the moment to judge by is named.
func TestAnOldMirrorIsOpenedAsOfItsTime(t *testing.T) {
	signer := bundletest.Key(t, 1)
	text := `{"id":"GO-2026-0001"}`
	path := bundle.OriginalPath("advisory", bundle.DigestOf([]byte(text)))
	var segment bytes.Buffer
	require.NoError(t, bundle.NewEntryWriter(&segment).Entry(path, int64(len(text)), strings.NewReader(text)))
	o := bundletest.Options{Signer: signer, Kind: "mirror", Variant: "full",
		Shards: append(bundletest.Small(), bundletest.Shard{Path: bundle.OriginalsIndexPath("", true), Lines: []string{fmt.Sprintf(`{"bytes":%d,"path":%q}`, len(text), path)}}),
		Files:  []bundletest.File{{Path: path, Stored: segment.Bytes()}}}
	chain := bundletest.TUFRoot(t, nil, nil, bundletest.RootKey(t, 1), signer)
	o.TUF = func(m bundle.Manifest, files []tuf.File) tuf.Set {
		return bundletest.TUFSet(t, chain, signer, m.Mirror.Generation, tuf.Online, files)
	}
	file := filepath.Join(t.TempDir(), "mirror.tar")
	require.NoError(t, os.WriteFile(file, bundletest.Build(t, o), 0o600))
	trust := verify.Trust{bundletest.Verifier(t, signer)}
	late := verify.MirrorPolicy{Clock: clock.Fixed(bundletest.TUFMoment.AddDate(0, 0, 8))}
	_, err := openVerified(t.Context(), file, trust, late)
	require.ErrorContains(t, err, "since 2026-11-28T08:00:00Z")
	late.At = bundletest.TUFMoment
	a, err := openVerified(t.Context(), file, trust, late)
	require.NoError(t, err)
	require.Equal(t, path, a.first)
	require.NoError(t, a.Close())
}
