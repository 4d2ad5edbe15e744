package verify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/sealed"
)

var encryptionModes = []string{bundle.EncryptionAge, bundle.EncryptionGCM}

func withIdentity(ids ...*age.X25519Identity) verify.Option {
	return verify.WithKeys(sealed.Keys{Identities: ids})
}

func verifyWith(t *testing.T, archive []byte, options ...verify.Option) (verify.Report, error) {
	t.Helper()
	trust := verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))}
	return verify.Reader(t.Context(), bytes.NewReader(archive), int64(len(archive)), trust, append(options, verify.WithWorkers(2))...)
}

// mirrorOptions are of a small mirror: payload of several forms and three originals.
func mirrorOptions(t *testing.T) bundletest.Options {
	t.Helper()
	return bundletest.Options{Files: bundletest.Forms(t), Shards: bundletest.Small()}
}

// TestEncryptedBundle: without a key everything but the contents is verified, and the
// report says so; with one also those; and what it is then is the plain archive.
func TestEncryptedBundle(t *testing.T) {
	alice, mallory := bundletest.Identity(t, 0), bundletest.Identity(t, 1)
	for _, mode := range encryptionModes {
		for _, o := range []bundletest.Options{{}, {Shards: []bundletest.Shard{}}, mirrorOptions(t)} {
			plain, encrypted := bundletest.BuildEncrypted(t, o, bundletest.Encrypting{Mode: mode})
			archive := encrypted.Bytes(t)
			report, err := verifyWith(t, archive)
			require.NoError(t, err)
			require.Equal(t, verify.StatusUnopened, report.Status)
			require.False(t, report.Encryption.Opened)
			require.Nil(t, report.Encryption.Plain)
			require.Equal(t, mode, report.Encryption.Mode)
			require.Equal(t, bundle.DigestOf(archive).String(), report.ArchiveDigest)

			report, err = verifyWith(t, archive, withIdentity(mallory, alice))
			require.NoError(t, err)
			require.Equal(t, verify.StatusVerified, report.Status)
			require.True(t, report.Encryption.Opened)
			require.Equal(t, alice.Recipient().String(), report.Encryption.As)
			require.Equal(t, bundle.DigestOf(plain.Bytes(t)).String(), report.Encryption.Plain.ArchiveDigest)
			require.Equal(t, verify.StatusVerified, report.Encryption.Plain.Status)

			_, err = verifyWith(t, archive, withIdentity(mallory))
			var failure *verify.Error
			require.ErrorAs(t, err, &failure)
			require.Equal(t, 3, failure.ExitCode())
			require.Equal(t, verify.ReasonNoIdentity, failure.Reason)
			require.Contains(t, failure.Message, alice.Recipient().String())

			var out bytes.Buffer
			trust := verify.Trust{bundletest.Verifier(t, plain.Signer)}
			_, err = verify.Open(t.Context(), bytes.NewReader(archive), int64(len(archive)), trust, sealed.Keys{Identities: []*age.X25519Identity{alice}}, &out)
			require.NoError(t, err)
			require.True(t, bytes.Equal(plain.Bytes(t), out.Bytes()))
			_, err = verifyWith(t, out.Bytes())
			require.NoError(t, err)
		}
	}
}

// TestUnopenedCanBeRefused: who wants the contents verified is told that nobody can without
// a key; a plain bundle has nothing to open.
func TestUnopenedCanBeRefused(t *testing.T) {
	plain, encrypted := bundletest.BuildEncrypted(t, bundletest.Options{}, bundletest.Encrypting{Mode: "age"})
	report, err := verifyWith(t, encrypted.Bytes(t), verify.WithOpened())
	requireReason(t, err, verify.ReasonNoIdentity)
	require.Equal(t, verify.StatusFailed, report.Status)
	require.Equal(t, verify.ClassAbsent, report.Failure.Class)
	require.Contains(t, report.Failure.Message, bundletest.Identity(t, 0).Recipient().String())
	for _, archive := range [][]byte{plain.Bytes(t), encrypted.Bytes(t)} {
		report, err = verifyWith(t, archive, verify.WithOpened(), withIdentity(bundletest.Identity(t, 0)))
		require.NoError(t, err)
		require.Equal(t, verify.StatusVerified, report.Status)
	}
}

// TestOpenRefuses: what is not to be opened writes nothing that looks like an archive.
func TestOpenRefuses(t *testing.T) {
	trust := verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))}
	alice := sealed.Keys{Identities: []*age.X25519Identity{bundletest.Identity(t, 0)}}
	plain, encrypted := bundletest.BuildEncrypted(t, bundletest.Options{}, bundletest.Encrypting{Mode: "age"})
	broken := encrypted.Bytes(t)
	broken[len(broken)/2] ^= 1
	for name, c := range map[string]struct {
		archive []byte
		keys    sealed.Keys
		code    int
	}{
		"plain": {plain.Bytes(t), alice, 5}, "no key": {encrypted.Bytes(t), sealed.Keys{}, 4}, "changed": {broken, alice, 0},
		"another's key": {encrypted.Bytes(t), sealed.Keys{Identities: []*age.X25519Identity{bundletest.Identity(t, 1)}}, 3},
	} {
		var out bytes.Buffer
		_, err := verify.Open(t.Context(), bytes.NewReader(c.archive), int64(len(c.archive)), trust, c.keys, &out)
		var failure *verify.Error
		require.ErrorAs(t, err, &failure, name)
		require.True(t, c.code == 0 || c.code == failure.ExitCode(), "%s: %v", name, err)
		require.Zero(t, out.Len(), name)
	}
	_, err := verify.Open(t.Context(), bytes.NewReader(encrypted.Bytes(t)), int64(len(encrypted.Bytes(t))), trust, alice, failingWriter{})
	require.ErrorContains(t, err, "disk full")
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// TestEvidenceOfEncrypted: lines are read with a key, and asked for without one it is
// an error.
func TestEvidenceOfEncrypted(t *testing.T) {
	_, encrypted := bundletest.BuildEncrypted(t, bundletest.Options{}, bundletest.Encrypting{Mode: "aes-gcm"})
	_, err := verifyWith(t, encrypted.Bytes(t), verify.WithEvidence())
	var failure *verify.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, 4, failure.ExitCode())
	require.Equal(t, verify.ReasonNoIdentity, failure.Reason)
}

// TestEncryptedMemory: a large file is opened without holding it.
func TestEncryptedMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("large bundles are left out with -short")
	}
	line := `{"x":"` + strings.Repeat("evidence ", 100_000) + `"}`
	for _, mode := range encryptionModes {
		var shards []bundletest.Shard
		for i := range 40 {
			s := bundletest.Shard{Type: "sboms", Lines: []string{line, line}}
			if i > 0 {
				s.Key = fmt.Sprint(i)
			}
			shards = append(shards, s)
		}
		_, encrypted := bundletest.BuildEncrypted(t, bundletest.Options{Shards: shards}, bundletest.Encrypting{Mode: mode})
		archive := encrypted.Bytes(t)
		_, err := verifyWith(t, archive, withIdentity(bundletest.Identity(t, 0)))
		require.NoError(t, err)
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = verifyWith(t, archive, withIdentity(bundletest.Identity(t, 0)))
		require.NoError(t, err)
		runtime.ReadMemStats(&after)
		t.Logf("%s: %d KiB allocated in all", mode, (after.TotalAlloc-before.TotalAlloc)>>10)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(256<<20))
	}
}

// TestAgeOpensDataFiles: a stranger takes an encrypted bundle apart by the commands of its
// VERIFY.md - tar, jq, sha256sum and age - and finds what checksums.txt says.
func TestAgeOpensDataFiles(t *testing.T) {
	program := testkit.Tool(t, "age")
	for _, tool := range []string{"jq", "sha256sum", "tar"} {
		testkit.Tool(t, tool)
	}
	dir := t.TempDir()
	for n, name := range []string{"alice", "mallory"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(bundletest.Identity(t, byte(n)).String()+"\n"), 0o600))
	}
	_, encrypted := bundletest.BuildEncrypted(t, mirrorOptions(t), bundletest.Encrypting{Mode: "age"})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bundle.tar"), encrypted.Bytes(t), 0o600))
	script := func(identity string) ([]byte, error) {
		out := filepath.Join(dir, "out-"+identity)
		require.NoError(t, os.Mkdir(out, 0o700))
		lines := []string{"tar -xf ../bundle.tar"}
		for _, line := range strings.Split(string(encrypted.Data(t, bundle.GuidePath)), "\n") {
			if command, ok := strings.CutPrefix(line, "    "); ok && strings.Contains(command, "encryption.json") {
				lines = append(lines, strings.ReplaceAll(command, "IDENTITY", "../"+identity))
			}
		}
		require.Len(t, lines, 3, "the guide has other commands")
		cmd := exec.Command("sh", "-euc", strings.Join(append(lines, "sha256sum -c checksums.txt"), "\n"))
		cmd.Dir, cmd.Env = out, append(os.Environ(), "PATH="+filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"))
		return cmd.CombinedOutput()
	}
	said, err := script("alice")
	require.NoError(t, err, string(said))
	said, err = script("mallory")
	require.Error(t, err)
	require.Contains(t, string(said), "no identity matched")
}

// TestBrokenSourceOfEncrypted breaks the source at every read: never verified, and never
// called a change of content.
func TestBrokenSourceOfEncrypted(t *testing.T) {
	trust := verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))}
	for _, mode := range encryptionModes {
		_, encrypted := bundletest.BuildEncrypted(t, bundletest.Options{}, bundletest.Encrypting{Mode: mode})
		archive := encrypted.Bytes(t)
		for n := 0; ; n += 3 {
			source := &failing{bytes.NewReader(archive), n, false}
			_, err := verify.Reader(context.Background(), source, int64(len(archive)), trust, verify.WithWorkers(1), withIdentity(bundletest.Identity(t, 0)))
			if source.left >= 0 {
				require.NoError(t, err)
				break
			}
			var failure *verify.Error
			require.ErrorAs(t, err, &failure, "read %d", n)
			require.Equal(t, verify.ReasonUnreadable, failure.Reason, "read %d: %s", n, failure.Message)
		}
	}
}
