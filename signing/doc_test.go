package signing_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/signing"
)

// The page for other implementers names what the code does: forms, commands,
// limits and classes.
func TestTheFormatPageAgrees(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testkit.Root(t), "docs", "formats", "signatures.md"))
	require.NoError(t, err)
	page := string(text)
	s, key := vectorSigner(t, "ecdsa-p256")
	for _, f := range forms {
		shape := string(f.encode(t, s))
		for _, part := range strings.Split(shape, `"`) {
			if part == testType {
				shape = strings.Replace(shape, part, "<type>", 1)
			} else if part == s.KeyID() {
				shape = strings.Replace(shape, part, "<key id>", 1)
			} else if part == key.Hint {
				shape = strings.Replace(shape, part, "<hint>", 1)
			} else if len(part) > 40 && !strings.HasPrefix(part, "application/") {
				shape = strings.Replace(shape, part, "<base64>", 1)
			}
		}
		require.Contains(t, page, "\n"+shape+"\n", f.name)
	}
	for _, want := range []string{
		verifyBlob[strings.Index(verifyBlob, "--key"):],
		verifyBundle[strings.Index(verifyBundle, "--key"):],
		string(signing.ECDSAP256), string(signing.Ed25519), "16,777,216", "4,096",
	} {
		require.Contains(t, page, want)
	}
	require.Equal(t, 16_777_216, signing.MaxEnvelope)
	for class := range classes {
		require.Contains(t, page, "`"+class+"`")
	}
}
