package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// mirror makes a full mirror, and gives its archive, verified.
func (w *workshop) mirror(t *testing.T) (export.Run, []byte) {
	t.Helper()
	profile, _ := export.BuiltinProfile("mirror:full")
	run := w.run(t, profile, 0)
	files, err := w.runs.Files(t.Context(), run.Ref())
	require.NoError(t, err)
	members := make([]bundle.Member, len(files))
	for i, f := range files {
		members[i] = f.Member()
	}
	view, err := bundle.NewView(members, func(m bundle.Member) (bundle.Source, error) {
		return w.objects.Open(context.Background(), run.Tenant, m.Digest)
	})
	require.NoError(t, err)
	defer view.Close()
	archive, err := io.ReadAll(view)
	require.NoError(t, err)
	report, err := verify.Reader(t.Context(), bytes.NewReader(archive), int64(len(archive)), verify.Trust{bundletest.Verifier(t, twinKey(t))}, verify.WithEvidence())
	require.NoError(t, err)
	require.Equal(t, run.Result.ArchiveDigest, report.ArchiveDigest)
	return run, archive
}

// originalsIn reads a mirror with the standard library: SHA-512 of every original.
func originalsIn(t *testing.T, archive []byte) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for in := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		require.NoError(t, err)
		rest, original := strings.CutPrefix(header.Name, "data/original/")
		if !original {
			continue
		}
		content, err := io.ReadAll(in)
		require.NoError(t, err)
		kind, name, _ := strings.Cut(rest, "/")
		sum, published := sha256.Sum256(content), sha512.Sum512(content)
		require.Equal(t, hex.EncodeToString(sum[:]), name)
		found[kind+" "+hex.EncodeToString(published[:])] = true
	}
}

func published(documents []ledger.Observation) map[string]bool {
	want := map[string]bool{}
	for _, o := range documents {
		sum := sha512.Sum512(o.Raw)
		want[string(o.Kind)+" "+hex.EncodeToString(sum[:])] = true
	}
	return want
}

// TestAMirrorHasWhatWasPublished: every document of the real evidence is in the mirror
// as it was published, so the checksums of its publisher (a CSAF provider's .sha512)
// still match.
func TestAMirrorHasWhatWasPublished(t *testing.T) {
	documents := readEvidence(t)
	w := openWorkshop(t)
	w.ageless = true // some documents have no time
	for from := 0; from < len(documents); from += ledger.BatchDocuments {
		w.take(t, documents[from:min(from+ledger.BatchDocuments, len(documents))])
	}
	_, archive := w.mirror(t)
	found := originalsIn(t, archive)
	want := published(documents)
	for sum := range found {
		require.True(t, want[sum], "an original that nobody published")
	}
	// Of several revisions the current one is there.
	require.Greater(t, len(found)*100, len(want)*95)
	t.Logf("%d documents, %d originals, %d bytes", len(documents), len(found), len(archive))
}

// TestMirrorsFollowEachOther: generations rise, what did not change is taken over, and
// the bytes are those of a mirror that was made of nothing.
func TestMirrorsFollowEachOther(t *testing.T) {
	w := openWorkshop(t)
	w.take(t, evidenceOfDay(t, 1))
	first, _ := w.mirror(t)
	w.take(t, evidenceOfDay(t, 2))
	second, archive := w.mirror(t)
	again, same := w.mirror(t)
	require.Equal(t, []int64{1, 2, 3}, []int64{first.Generation, second.Generation, again.Generation})
	require.Equal(t, second.Result.PayloadDigest, again.Result.PayloadDigest)
	require.NotEqual(t, first.Result.PayloadDigest, second.Result.PayloadDigest)

	fresh := openWorkshop(t)
	fresh.take(t, evidenceOfDay(t, 1))
	fresh.take(t, evidenceOfDay(t, 2))
	alone, lone := fresh.mirror(t)
	require.Equal(t, second.Result.PayloadDigest, alone.Result.PayloadDigest, "the mirror before leaves no trace")
	require.Equal(t, originalsIn(t, archive), originalsIn(t, lone))
	require.Equal(t, originalsIn(t, archive), originalsIn(t, same))
}
