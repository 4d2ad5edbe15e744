package frontend_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// The server verifies approvals by the keys of its approvers, and its report is that
// of `stella verify --approvers` with them; one by anybody else is no approval.
func TestVerifyRunVerifiesApprovals(t *testing.T) {
	trusted := verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 1))}
	approvers := verify.Trust{bundletest.Verifier(t, bundletest.Key(t, 7))}
	w := frontendtest.New(t, func(c *frontend.Config) {
		c.Trust, c.CrossTenant.Approvers = trusted, approvers
	})
	for _, key := range []byte{7, 8} {
		o := bundletest.Shared(t, bundletest.Key(t, 1), bundletest.Key(t, key), nil)
		o.Tenant = "acme"
		run, archive := w.SealedAs(t, o)
		got := newCaller(t, w, "acme").send("POST", runsPath+"/"+run.ID+"/verify", "")
		offline, _ := verify.Reader(t.Context(), bytes.NewReader(archive), int64(len(archive)), trusted, verify.WithApprovers(approvers))
		want, err := json.Marshal(offline)
		require.NoError(t, err)
		require.JSONEq(t, string(want), got.Body)
		report := got.report(t)
		if key == 7 {
			require.Equal(t, verify.StatusVerified, report.Status, got.Body)
			require.True(t, report.Approvals[0].Verified)
			continue
		}
		require.Equal(t, verify.StatusFailed, report.Status)
		require.Equal(t, verify.ClassSignature, report.Failure.Class)
		require.Contains(t, report.Failure.Path, bundle.ApprovalsDir)
	}
}
