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

func examineShared(t testing.TB, archive []byte, signer signing.Signer, options ...verify.Option) (verify.Report, error) {
	t.Helper()
	return verify.Reader(context.Background(), bytes.NewReader(archive), int64(len(archive)), verify.Trust{bundletest.Verifier(t, signer)}, options...)
}

// A bundle with others' evidence tells what let it have that, and whose word that is.
func TestApprovalsAreToldAndVerifiedWhenAsked(t *testing.T) {
	signer, approver := bundletest.Key(t, 1), bundletest.Key(t, 2, signing.Ed25519)
	archive := bundletest.Build(t, bundletest.Shared(t, signer, approver, nil))
	report, err := examineShared(t, archive, signer)
	require.NoError(t, err)
	want := verify.Approval{Tenant: "globex", Approver: "ops", ExpiresAt: "2027-01-01T00:00:00Z", KeyID: approver.KeyID()}
	require.Equal(t, []verify.Approval{want}, report.Approvals)
	require.EqualValues(t, 4, report.Records)

	report, err = examineShared(t, archive, signer, verify.WithApprovers(verify.Trust{bundletest.Verifier(t, approver)}))
	require.NoError(t, err)
	want.Verified = true
	require.Equal(t, []verify.Approval{want}, report.Approvals)

	report, err = examineShared(t, archive, signer, verify.WithApprovers(verify.Trust{bundletest.Verifier(t, signer)}))
	require.Error(t, err)
	require.Equal(t, verify.ReasonUntrustedKey, report.Failure.Reason)
	require.Equal(t, verify.ClassSignature, report.Failure.Class)
}

// Whoever has the exporter's key, and makes everything else right again, still needs
// the approval itself.
func TestABundleWithoutTheApprovalItNamesIsRefused(t *testing.T) {
	signer, approver := bundletest.Key(t, 1), bundletest.Key(t, 2)
	says := func(change func(*bundle.Approval)) bundletest.Options {
		return bundletest.Shared(t, signer, approver, func(a *bundle.Approval, _ *string) { change(a) })
	}
	entries := func(change func(entries map[string][]byte, path string)) bundletest.Options {
		o := bundletest.Shared(t, signer, approver, nil)
		add := o.Entries
		o.Entries = func(all map[string][]byte) {
			before := len(all)
			add(all)
			require.Len(t, all, before+1)
			for path := range all {
				if bytes.HasPrefix([]byte(path), []byte(bundle.ApprovalsDir)) {
					change(all, path)
					return
				}
			}
		}
		return o
	}
	named := func(change func(*bundle.NamedApproval)) bundletest.Options {
		o := bundletest.Shared(t, signer, approver, nil)
		set := o.Manifest
		o.Manifest = func(m *bundle.Manifest) {
			set(m)
			change(&m.Tenancy.CrossTenantApprovals[0])
		}
		return o
	}
	ordinary := bundletest.Options{Signer: signer, Entries: func(all map[string][]byte) {
		all[bundle.ApprovalPath(bundle.DigestOf([]byte("x")))] = []byte("x")
	}}
	for name, tt := range map[string]struct {
		options bundletest.Options
		class   verify.Class
		reason  verify.Reason
	}{
		"for another reader":     {says(func(a *bundle.Approval) { a.Reader = "initech" }), verify.ClassContent, verify.ReasonApproval},
		"for another profile":    {says(func(a *bundle.Approval) { a.Profile = "nightly" }), verify.ClassContent, verify.ReasonApproval},
		"for another tenant":     {says(func(a *bundle.Approval) { a.Tenant = "initech" }), verify.ClassContent, verify.ReasonApproval},
		"for one project":        {says(func(a *bundle.Approval) { a.Project = "web" }), verify.ClassContent, verify.ReasonApproval},
		"by another approver":    {says(func(a *bundle.Approval) { a.Approver = "me" }), verify.ClassContent, verify.ReasonApproval},
		"until another time":     {says(func(a *bundle.Approval) { a.ExpiresAt = "2027-01-02T00:00:00Z" }), verify.ClassContent, verify.ReasonApproval},
		"of another version":     {says(func(a *bundle.Approval) { a.Version = "2" }), verify.ClassContent, verify.ReasonApproval},
		"of another type":        {bundletest.Shared(t, signer, approver, func(_ *bundle.Approval, payloadType *string) { *payloadType = bundle.StatementPayloadType }), verify.ClassContent, verify.ReasonApproval},
		"named with another key": {named(func(a *bundle.NamedApproval) { a.KeyID = signer.KeyID() }), verify.ClassContent, verify.ReasonApproval},
		"not there":              {entries(func(all map[string][]byte, path string) { delete(all, path) }), verify.ClassAbsent, verify.ReasonMissing},
		"another one in its place": {entries(func(all map[string][]byte, path string) {
			all[path] = append([]byte(nil), all[path]...)
			all[path][20] ^= 1
		}), verify.ClassContent, verify.ReasonApproval},
		"one more":         {entries(func(all map[string][]byte, path string) { all[bundle.ApprovalPath(bundle.DigestOf(nil))] = all[path] }), verify.ClassContent, verify.ReasonUnlisted},
		"too large":        {entries(func(all map[string][]byte, path string) { all[path] = make([]byte, bundle.MaxApproval+1) }), verify.ClassContent, verify.ReasonTooLarge},
		"of nobody's need": {ordinary, verify.ClassContent, verify.ReasonUnlisted},
	} {
		report, err := examineShared(t, bundletest.Build(t, tt.options), signer)
		require.Error(t, err, name)
		require.Equal(t, tt.reason, report.Failure.Reason, "%s: %s", name, report.Failure.Message)
		require.Equal(t, tt.class, report.Failure.Class, name)
	}
}

// Evidence of a tenant that the manifest names no approval of is not let through by
// whoever signs: such a manifest is none.
func TestEvidenceOfAnotherTenantNeedsAnApprovalInTheManifest(t *testing.T) {
	signer, approver := bundletest.Key(t, 1), bundletest.Key(t, 2)
	for name, cut := range map[string]string{
		"another's tenancy": `"tenant":"globex"`,
		"selectors":         `"tenants":["acme","globex"]`,
	} {
		o := bundletest.Shared(t, signer, approver, nil)
		o.Documents = func(path string, encoded []byte) []byte {
			if path != bundle.ManifestPath {
				return encoded
			}
			require.Contains(t, string(encoded), cut)
			return bytes.Replace(encoded, []byte(cut), bytes.Replace([]byte(cut), []byte("globex"), []byte("umbrel"), 1), 1)
		}
		report, err := examineShared(t, bundletest.Build(t, o), signer)
		require.Error(t, err, name)
		require.Equal(t, verify.ReasonManifest, report.Failure.Reason, report.Failure.Message)
	}
}

// No bit of the approval, of its entry's header or of what names it can be another.
func TestEveryBitOfAnApprovalIsFixed(t *testing.T) {
	signer, approver := bundletest.Key(t, 1), bundletest.Key(t, 2, signing.Ed25519)
	built := bundletest.New(t, bundletest.Shared(t, signer, approver, nil))
	archive := built.Bytes(t)
	trust := learn(t, archive, signer)
	at := 0
	for _, e := range built.Entries {
		size := int(bundle.EntrySize(int64(len(e.Data))))
		if !bytes.HasPrefix([]byte(e.Path), []byte(bundle.ApprovalsDir)) {
			at += size
			continue
		}
		for i := at; i < at+size; i++ {
			for bit := range 8 {
				hurt := bytes.Clone(archive)
				hurt[i] ^= 1 << bit
				report, err := verify.Reader(context.Background(), bytes.NewReader(hurt), int64(len(hurt)), trust)
				require.Error(t, err, "byte %d, bit %d", i, bit)
				require.NotEqual(t, verify.ReasonInternal, report.Failure.Reason)
			}
		}
		return
	}
	t.Fatal("the bundle has no approval")
}
