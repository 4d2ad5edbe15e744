package verify_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/signing"
)

func check(t testing.TB, archive []byte, signers ...signing.Signer) (verify.Report, error) {
	t.Helper()
	var trust verify.Trust
	for _, s := range signers {
		trust = append(trust, bundletest.Verifier(t, s))
	}
	return verify.Reader(context.Background(), bytes.NewReader(archive), int64(len(archive)), trust)
}

func TestHonestBundleVerifies(t *testing.T) {
	for _, algorithm := range []signing.Algorithm{signing.ECDSAP256, signing.Ed25519} {
		t.Run(string(algorithm), func(t *testing.T) {
			signer := bundletest.Key(t, 1, algorithm)
			built := bundletest.New(t, bundletest.Options{Signer: signer})
			archive := built.Bytes(t)
			report, err := check(t, archive, bundletest.Key(t, 9), signer)
			require.NoError(t, err)
			require.Equal(t, verify.StatusVerified, report.Status)
			require.Nil(t, report.Failure)
			require.Equal(t, built.Manifest.RunID, report.RunID)
			require.Equal(t, "acme", report.Tenant)
			require.Equal(t, built.Manifest.PayloadDigest.String(), report.PayloadDigest)
			require.Equal(t, built.Manifest.RerunHash.String(), report.RerunHash)
			require.Equal(t, bundle.DigestOf(archive).String(), report.ArchiveDigest)
			require.EqualValues(t, 3, report.Records)
			require.Len(t, report.Signatures, 5)
			for _, s := range report.Signatures {
				require.True(t, s.OK)
				require.Equal(t, signer.KeyID(), s.KeyID)
				require.Equal(t, string(algorithm), s.Algorithm)
			}
			for _, c := range report.Checks {
				require.True(t, c.OK, "%+v", c)
			}
			t.Logf("archive of %d bytes", len(archive))
		})
	}
}
