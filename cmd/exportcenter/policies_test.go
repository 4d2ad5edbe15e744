package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// packOf is a policy pack with one Rego file.
func packOf(t *testing.T, revision, rules string) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	for _, file := range [][2]string{{".manifest", `{"revision":"` + revision + `","rego_version":1,"roots":[""]}`}, {"rules/decision.rego", rules}} {
		require.NoError(t, archive.WriteHeader(&tar.Header{Name: file[0], Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(file[1]))}))
		_, err := archive.Write([]byte(file[1]))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	require.NoError(t, zipped.Close())
	return out.Bytes()
}

const goodRules = `package stellaops.policy

decision := {"action": "warn", "reason": "so", "rules": ["one"]}
`

// The API checks packs as they are evaluated, and says where they are wrong.
func TestPacksAreCheckedAsTheyAreEvaluated(t *testing.T) {
	version, err := checkPack(packOf(t, "2026-11-01", goodRules))
	require.NoError(t, err)
	require.Equal(t, "2026-11-01", version)
	for rules, says := range map[string][]string{
		goodRules + "\nnow := time.now_ns()\n":                                {"rules/decision.rego:5", "time.now_ns"},
		goodRules + "\nx := http.send({\"method\": \"get\", \"url\": \"u\"})": {"rules/decision.rego:5", "http.send"},
		"package stellaops.policy\n\ndecision := nothing\n":                   {"rules/decision.rego:3", "nothing"},
		"package other\n": {"data.stellaops.policy.decision"},
	} {
		_, err := checkPack(packOf(t, "1", rules))
		require.Equal(t, export.CodePolicySnapshot, export.CodeOf(err), rules)
		for _, word := range says {
			require.ErrorContains(t, err, word)
		}
	}
	for _, raw := range [][]byte{nil, []byte("PK"), packOf(t, "", goodRules), packOf(t, "1", goodRules)[:100]} {
		_, err := checkPack(raw)
		require.Equal(t, export.CodePolicySnapshot, export.CodeOf(err))
	}
}

// What an installation serves as its built-in policy snapshot is a pack that it would
// take itself.
func TestTheBuiltInPolicySnapshot(t *testing.T) {
	db := pgtest.New(t)
	policies, err := policySnapshots(db.DB)
	require.NoError(t, err)
	s, pack, err := policies.ReadPack(t.Context(), "acme", export.BaselineSnapshot)
	require.NoError(t, err)
	require.Equal(t, bundle.DigestOf(pack).String(), s.Digest)
	version, err := checkPack(pack)
	require.NoError(t, err)
	require.Equal(t, [2]string{"baseline", version}, [2]string{s.Name, s.Version})

	raw := packOf(t, "7", goodRules)
	own := export.PolicySnapshot{Tenant: "acme", ID: "0195f000-0000-7000-a000-000000000001", Name: "own", Version: "7",
		Digest: bundle.DigestOf(raw).String(), Bytes: int64(len(raw)), CreatedBy: "a", CreatedAt: s.CreatedAt.AddDate(2025, 0, 0)}
	_, _, err = postgres.NewPolicySnapshots(db.DB).ImportSnapshot(t.Context(), own, raw, storage.Idempotency{})
	require.NoError(t, err)
	page, next, err := policies.ListSnapshots(t.Context(), "acme", storage.SnapshotFilter{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, next)
	require.Len(t, page, 2)
}
