package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

// verifyRoom has a good bundle, its key, another key and a spoiled bundle.
func verifyRoom(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, data []byte) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, data, 0o600))
	}
	signer := bundletest.Key(t, 1)
	built := bundletest.New(t, bundletest.Options{Signer: signer})
	good := built.Bytes(t)
	write("good.tar", good)
	write("cut.tar", good[:len(good)-1])
	write("key.pub", signer.PublicKeyPEM())
	write("trust/a.pub", bundletest.Key(t, 2).PublicKeyPEM())
	write("trust/b.pub", signer.PublicKeyPEM())
	write("others/a.pub", bundletest.Key(t, 2).PublicKeyPEM())
	write("damaged/a.pub", []byte("no key"))
	write("empty/readme.txt", nil)
	built.Remove(bundle.SealPath)
	write("unsealed.tar", built.Raw(t))
	return dir
}

func runCommand(t *testing.T, out io.Writer, args ...string) int {
	t.Helper()
	command := verifyCommand()
	command.SetArgs(args)
	command.SetOut(out)
	err := command.Execute()
	if err == nil {
		return 0
	}
	var coded interface{ ExitCode() int }
	require.True(t, errors.As(err, &coded), "%v has no exit code", err)
	return coded.ExitCode()
}

func TestVerifyExitCodes(t *testing.T) {
	dir := verifyRoom(t)
	t.Chdir(dir)
	for _, c := range []struct {
		name string
		args []string
		env  string
		code int
	}{
		{"good, by key", []string{"good.tar", "--key", "key.pub"}, "", 0},
		{"good, by directory", []string{"good.tar", "--trust", "trust"}, "", 0},
		{"good, by environment", []string{"good.tar"}, "trust", 0},
		{"the command line wins over the environment", []string{"good.tar", "--key", "key.pub"}, "absent", 0},
		{"cut", []string{"cut.tar", "--key", "key.pub"}, "", 2},
		{"another key", []string{"good.tar", "--trust", "others"}, "", 3},
		{"a file that is no key", []string{"good.tar", "--trust", "damaged"}, "", 3},
		{"no seal", []string{"unsealed.tar", "--key", "key.pub"}, "", 4},
		{"no such bundle", []string{"absent.tar", "--key", "key.pub"}, "", 4},
		{"no such key", []string{"good.tar", "--key", "absent.pub"}, "", 4},
		{"no such directory", []string{"good.tar", "--trust", "absent"}, "", 4},
		{"directory without keys", []string{"good.tar", "--trust", "empty"}, "", 4},
		{"no trust", []string{"good.tar"}, "", 5},
		{"no file", []string{"--key", "key.pub"}, "", 5},
		{"two files", []string{"good.tar", "good.tar", "--key", "key.pub"}, "", 5},
		{"unknown flag", []string{"good.tar", "--kye", "key.pub"}, "", 5},
		{"unknown format", []string{"good.tar", "--key", "key.pub", "--format", "xml"}, "", 5},
		{"a directory", []string{"trust", "--key", "key.pub"}, "", 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("STELLA_TRUST", c.env)
			require.Equal(t, c.code, runCommand(t, io.Discard, c.args...))
			if c.name != "unknown format" {
				require.Equal(t, c.code, runCommand(t, io.Discard, append(c.args, "--format", "json")...))
			}
		})
	}
}

func TestVerifyPrintsPlainWords(t *testing.T) {
	dir := verifyRoom(t)
	t.Chdir(dir)
	var out bytes.Buffer
	require.Zero(t, runCommand(t, &out, "good.tar", "--key", "key.pub"))
	require.Contains(t, out.String(), `VERIFIED "good.tar"`)
	require.Contains(t, out.String(), "3 in 2 files")
	require.Contains(t, out.String(), "signed     seal, in signatures/seal.dsse.json")

	out.Reset()
	require.Equal(t, 2, runCommand(t, &out, "cut.tar", "--key", "key.pub"))
	require.Contains(t, out.String(), `NOT VERIFIED "cut.tar"`)
	require.Contains(t, out.String(), "content (truncated)")

	out.Reset()
	require.Equal(t, 3, runCommand(t, &out, "good.tar", "--trust", "others", "--format", "json"))
	var report verify.Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &report))
	require.Equal(t, verify.StatusFailed, report.Status)
	require.Equal(t, verify.ReasonUntrustedKey, report.Failure.Reason)
	require.Empty(t, report.RunID, "nothing of an unverified manifest is told")
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestVerifyReportThatCannotBePrinted: a success that nobody can read is none.
func TestVerifyReportThatCannotBePrinted(t *testing.T) {
	dir := verifyRoom(t)
	t.Chdir(dir)
	for _, format := range []string{"table", "json"} {
		require.Equal(t, 5, runCommand(t, fullDisk{}, "good.tar", "--key", "key.pub", "--format", format))
	}
}
