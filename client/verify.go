package client

import (
	"context"
	"fmt"
	"net/http"

	"github.com/stella-ops/exportcenter/bundle/verify"
)

// VerifyRun lets the server verify the stored bundle of a run by the keys that it
// trusts, and gives its report: what "stella verify" says of the downloaded bundle.
// A bundle that is not verified is no error of the call; see Report.Status. That of an
// encrypted bundle is unopened: the server has no keys of recipients.
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
		if err := coherent(report); err != nil {
			return report, fmt.Errorf("verify run %s: %w", id, err)
		}
		return report, nil
	})
}

// coherent refuses a report whose status is none, or not what the rest of it says.
func coherent(r verify.Report) error {
	closed := r.Encryption != nil && !r.Encryption.Opened
	switch {
	case r.Status == verify.StatusFailed && r.Failure != nil:
		return nil
	case r.Failure != nil || r.Status != verify.StatusVerified && r.Status != verify.StatusUnopened:
		return fmt.Errorf("the report has the status %.40q, which its failure does not fit", r.Status)
	case closed != (r.Status == verify.StatusUnopened):
		return fmt.Errorf("the report has the status %.40q of a bundle of which it says otherwise whether it was opened", r.Status)
	}
	return nil
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
