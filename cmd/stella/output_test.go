package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
)

func says(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func TestAPipeIsWrittenToAndNotReplaced(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	read := make(chan string, 1)
	go func() {
		raw, _ := os.ReadFile(pipe)
		read <- string(raw)
	}()
	require.NoError(t, writeAtomically(pipe, says("bytes")))
	require.Equal(t, "bytes", <-read)
	info, err := os.Lstat(pipe)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeNamedPipe)
}

func TestALinkStaysALink(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
	require.NoError(t, os.Symlink("file", link))
	require.NoError(t, writeAtomically(link, says("new")))
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "new", string(raw))
	target, err := os.Readlink(link)
	require.NoError(t, err)
	require.Equal(t, "file", target)
}

func TestAnOutputHasTheModeThatTheUmaskLeaves(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, writeAtomically(file, says("secret")))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

func TestAFailedOutputLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	broken := errors.New("broken")
	err := writeAtomically(filepath.Join(dir, "file"), func(w io.Writer) error { return errors.Join(says("half")(w), broken) })
	require.ErrorIs(t, err, broken)
	require.Equal(t, exitInput, exitCode(writeAtomically(dir, says("x"))))
	require.Equal(t, exitInput, exitCode(writeAtomically(filepath.Join(dir, "none", "file"), says("x"))))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// A pipe that nobody writes to must not hold `stella export open`.
func TestAPipeIsNotOpened(t *testing.T) {
	dir := t.TempDir()
	pipe, key, identity := filepath.Join(dir, "pipe"), filepath.Join(dir, "key.pub"), filepath.Join(dir, "identity")
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	require.NoError(t, os.WriteFile(key, bundletest.Key(t, 1).PublicKeyPEM(), 0o600))
	who, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(identity, []byte(who.String()+"\n"), 0o600))
	err = runOpen(t.Context(), io.Discard, pipe, openFlags{key: key, identities: []string{identity}, output: filepath.Join(dir, "out")})
	require.ErrorContains(t, err, "not a regular file")
	require.NoFileExists(t, filepath.Join(dir, "out"))
}
