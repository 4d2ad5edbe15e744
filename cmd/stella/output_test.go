package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
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
