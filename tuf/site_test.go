package tuf_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/tuf"
)

// client is a TUF client of somebody else. A visit follows the metadata of a site from
// what home has, whose root.json was put there by hand, and downloads every target.
type client struct {
	name  string
	visit func(t *testing.T, home, site string, targets []string) error
}

// century is longer than these tests will be.
const century = 100 * 365 * 24 * time.Hour

var (
	always = tuf.Lifetimes{Targets: century, Snapshot: century, Timestamp: century}
	never  = tuf.Lifetimes{Targets: century, Snapshot: century, Timestamp: -century} // the timestamp ended long ago
)

// site is an unpacked mirror on the loopback.
type site struct {
	dir, url string
	archive  []byte
	targets  []string
}

// mirror makes a mirror of a generation and unpacks it.
func mirror(t *testing.T, chain tuf.Chain, online signing.Signer, generation int64, last tuf.Lifetimes) *site {
	t.Helper()
	return unpack(t, bundletest.New(t, bundletest.Options{Kind: "mirror", Variant: "full", Signer: online,
		Shards:   append(bundletest.Small(), bundletest.Shard{Type: "vex", Lines: []string{`{"id":"` + strings.Repeat("v", int(generation)) + `"}`}}),
		Manifest: func(m *bundle.Manifest) { m.Mirror.Generation = generation },
		TUF: func(m bundle.Manifest, files []tuf.File) tuf.Set {
			return bundletest.TUFSet(t, chain, online, m.Mirror.Generation, last, files)
		}}))
}

func unpack(t *testing.T, of *bundletest.Bundle) *site {
	t.Helper()
	s := &site{dir: t.TempDir(), archive: of.Bytes(t), targets: []string{bundle.ManifestPath, bundle.ProvenancePath}}
	for _, c := range of.Manifest.Contents {
		s.targets = append(s.targets, c.Path)
	}
	for _, e := range of.Entries {
		s.put(t, e.Path, e.Data)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(s.dir)))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

func (s *site) put(t *testing.T, path string, content []byte) {
	t.Helper()
	at := filepath.Join(s.dir, filepath.FromSlash(path))
	require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
	require.NoError(t, os.WriteFile(at, content, 0o644))
}

func (s *site) get(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(s.dir, filepath.FromSlash(path)))
	require.NoError(t, err)
	return content
}

// take copies files of another site over those of this one.
func (s *site) take(t *testing.T, from *site, paths ...string) {
	for _, path := range paths {
		s.put(t, path, from.get(t, path))
	}
}

// newHome is the place of a client that has had a root handed to it.
func newHome(t *testing.T, root []byte) string {
	t.Helper()
	home := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(home, "root.json"), root, 0o644))
	require.NoError(t, os.Mkdir(filepath.Join(home, "download"), 0o755))
	return home
}

// downloaded requires that a home has every target of a site, byte for byte.
func downloaded(t *testing.T, home string, s *site) {
	t.Helper()
	for _, target := range s.targets {
		content, err := os.ReadFile(filepath.Join(home, "download", strings.ReplaceAll(target, "/", "%2F")))
		require.NoError(t, err)
		require.Equal(t, s.get(t, target), content)
	}
}

// ourVerdict is what our verifier says of the mirror that an attack on a site amounts
// to: that of the archive with the same files, sealed by somebody who has that key.
func (s *site) ourVerdict(t *testing.T, online signing.Signer, root []byte, newerThan int64) error {
	t.Helper()
	of := &bundletest.Bundle{Signer: online}
	err := filepath.WalkDir(s.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		below, err := filepath.Rel(s.dir, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		of.Entries = append(of.Entries, bundletest.Entry{Path: filepath.ToSlash(below), Data: content})
		return err
	})
	require.NoError(t, err)
	of.Manifest, err = bundle.ParseManifest(s.get(t, bundle.ManifestPath))
	require.NoError(t, err)
	of.Sort()
	of.Sum(t)
	of.Seal(t, online, bundle.SealPayloadType, nil)
	return verdict(t, of.Bytes(t), online, root, newerThan)
}

func verdict(t *testing.T, archive []byte, online signing.Signer, root []byte, newerThan int64) error {
	t.Helper()
	_, err := verify.Reader(t.Context(), strings.NewReader(string(archive)), int64(len(archive)), verify.Trust{bundletest.Verifier(t, online)},
		verify.WithMirror(verify.MirrorPolicy{Root: root, At: bundletest.TUFMoment, NewerThan: newerThan}))
	return err
}
