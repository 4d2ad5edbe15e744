package signing_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/signing"
)

// desk is a stranger's folder: a file, what we signed of it, and a program to
// check it with.
type desk struct {
	dir, program string
}

// setUpDesk writes f, k.pub, f.sigstore.json (message bundle),
// e.sigstore.json (DSSE bundle) and e.dsse.json (raw envelope).
func setUpDesk(t *testing.T, s signing.Signer) desk {
	t.Helper()
	d := desk{dir: t.TempDir(), program: testkit.Tool(t, "cosign")}
	file := []byte("one exported file\n")
	sum := sha256.Sum256(file)
	statement := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","predicate":{"buildDefinition":`+
		`{"buildType":"https://example.com/export/v1","externalParameters":{}},"runDetails":{"builder":{"id":"https://example.com/builder"}}},`+
		`"predicateType":"https://slsa.dev/provenance/v1","subject":[{"digest":{"sha256":"%s"},"name":"f"}]}`, hex.EncodeToString(sum[:]))

	ctx := context.Background()
	sig, err := s.Sign(ctx, file)
	require.NoError(t, err)
	message, err := signing.EncodeMessageBundle(s.KeyID(), sum, sig)
	require.NoError(t, err)
	sig, err = s.Sign(ctx, signing.PAE(signing.PayloadTypeInToto, statement))
	require.NoError(t, err)
	bundle, err := signing.EncodeDSSEBundle(signing.PayloadTypeInToto, statement, s.KeyID(), sig)
	require.NoError(t, err)
	raw, err := signing.EncodeEnvelope(signing.PayloadTypeInToto, statement, s.KeyID(), sig)
	require.NoError(t, err)
	for name, text := range map[string][]byte{
		"f": file, "k.pub": s.PublicKeyPEM(), "f.sigstore.json": message, "e.sigstore.json": bundle, "e.dsse.json": raw,
	} {
		d.put(t, name, text)
	}
	return d
}

func (d desk) put(t *testing.T, name string, text []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, name), text, 0o600))
}

func (d desk) get(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, name))
	require.NoError(t, err)
	return text
}

// run gives the program nothing but the folder: no home, and a proxy that answers
// nobody, so that a call home fails instead of helping.
func (d desk) run(args string) (output string, err error) {
	cmd := exec.Command(d.program, strings.Fields(args)...)
	cmd.Dir = d.dir
	cmd.Env = []string{"HOME=" + filepath.Join(d.dir, "home"), "HTTPS_PROXY=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The commands that the documentation gives to strangers.
const (
	verifyBlob     = "verify-blob --key k.pub --bundle f.sigstore.json --insecure-ignore-tlog f"
	verifyBundle   = "verify-blob-attestation --key k.pub --bundle e.sigstore.json --insecure-ignore-tlog --type slsaprovenance1 f"
	verifyEnvelope = "verify-blob-attestation --key k.pub --signature e.dsse.json --insecure-ignore-tlog --type slsaprovenance1 f"
)

func TestCosignAcceptsOfflineAndRefusesAChangedByte(t *testing.T) {
	for _, s := range []signing.Signer{ecdsaSigner(t), ed25519Signer(t)} {
		t.Run(string(s.Algorithm()), func(t *testing.T) {
			d := setUpDesk(t, s)
			for _, c := range []struct{ name, command, signature string }{
				{"message bundle", verifyBlob, "f.sigstore.json"},
				{"DSSE bundle", verifyBundle, "e.sigstore.json"},
				{"raw envelope", verifyEnvelope, "e.dsse.json"},
			} {
				t.Run(c.name, func(t *testing.T) {
					out, err := d.run(c.command)
					require.NoError(t, err, out)
					require.Contains(t, out, "Verified OK")
					d.refusesAChange(t, "f", 4, c.command)
					text := d.get(t, c.signature)
					at := bytes.LastIndex(text, []byte(`sig":"`)) + len(`sig":"`)
					if at < len(`sig":"`) {
						at = bytes.LastIndex(text, []byte(`signature":"`)) + len(`signature":"`)
					}
					d.refusesAChange(t, c.signature, at+40, c.command)
				})
			}
		})
	}
}

// refusesAChange changes one byte, wants a refusal, and changes it back.
func (d desk) refusesAChange(t *testing.T, name string, at int, command string) {
	t.Helper()
	good := d.get(t, name)
	bad := bytes.Clone(good)
	if bad[at]++; bad[at] == good[at] || bad[at] > 'z' {
		bad[at] = 'A'
	}
	d.put(t, name, bad)
	defer d.put(t, name, good)
	out, err := d.run(command)
	require.Error(t, err, "%s with byte %d changed: %s", name, at, out)
	require.NotContains(t, out, "Verified OK")
}

// The page for other implementers checks a message bundle with openssl.
func TestOpensslAcceptsTheSignatureInsideAMessageBundle(t *testing.T) {
	openssl := testkit.Tool(t, "openssl")
	for _, c := range []struct {
		signer  signing.Signer
		command string
	}{
		{ecdsaSigner(t), "dgst -sha256 -verify k.pub -signature f.sig f"},
		{ed25519Signer(t), "pkeyutl -verify -pubin -inkey k.pub -rawin -in f -sigfile f.sig"},
	} {
		t.Run(string(c.signer.Algorithm()), func(t *testing.T) {
			message := []byte("one exported file\n")
			sig, err := c.signer.Sign(context.Background(), message)
			require.NoError(t, err)
			d := desk{dir: t.TempDir(), program: openssl}
			d.put(t, "f", message)
			d.put(t, "f.sig", sig)
			d.put(t, "k.pub", c.signer.PublicKeyPEM())
			out, err := d.run(c.command)
			require.NoError(t, err, out)
			d.refusesAChange(t, "f", 4, c.command)
		})
	}
}
