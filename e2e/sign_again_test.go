package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

// keyService signs with the twin's key, as key services do: no two signatures are alike.
type keyService struct {
	signing.Signer
	signed map[string][][]byte // by message
}

func (k *keyService) Sign(_ context.Context, message []byte) ([]byte, error) {
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(message)
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err == nil {
		sig, err = signing.LowS(sig)
	}
	k.signed[string(message)] = append(k.signed[string(message)], sig)
	return sig, err
}

// losing has a database that is away when the last signature, which is of the archive as
// a whole, is to be kept.
type losing struct {
	storage.Execution
	away bool
}

func (l *losing) KeepSignature(ctx context.Context, claim storage.Claim, s storage.StoredSignature) (storage.StoredSignature, error) {
	if l.away && s.Artifact == "archive" {
		return storage.StoredSignature{}, errors.New("the database is away")
	}
	return l.Execution.KeepSignature(ctx, claim, s)
}

// TestARetriedSignGivesTheSameMetadata: phase sign of a mirror is ended when its TUF
// metadata is signed and the archive is not. The retry takes the signatures that are kept,
// so the mirror has the bytes that the first attempt made, though the key service gives
// others each time.
func TestARetriedSignGivesTheSameMetadata(t *testing.T) {
	w := openWorkshop(t)
	w.ageless = true
	w.take(t, evidenceOfDay(t, 1))
	keys, away := &keyService{twinKey(t), map[string][][]byte{}}, &losing{w.exporting.Execution, true}
	w.exporting.Signer, w.exporting.Execution = keys, away
	profile, _ := export.BuiltinProfile("mirror:full")
	ref := w.record(t, profile, 0)
	phase := func(activity any) error {
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestActivityEnvironment()
		env.RegisterActivity(w.exporting)
		_, err := env.ExecuteActivity(activity, activities.PhaseInput{Ref: ref})
		return err
	}
	buildUntilSigned(t, w, ref)
	require.ErrorContains(t, phase(w.exporting.Sign), "retryable: true")
	first := map[string][]byte{}
	for message, sigs := range keys.signed {
		require.Len(t, sigs, 1)
		first[message] = sigs[0]
	}
	require.GreaterOrEqual(t, len(first), 7, "manifest, provenance, three of TUF, the seal, the archive")
	away.away = false
	require.NoError(t, phase(w.exporting.Sign))
	again := 0
	for message, sigs := range keys.signed {
		require.NotEmpty(t, first[message], "the retry signed other bytes")
		again += len(sigs) - 1
	}
	require.Equal(t, 1, again, "the last signature was lost, and no other was asked for again")

	require.NoError(t, phase(w.exporting.Distribute))
	run, err := w.runs.GetRun(t.Context(), ref)
	require.NoError(t, err)
	archive := w.archive(t, run)
	found := 0
	for _, path := range []string{bundle.TUFTargetsPath, bundle.TUFSnapshotPath, bundle.TUFTimestampPath} {
		document := entryOf(t, archive, path)
		for _, sig := range first {
			if bytes.Contains(document, []byte(hex.EncodeToString(sig))) {
				found++
			}
		}
	}
	require.Equal(t, 3, found, "the documents have the first signatures")
}

// buildUntilSigned runs the phases before sign.
func buildUntilSigned(t *testing.T, w *workshop, ref export.Ref) {
	t.Helper()
	phase := func(activity, in, result any) {
		t.Helper()
		var suite testsuite.WorkflowTestSuite
		env := suite.NewTestActivityEnvironment()
		env.RegisterActivity(w.exporting)
		answer, err := env.ExecuteActivity(activity, in)
		require.NoError(t, err)
		if result != nil {
			require.NoError(t, answer.Get(result))
		}
	}
	in := activities.PhaseInput{Ref: ref}
	var planned activities.PhaseResult
	phase(w.exporting.Plan, in, nil)
	phase(w.exporting.Resolve, in, &planned)
	for _, of := range planned.Ranges {
		phase(w.exporting.AdaptRange, activities.RangeInput{Ref: ref, Range: of}, nil)
	}
	phase(w.exporting.Assemble, in, nil)
	if planned.Guarded {
		phase(w.exporting.Guard, in, nil)
	}
	phase(w.exporting.Manifest, in, nil)
}

// entryOf reads an entry of an archive.
func entryOf(t *testing.T, archive []byte, path string) (content []byte) {
	t.Helper()
	require.NoError(t, bundle.Walk(bytes.NewReader(archive), func(p string, from, size int64) error {
		if p == path {
			content = archive[from : from+size]
		}
		return nil
	}))
	require.NotEmpty(t, content, path)
	return content
}
