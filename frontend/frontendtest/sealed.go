package frontendtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

// Sealed gives tenant a run that succeeded with a bundle that is signed by key n of
// bundletest, and the statement about its archive; and the archive.
func (w *World) Sealed(t testing.TB, tenant string, n byte) (export.Run, []byte) {
	t.Helper()
	return w.SealedAs(t, bundletest.Options{Tenant: tenant, Signer: bundletest.Key(t, n)})
}

// SealedAs is Sealed for a bundle of one's own.
func (w *World) SealedAs(t testing.TB, o bundletest.Options) (export.Run, []byte) {
	t.Helper()
	run := w.Run(o.Tenant, export.StateRunning)
	o.RunID = run.ID
	return w.offered(t, run, bundletest.New(t, o))
}

// SealedEncrypted is SealedAs for a bundle that is offered encrypted.
func (w *World) SealedEncrypted(t testing.TB, o bundletest.Options, how bundletest.Encrypting) (export.Run, []byte) {
	t.Helper()
	run := w.Run(o.Tenant, export.StateRunning)
	o.RunID = run.ID
	_, encrypted := bundletest.BuildEncrypted(t, o, how)
	return w.offered(t, run, encrypted)
}

func (w *World) offered(t testing.TB, run export.Run, built *bundletest.Bundle) (export.Run, []byte) {
	t.Helper()
	tenant, key, archive := run.Tenant, built.Signer, built.Bytes(t)
	var files []storage.File
	digests := map[string]bundle.Digest{}
	for _, entry := range built.Entries {
		digests[entry.Path] = w.Objects.Put(tenant, entry.Data)
		files = append(files, storage.File{Path: entry.Path, Digest: digests[entry.Path], Size: int64(len(entry.Data))})
	}
	run.State, run.CompletedAt = export.StateSucceeded, Start
	run.Result = export.Result{ManifestDigest: digests[bundle.ManifestPath].String(), PayloadDigest: built.Manifest.PayloadDigest.String(),
		RerunHash: built.Manifest.RerunHash.String(), ArchiveDigest: bundle.DigestOf(archive).String(), ArchiveBytes: int64(len(archive))}
	w.Runs.Put(run, files)

	statement, err := bundle.NewAttestation(built.Manifest, digests[bundle.ManifestPath], digests[bundle.ProvenancePath],
		bundle.DigestOf(archive), int64(len(archive))).Encode()
	require.NoError(t, err)
	message := signing.PAE(bundle.StatementPayloadType, statement)
	signature, err := key.Sign(t.Context(), message)
	require.NoError(t, err)
	w.Runs.Attest(run.Ref(), storage.StoredSignature{Artifact: "archive", KeyID: key.KeyID(), Algorithm: string(key.Algorithm()),
		Message: bundle.DigestOf(message), Signature: signature, Statement: statement})
	return run, archive
}
