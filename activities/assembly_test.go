package activities

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stretchr/testify/require"
)

// Work whose progress shows in its files beats; work that stands still falls silent.
func TestBuildingBeatsWhileItsFilesGrow(t *testing.T) {
	dir := t.TempDir()
	const every, patience = 2 * time.Millisecond, 60 * time.Millisecond
	var beats atomic.Int64
	done := whileMoving(t.Context(), func() int64 { return sizeBelow(dir) }, func() { beats.Add(1) }, every, patience)
	defer done()
	file, err := os.Create(filepath.Join(dir, "run"))
	require.NoError(t, err)
	defer file.Close()
	for grown := 0; grown < 20; { // until it has beaten far longer than its patience
		before := beats.Load()
		_, err := file.Write([]byte("sorted"))
		require.NoError(t, err)
		require.Eventually(t, func() bool { return beats.Load() > before }, 5*time.Second, every)
		grown++
	}
	silent := func() bool {
		before := beats.Load()
		time.Sleep(2 * patience)
		return beats.Load() == before
	}
	require.Eventually(t, silent, 10*time.Second, every, "it beats although nothing moves")
	_, err = file.Write([]byte("more"))
	require.NoError(t, err)
	before := beats.Load()
	require.Eventually(t, func() bool { return beats.Load() > before }, 5*time.Second, every, "it moves again")
}

// rack has one blob, whose reading may fail.
type rack struct {
	storage.Objects
	content []byte
	fail    error
	closed  int
}

type racked struct {
	*bytes.Reader
	of *rack
}

func (s *rack) Open(context.Context, string, bundle.Digest) (storage.Blob, error) {
	return racked{bytes.NewReader(s.content), s}, nil
}

func (s racked) ReadAt(p []byte, at int64) (int, error) {
	if s.of.fail != nil {
		return 0, s.of.fail
	}
	return s.Reader.ReadAt(p, at)
}

func (s racked) Close() error { s.of.closed++; return nil }

// A shard is read as it was packed or not at all; a store that cannot be read is no
// rot, and is worth another try.
func TestPackedShardsAreReadAsTheyWerePacked(t *testing.T) {
	var stored bytes.Buffer
	w, err := bundle.NewPayloadWriter(&stored)
	require.NoError(t, err)
	require.NoError(t, w.WriteLine([]byte(`{"a":1}`)))
	info, err := w.Close()
	require.NoError(t, err)
	read := func(s *rack, spoil func(*storage.File)) ([]byte, error) {
		file := storage.File{Path: "data/raw/x", Digest: info.Digest, Size: int64(len(s.content)), ContentDigest: info.ContentDigest, ContentSize: info.ContentSize, Records: 1}
		if spoil != nil {
			spoil(&file)
		}
		lines, err := (&Export{Objects: s}).packedShard("acme", storage.Shard{Name: "x", Result: &file}).Open(t.Context())
		if err != nil {
			return nil, err
		}
		defer lines.Close()
		return io.ReadAll(lines)
	}
	good := &rack{content: stored.Bytes()}
	text, err := read(good, nil)
	require.NoError(t, err)
	require.Equal(t, "{\"a\":1}\n", string(text))
	require.Equal(t, 1, good.closed)

	_, err = read(good, func(f *storage.File) { f.ContentDigest[0] ^= 1 })
	require.ErrorIs(t, err, bundle.ErrRotten, "other lines than were packed")
	flipped := bytes.Clone(stored.Bytes())
	flipped[len(flipped)-1] ^= 1
	_, err = read(&rack{content: flipped}, nil)
	require.ErrorIs(t, err, bundle.ErrRotten, "a frame that is broken")
	_, err = read(good, func(f *storage.File) { f.Size++ })
	require.ErrorIs(t, err, storage.ErrCorrupt)

	away := errors.New("the disk does not answer")
	_, err = read(&rack{content: stored.Bytes(), fail: away}, nil)
	require.ErrorIs(t, err, away)
	require.NotErrorIs(t, err, bundle.ErrRotten)
}

// Kinds that build refuse what they cannot follow before anything is packed.
func TestKindsThatBuildRefuseEarly(t *testing.T) {
	for kind, variant := range map[string]string{"trivy": "db", "json": "policy"} {
		require.NoError(t, refuseBuilding(export.Run{Kind: kind, Variant: variant}))
		require.ErrorContains(t, refuseBuilding(export.Run{Kind: kind, Variant: variant, Reach: &export.Reach{}}), "one tenant's evidence")
		require.ErrorContains(t, refuseBuilding(export.Run{Kind: kind, Variant: variant, Options: export.Options{Redaction: &export.Redaction{}}}), "whole evidence")
	}
	require.NoError(t, refuseBuilding(export.Run{Kind: "json", Variant: "raw", Reach: &export.Reach{}, Options: export.Options{Redaction: &export.Redaction{}}}))
}
