package client

import (
	"context"
	"fmt"
	"net/http"

	"github.com/stella-ops/exportcenter/bundle/verify"
)

// VerifyRun lets the server verify the stored bundle of a run by the keys that it
// trusts, and gives its report: what "stella verify" says of the downloaded bundle.
// A bundle that is not verified is no error of the call; see Report.Status.
func (c *Client) VerifyRun(ctx context.Context, id string, evidence bool) (verify.Report, error) {
	return repeated(ctx, func() (verify.Report, error) {
		var report verify.Report
		params := &VerifyRunParams{}
		if evidence {
			params.Evidence = &evidence
		}
		resp, err := c.api.VerifyRun(ctx, id, params)
		if resp, err = expect(resp, err, http.StatusOK); err != nil {
			return report, fmt.Errorf("verify run %s: %w", id, err)
		}
		if err := decode(resp, &report); err != nil {
			return report, err
		}
		if report.Status != verify.StatusVerified && (report.Status != verify.StatusFailed || report.Failure == nil) {
			return report, fmt.Errorf("verify run %s: the report has the status %.40q and no failure", id, report.Status)
		}
		return report, nil
	})
}

// Attestations gives the signed statements about the archive of a run. The envelopes
// are for the caller to verify, with keys of his own.
func (c *Client) Attestations(ctx context.Context, id string) (AttestationList, error) {
	return repeated(ctx, func() (AttestationList, error) {
		var list AttestationList
		resp, err := c.api.GetAttestation(ctx, id, nil)
		if resp, err = expect(resp, err, http.StatusOK); err != nil {
			return list, fmt.Errorf("attestations of run %s: %w", id, err)
		}
		return list, decode(resp, &list)
	})
}
