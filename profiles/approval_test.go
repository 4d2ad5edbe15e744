package profiles_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/profiles"
	"github.com/stella-ops/exportcenter/signing"
)

func approver(t testing.TB, seed byte) (signing.Signer, []signing.Verifier) {
	t.Helper()
	signer, err := signing.NewSigner(ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+seed)), 32))))
	require.NoError(t, err)
	key, err := signing.ParsePublicKey(signer.PublicKeyPEM())
	require.NoError(t, err)
	return signer, []signing.Verifier{key}
}

var statement = bundle.Approval{Version: "1", Reader: "acme", Profile: "nightly", Tenant: "globex", Approver: "ops@example.org", ExpiresAt: "2027-01-01T00:00:00Z"}

func signed(t testing.TB, signer signing.Signer, payloadType string, payload []byte) export.Approval {
	t.Helper()
	envelope, err := signing.SignEnvelope(t.Context(), signer, payloadType, payload)
	require.NoError(t, err)
	return export.Approval{Tenant: "globex", Approver: "ops@example.org", ExpiresAt: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Signature: string(envelope)}
}

// check asks an installation that trusts keys, about a profile that is known by that
// name or that id.
func check(a export.Approval, reader, profile string, now time.Time, keys []signing.Verifier) error {
	return profiles.CrossTenant{Enabled: true, Approvers: keys}.Check(a, reader, export.Profile{ID: profileID, Name: profile}, now)
}

const profileID = "0190c0de-0000-7000-9000-000000000001"

func canonical(t testing.TB, s bundle.Approval) []byte {
	text, err := bundle.MarshalCanonical(s)
	require.NoError(t, err)
	return text
}

func TestAnApprovalCoversWhatWasSigned(t *testing.T) {
	signer, keys := approver(t, 0)
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	good := signed(t, signer, bundle.ApprovalPayloadType, canonical(t, statement))
	require.NoError(t, check(good, "acme", "nightly", now, keys))
	require.NoError(t, check(good, "acme", "nightly", time.Date(2026, 12, 31, 23, 59, 59, 999, time.UTC), keys))

	stranger, _ := approver(t, 1)
	change := func(f func(*bundle.Approval)) export.Approval {
		s := statement
		f(&s)
		return signed(t, signer, bundle.ApprovalPayloadType, canonical(t, s))
	}
	outer := func(f func(*export.Approval)) export.Approval {
		a := good
		f(&a)
		return a
	}
	for name, test := range map[string]struct {
		approval        export.Approval
		reader, profile string
		now             time.Time
		keys            []signing.Verifier
		says            string
	}{
		"another reader":    {good, "initech", "nightly", now, keys, "signed for profile"},
		"another profile":   {good, "acme", "daily", now, keys, "signed for profile"},
		"expired":           {good, "acme", "nightly", time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), keys, "expired"},
		"no key":            {good, "acme", "nightly", now, nil, "trusts"},
		"a stranger's":      {signed(t, stranger, bundle.ApprovalPayloadType, canonical(t, statement)), "acme", "nightly", now, keys, "trusts"},
		"another type":      {signed(t, signer, signing.PayloadTypeInToto, canonical(t, statement)), "acme", "nightly", now, keys, "trusts"},
		"another tenant":    {outer(func(a *export.Approval) { a.Tenant = "initech" }), "acme", "nightly", now, keys, "signed for tenant"},
		"another approver":  {outer(func(a *export.Approval) { a.Approver = "me" }), "acme", "nightly", now, keys, "signed for tenant"},
		"a later end":       {outer(func(a *export.Approval) { a.ExpiresAt = a.ExpiresAt.AddDate(1, 0, 0) }), "acme", "nightly", now, keys, "signed until"},
		"no signature":      {outer(func(a *export.Approval) { a.Signature = "" }), "acme", "nightly", now, keys, "trusts"},
		"another version":   {change(func(s *bundle.Approval) { s.Version = "2" }), "acme", "nightly", now, keys, "version"},
		"no end":            {change(func(s *bundle.Approval) { s.ExpiresAt = "" }), "acme", "nightly", now, keys, "expiresAt"},
		"an end elsewhere":  {change(func(s *bundle.Approval) { s.ExpiresAt = "2027-01-01T01:00:00+01:00" }), "acme", "nightly", now, keys, "expiresAt"},
		"one project":       {change(func(s *bundle.Approval) { s.Project = "web" }), "acme", "nightly", now, keys, "signed for tenant"},
		"a project more":    {outer(func(a *export.Approval) { a.Project = "web" }), "acme", "nightly", now, keys, "signed for tenant"},
		"unknown member":    {signed(t, signer, bundle.ApprovalPayloadType, []byte(`{"admin":true}`)), "acme", "nightly", now, keys, "not an approval"},
		"member twice":      {signed(t, signer, bundle.ApprovalPayloadType, []byte(`{"version":"1","version":"1"}`)), "acme", "nightly", now, keys, "not an approval"},
		"not canonical":     {signed(t, signer, bundle.ApprovalPayloadType, append([]byte(" "), canonical(t, statement)...)), "acme", "nightly", now, keys, "canonical"},
		"a statement alone": {outer(func(a *export.Approval) { a.Signature = string(canonical(t, statement)) }), "acme", "nightly", now, keys, "trusts"},
	} {
		require.ErrorContains(t, check(test.approval, test.reader, test.profile, test.now, test.keys), test.says, name)
	}
}

// No single bit of the signed envelope can be another.
func TestNoBitOfAnApprovalIsIdle(t *testing.T) {
	signer, keys := approver(t, 0)
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	good := signed(t, signer, bundle.ApprovalPayloadType, canonical(t, statement))
	for i := range good.Signature {
		for bit := range 8 {
			hurt := []byte(good.Signature)
			hurt[i] ^= 1 << bit
			bad := good
			bad.Signature = string(hurt)
			require.Error(t, check(bad, "acme", "nightly", now, keys), "byte %d, bit %d", i, bit)
		}
	}
}

// Whatever is signed by nobody we trust is refused; what is trusted is only what was signed.
func FuzzCheckApproval(f *testing.F) {
	signer, keys := approver(f, 0)
	good := signed(f, signer, bundle.ApprovalPayloadType, canonical(f, statement))
	f.Add(good.Signature)
	f.Add(`{"payload":"` + base64.StdEncoding.EncodeToString([]byte(`{}`)) + `","payloadType":"` + bundle.ApprovalPayloadType + `","signatures":[]}`)
	f.Fuzz(func(t *testing.T, envelope string) {
		a := good
		a.Signature = envelope
		if err := check(a, "acme", "nightly", time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC), keys); err == nil && envelope != good.Signature {
			t.Fatalf("taken: %q", envelope)
		}
	})
}

// A profile is named by its name, which is given once, or by its id.
func TestAnApprovalNamesItsProfileEitherWay(t *testing.T) {
	signer, keys := approver(t, 0)
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	byID := statement
	byID.Profile, byID.Project = profileID, "web"
	a := signed(t, signer, bundle.ApprovalPayloadType, canonical(t, byID))
	a.Project = "web"
	require.NoError(t, check(a, "acme", "nightly", now, keys))
	require.True(t, a.Covers("globex", "web"))
	require.False(t, a.Covers("globex", "_"))
	require.False(t, a.Covers("initech", "web"))
}

// What is switched off or revoked in the installation counts no more, however well
// it is signed.
func TestTheInstallationHasTheLastWord(t *testing.T) {
	signer, keys := approver(t, 0)
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	good := signed(t, signer, bundle.ApprovalPayloadType, canonical(t, statement))
	profile := export.Profile{Name: "nightly"}
	trust := profiles.CrossTenant{Enabled: true, Approvers: keys}
	require.NoError(t, trust.Check(good, "acme", profile, now))
	trust.Revoked = []bundle.Digest{bundle.DigestOf([]byte("another"))}
	require.NoError(t, trust.Check(good, "acme", profile, now))
	trust.Revoked = append(trust.Revoked, profiles.EnvelopeDigest(good))
	require.ErrorContains(t, trust.Check(good, "acme", profile, now), "revoked")
	require.ErrorContains(t, profiles.CrossTenant{Approvers: keys}.Check(good, "acme", profile, now), "switched off")
}

// Which approvals a run relies on does not depend on the order in which they stand.
func TestApprovalsAreChosenTheSameInAnyOrder(t *testing.T) {
	at := func(n int) time.Time { return time.Date(2027, 1, n, 0, 0, 0, 0, time.UTC) }
	web, later := export.Approval{Project: "web", ExpiresAt: at(1), Signature: "a"}, export.Approval{Project: "web", ExpiresAt: at(2), Signature: "b"}
	same, none := export.Approval{Project: "web", ExpiresAt: at(2), Signature: "c"}, export.Approval{Project: "_", ExpiresAt: at(1), Signature: "d"}
	whole := export.Approval{ExpiresAt: at(1), Signature: "e"}
	require.Equal(t, []export.Approval{none, later}, profiles.Covering([]export.Approval{web, later, same, none}))
	require.Equal(t, []export.Approval{none, later}, profiles.Covering([]export.Approval{none, same, later, web}))
	require.Equal(t, []export.Approval{whole}, profiles.Covering([]export.Approval{later, whole, none}))
	require.Empty(t, profiles.Covering(nil))
}
