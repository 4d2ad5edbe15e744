package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/fsck"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// installation writes a data directory with a database and one pending run.
func installation(t *testing.T) (data, blobs string, db *pgtest.Database) {
	t.Helper()
	data, db = t.TempDir(), pgtest.New(t)
	blobs = filepath.Join(data, "blobs")
	store, err := files.Open(blobs, clock.System, rand.Reader)
	require.NoError(t, err)
	require.NoError(t, store.Close())
	cfg := config.Config{Listen: "x", Database: config.Database{App: db.App, Dispatch: db.Dispatch},
		Temporal: config.Temporal{Address: "x", Namespace: "x", TaskQueue: "x"}, Blobs: config.Blobs{Dir: blobs},
		Signing: config.Signing{Key: "x"}, Auth: config.Auth{Issuer: "x", Audience: "x", JWKS: "x"}}
	require.NoError(t, cfg.Write(filepath.Join(data, "config.yaml")))
	_, _, err = postgres.NewRuns(db.DB).CreateRun(t.Context(), export.Run{Tenant: "acme", ID: "0195f000-0000-7000-8000-000000000001",
		ProfileID: "p", ProfileRevision: 1, ProfileName: "p", Kind: "json", Variant: "raw",
		RequestedBy: "test", RequestedAt: clock.System(), State: export.StatePending}, storage.Idempotency{})
	require.NoError(t, err)
	return data, blobs, db
}

func runCommand(t *testing.T, args ...string) (string, error) {
	t.Helper()
	root := rootCommand()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

type fsckDocument struct {
	Status      string            `json:"status"`
	Looked      fsck.Looked       `json:"looked"`
	Divergences []fsck.Divergence `json:"divergences"`
	Error       string            `json:"error"`
}

func fsckAsJSON(t *testing.T, args ...string) (doc fsckDocument, err error) {
	t.Helper()
	out, err := runCommand(t, append([]string{"fsck", "--format", "json"}, args...)...)
	dec := json.NewDecoder(strings.NewReader(out))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(&doc), out)
	require.NotNil(t, doc.Divergences, "an empty list is a list")
	return doc, err
}

func TestFsckSaysWhatItFoundAndWhatToDo(t *testing.T) {
	data, blobs, _ := installation(t)
	out, err := runCommand(t, "fsck", "--data", data)
	require.NoError(t, err)
	require.Equal(t, "no divergence found, 1 runs, 0 blobs, 0 documents looked at\n", out)
	doc, err := fsckAsJSON(t, "--config", filepath.Join(data, "config.yaml"))
	require.NoError(t, err)
	require.Equal(t, fsckDocument{Status: "clean", Looked: fsck.Looked{Runs: 1}, Divergences: []fsck.Divergence{}}, doc)

	digest := bundle.DigestOf([]byte("x"))
	dir := filepath.Join(blobs, storage.Namespace("acme"), "sha256", digest.Hex()[:2])
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, digest.Hex()), []byte("x"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(blobs, "evil\x1b[2J\nname"), nil, 0o600))
	out, err = runCommand(t, "fsck", "--data", data, "--patience", "0s")
	require.ErrorIs(t, err, errDiverged)
	require.Contains(t, out, "3 divergences found, 1 runs, 1 blobs, 0 documents looked at\n")
	require.Contains(t, out, "-> See that a worker runs. If the run does not go on, cancel it: stella export cancel 0195f000-0000-7000-8000-000000000001\n")
	require.NotContains(t, out, "\x1b")
	require.Len(t, strings.Split(out, "\n"), 3*3+2)
	doc, err = fsckAsJSON(t, "--data", data, "--patience", "0s", "--deep")
	require.ErrorIs(t, err, errDiverged)
	require.Equal(t, "diverged", doc.Status)
	require.Equal(t, fsck.Looked{Runs: 1, Blobs: 1}, doc.Looked)
	require.Len(t, doc.Divergences, 3)
	require.Equal(t, fsck.Divergence{Kind: "blob-unrecorded", Tenant: "acme", Subject: digest.String(),
		Message: "the file has 1 bytes and no row", Action: doc.Divergences[1].Action}, doc.Divergences[1])
}

// Without --repair nothing is touched. With it what can be mended is mended and
// said to be, and the exit code is that of what is left.
func TestFsckRepair(t *testing.T) {
	data, blobs, _ := installation(t)
	digest := bundle.DigestOf([]byte("x"))
	dir := filepath.Join(blobs, storage.Namespace("acme"), "sha256", digest.Hex()[:2])
	lost, foreign := filepath.Join(dir, digest.Hex()), filepath.Join(blobs, "foreign")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(lost, []byte("x"), 0o600))
	require.NoError(t, os.WriteFile(foreign, nil, 0o600))
	old := clock.System().Add(-100 * time.Hour)
	require.NoError(t, os.Chtimes(lost, old, old))
	require.NoError(t, os.Chtimes(foreign, old, old))

	doc, err := fsckAsJSON(t, "--data", data)
	require.ErrorIs(t, err, errDiverged)
	require.Equal(t, "diverged", doc.Status)
	require.Len(t, doc.Divergences, 2)
	require.FileExists(t, lost)

	doc, err = fsckAsJSON(t, "--data", data, "--repair")
	require.ErrorIs(t, err, errDiverged, "somebody else's file is left")
	require.Equal(t, "diverged", doc.Status)
	repaired := map[string]bool{}
	for _, d := range doc.Divergences {
		repaired[d.Kind] = d.Repaired
	}
	require.Equal(t, map[string]bool{"blob-unrecorded": true, "file-foreign": false}, repaired)
	require.NoFileExists(t, lost)
	require.FileExists(t, foreign)

	require.NoError(t, os.Remove(foreign))
	require.NoError(t, os.WriteFile(lost, []byte("x"), 0o600))
	require.NoError(t, os.Chtimes(lost, old, old))
	out, err := runCommand(t, "fsck", "--data", data, "--repair")
	require.NoError(t, err)
	require.Contains(t, out, "1 divergence found, 1 repaired, 1 runs, 1 blobs, 0 documents looked at\n")
	require.NoFileExists(t, lost)
	doc, err = fsckAsJSON(t, "--data", data, "--repair")
	require.NoError(t, err)
	require.Equal(t, "clean", doc.Status)
}

func TestFsckThatCannotLookIsNotClean(t *testing.T) {
	data, blobs, db := installation(t)
	require.NoError(t, os.Rename(blobs, blobs+".away"))
	doc, err := fsckAsJSON(t, "--data", data)
	require.Error(t, err)
	require.False(t, errors.Is(err, errDiverged), "main ends with 1")
	require.Equal(t, "incomplete", doc.Status)
	require.Contains(t, doc.Error, "blob store")
	require.NoDirExists(t, blobs, "it makes nothing")
	require.NoError(t, os.Rename(blobs+".away", blobs))

	for _, args := range [][]string{
		{"fsck"}, {"fsck", "--data", ""}, {"fsck", "--data", data, "--format", "xml"}, {"fsck", "--data", data, "--patience", "-1s"},
		{"fsck", "--data", data, "extra"}, {"fsck", "--data", data + "-absent"},
	} {
		out, err := runCommand(t, args...)
		require.Error(t, err, args)
		require.Empty(t, out)
	}
	conn, err := pgx.Connect(t.Context(), db.Admin)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // test
	_, err = conn.Exec(t.Context(), "drop table tenants cascade")
	require.NoError(t, err)
	out, err := runCommand(t, "fsck", "--data", data)
	require.ErrorContains(t, err, "exportcenter migrate")
	require.Equal(t, "no divergence found so far, but not everything was looked at, 0 runs, 0 blobs, 0 documents looked at\n", out)
}

func TestFsckTellsWhatItFoundBeforeItFailed(t *testing.T) {
	var out bytes.Buffer
	j := fsckFormats["json"](&out)
	require.NoError(t, j.divergence(fsck.Divergence{Kind: "a"}))
	require.NoError(t, j.divergence(fsck.Divergence{Kind: "b"}))
	require.NoError(t, j.end(fsckFound{all: 2}, fsck.Looked{}, errors.New("the \"disk\" is gone")))
	var doc fsckDocument
	require.NoError(t, json.Unmarshal(out.Bytes(), &doc), out.String())
	require.Equal(t, "incomplete", doc.Status)
	require.Equal(t, "the \"disk\" is gone", doc.Error)
	require.Len(t, doc.Divergences, 2)
}
