package verify_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/signing"
)

// guide runs the commands of VERIFY.md as a stranger would.
type guide struct {
	dir      string
	commands []string // in the order of the guide, BUNDLE and KEY filled in
}

func follow(t *testing.T, archive []byte, text string, signer signing.Signer) guide {
	t.Helper()
	g := guide{dir: t.TempDir()}
	require.NoError(t, os.WriteFile(filepath.Join(g.dir, "received.tar"), archive, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(g.dir, "trusted.pub"), signer.PublicKeyPEM(), 0o600))
	for _, line := range strings.Split(text, "\n") {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			command = strings.ReplaceAll(command, "BUNDLE", "received.tar")
			g.commands = append(g.commands, strings.ReplaceAll(command, "KEY", "trusted.pub"))
		}
	}
	return g
}

// run runs the one command that contains words.
func (g guide) run(t *testing.T, words string) (string, error) {
	t.Helper()
	var found []string
	for _, command := range g.commands {
		if strings.Contains(command, words) {
			found = append(found, command)
		}
	}
	require.Len(t, found, 1, "commands with %q in VERIFY.md", words)
	name, _, _ := strings.Cut(found[0], " ")
	if name == "{" {
		name = "printf"
	}
	tool := testkit.Tool(t, name)
	command := exec.Command("sh", "-c", found[0])
	command.Dir = g.dir
	command.Env = append(os.Environ(), "PATH="+filepath.Dir(tool)+":"+os.Getenv("PATH"), "LC_ALL=C")
	out, err := command.CombinedOutput()
	return string(out), err
}

func (g guide) succeed(t *testing.T, words string) string {
	t.Helper()
	out, err := g.run(t, words)
	require.NoError(t, err, "%s: %s", words, out)
	return out
}

func TestVerifyGuideByForeignPrograms(t *testing.T) {
	for _, algorithm := range []signing.Algorithm{signing.ECDSAP256, signing.Ed25519} {
		t.Run(string(algorithm), func(t *testing.T) {
			signer := bundletest.Key(t, 1, algorithm)
			built := bundletest.New(t, bundletest.Options{Signer: signer})
			g := follow(t, built.Bytes(t), string(built.Data(t, bundle.GuidePath)), signer)
			require.Equal(t, strings.TrimPrefix(signer.KeyID(), "sha256:")+"  -\n", g.succeed(t, "openssl pkey -pubin"))
			g.succeed(t, "tar -xf ")
			require.Equal(t, len(built.Entries)-2, strings.Count(g.succeed(t, "sha256sum -c"), ": OK\n"))
			t.Run("zstd", func(t *testing.T) { g.succeed(t, "zstd -t ") })
			t.Run("cosign", func(t *testing.T) {
				g.succeed(t, "cosign verify-blob ")
				g.succeed(t, "cosign verify-blob-attestation ")
			})
			g.seal(t, algorithm)
		})
	}
}

// seal follows step 6.
func (g guide) seal(t *testing.T, algorithm signing.Algorithm) {
	g.succeed(t, "> seal.json")
	digest := g.succeed(t, `"digest":"sha256:`)
	require.Equal(t, strings.TrimSpace(digest)+"  -\n", g.succeed(t, "head -c "))
	g.succeed(t, "> seal.sig")
	g.succeed(t, "> seal.pae")
	command := "openssl dgst -sha256 -verify"
	if algorithm == signing.Ed25519 {
		command = "openssl pkeyutl -verify"
	}
	require.Contains(t, g.succeed(t, command), "Verif")
	pae := filepath.Join(g.dir, "seal.pae")
	text, err := os.ReadFile(pae)
	require.NoError(t, err)
	text[len(text)-2] ^= 1
	require.NoError(t, os.WriteFile(pae, text, 0o600))
	_, err = g.run(t, command)
	require.Error(t, err, "a changed seal")
}

func TestForeignProgramsSeeOneChangedByte(t *testing.T) {
	signer := bundletest.Key(t, 1)
	for _, c := range []struct{ path, tool string }{
		{firstShard, "sha256sum -c"}, {bundle.ReadmePath, "sha256sum -c"}, {firstShard, "zstd -t"},
		{bundle.ManifestPath, "cosign verify-blob "}, {bundle.ManifestPath, "cosign verify-blob-attestation "},
		{bundle.ManifestBundlePath, "cosign verify-blob "}, {bundle.ProvenanceBundlePath, "cosign verify-blob-attestation "},
	} {
		t.Run(c.tool+" "+c.path, func(t *testing.T) {
			built := bundletest.New(t, bundletest.Options{Signer: signer})
			data := []byte(string(built.Data(t, c.path)))
			data[len(data)/2] ^= 1
			built.Replace(t, c.path, data)
			g := follow(t, built.Raw(t), string(built.Data(t, bundle.GuidePath)), signer)
			g.succeed(t, "tar -xf ")
			out, err := g.run(t, c.tool)
			require.Error(t, err, out)
		})
	}
}
