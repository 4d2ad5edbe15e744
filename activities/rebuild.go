package activities

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/rebuild"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

// A rebuild is a run of its own, with rows and blobs of its own, that makes the
// documents of another: its run id, stamp, profile and keys are those of the run that it
// builds again. It takes over nothing that was packed or planned before.

// original gives the run whose name the documents of a bundle have: the one that is
// built again, of all other runs the run itself.
func (e *Export) original(ctx context.Context, run export.Run) (export.Run, error) {
	if run.RebuildOf == "" {
		return run, nil
	}
	of, err := e.Execution.ReadRun(ctx, export.Ref{Tenant: run.Tenant, RunID: run.RebuildOf})
	if err != nil {
		return of, fmt.Errorf("read the run that is built again: %w", err)
	}
	return of, of.Rebuildable()
}

// keysOf are the keys that a manifest names: this worker's, or those that the run that
// is built again was signed with.
func (e *Export) keysOf(run, of export.Run) []bundle.Key {
	var keys []bundle.Key
	if run.RebuildOf != "" {
		for _, s := range of.Result.Signatures {
			if s.Artifact == bundle.ManifestPath {
				keys = []bundle.Key{{KeyID: s.KeyID, Algorithm: s.Algorithm}}
			}
		}
	}
	if keys == nil {
		keys = []bundle.Key{{KeyID: e.Signer.KeyID(), Algorithm: string(e.Signer.Algorithm())}}
	}
	return keys
}

// intact proves, before anything is built, that the bundle that is to be compared is
// there as it was sealed: what is stored now may take the place of bytes that have rotted.
func (e *Export) intact(ctx context.Context, run export.Run, beat *heartbeat) error {
	of, err := e.original(ctx, run)
	if err != nil || of.State == export.StateExpired {
		return err
	}
	files, err := e.Execution.BundleFiles(ctx, of.Ref())
	if err != nil {
		return fmt.Errorf("list the bundle that is built again: %w", err)
	}
	sealed := slices.IndexFunc(files, func(f storage.File) bool { return f.Path == bundle.SealPath })
	if sealed < 0 {
		return fmt.Errorf("the bundle that is built again has no seal: %w", storage.ErrCorrupt)
	}
	seal, err := e.get(ctx, run.Tenant, files[sealed])
	if err != nil {
		return fmt.Errorf("read the bundle that is built again: %w", err)
	}
	files = slices.Delete(files, sealed, sealed+1)
	opened := int64(0)
	archive, err := bundle.HashArchive(ctx, membersOf(files), func(m bundle.Member) (bundle.Source, error) {
		opened++
		beat.tick(opened)
		return storage.OpenExact(ctx, e.Objects, run.Tenant, m.Digest, m.Size)
	})
	if errors.Is(err, bundle.ErrRotten) || errors.Is(err, storage.ErrCorrupt) {
		return &export.Error{Code: export.CodeRebuild, Class: export.ClassPermanent, Err: err,
			Message: "the bundle that is there is not what was sealed: bytes in the blob store have changed; have the operator look with exportcenter fsck --deep"}
	}
	if err != nil {
		return fmt.Errorf("read the bundle that is built again: %w", err)
	}
	signed, _ := of.Result.Plain()
	if digest, _, err := archive.Complete(seal); err != nil || digest.String() != signed {
		return errors.Join(err, &export.Error{Code: export.CodeRebuild, Class: export.ClassPermanent,
			Message: "the entries that are recorded of the bundle are not those that were sealed; have the operator look with exportcenter fsck"})
	}
	return nil
}

// Compare holds what a rebuild built against the bundle that is there. A rebuild that
// is not identical fails, and its row says where they part.
func (e *Export) Compare(ctx context.Context, in PhaseInput) (PhaseResult, error) {
	result, err := e.compare(ctx, in.Ref)
	return result, e.fail(ctx, in.Ref, export.PhaseCompare, err)
}

func (e *Export) compare(ctx context.Context, ref export.Ref) (PhaseResult, error) {
	defer newHeartbeat(ctx).wait()()
	claim, run, err := e.begin(ctx, ref, export.PhaseCompare)
	if err != nil {
		return PhaseResult{}, err
	}
	if run.Rebuilt == nil {
		report, err := e.comparison(ctx, claim, run)
		if err != nil {
			return PhaseResult{}, err
		}
		if run, err = e.Execution.SaveRebuilt(ctx, claim, report, e.Clock()); err != nil {
			return PhaseResult{}, fmt.Errorf("save what came of the rebuild: %w", err)
		}
	}
	e.log(run, export.PhaseCompare).Info("compared", "rebuild_of", run.RebuildOf, "verdict", string(run.Rebuilt.Verdict))
	return PhaseResult{Records: run.Rebuilt.Files, Bytes: run.Rebuilt.Bytes}, differs(*run.Rebuilt)
}

// differs is the failure of a rebuild that is not identical, nil for one that is.
func differs(r export.Rebuilt) error {
	where := ""
	if r.First != nil {
		where = ": " + r.First.String()
	}
	message := "other bytes came out" + where
	switch r.Verdict {
	case export.RebuildIdentical:
		return nil
	case export.RebuildEncoder:
		message = fmt.Sprintf("the same content came out, compressed by another encoder (%s; recorded is %s)%s", r.Now.Encoder, r.Recorded.Encoder, where)
	case export.RebuildVersion:
		message = fmt.Sprintf("the same payload came out, described by another version of the program (%s; recorded is %s)%s", r.Now.Version, r.Recorded.Version, where)
	}
	return export.Errorf(export.CodeRebuild, "%s", message)
}

// comparison compares a rebuild with what is there of the run that it builds again.
func (e *Export) comparison(ctx context.Context, claim storage.Claim, run export.Run) (export.Rebuilt, error) {
	of, err := e.original(ctx, run)
	if err != nil {
		return export.Rebuilt{}, err
	}
	if of.State == export.StateExpired {
		return e.compareDigests(ctx, claim, run, of)
	}
	recorded, err := e.Execution.BundleFiles(ctx, of.Ref())
	if err != nil {
		return export.Rebuilt{}, fmt.Errorf("list the bundle that is built again: %w", err)
	}
	again, err := e.Execution.BundleFiles(ctx, run.Ref())
	if err != nil {
		return export.Rebuilt{}, fmt.Errorf("list what was built: %w", err)
	}
	unsigned := func(f storage.File) bool { return !madeBySign(f.Path) && !isTUF(f) }
	report, err := e.compareFiles(ctx, run.Tenant, recorded, again, unsigned)
	report.NotCompared = notLayer(of)
	if err != nil || report.Verdict != export.RebuildIdentical {
		report.NotCompared = append(report.NotCompared, "signatures, checksums and seal: they follow from what differs")
		return report, err
	}
	if slices.ContainsFunc(recorded, isTUF) {
		report.NotCompared = append(report.NotCompared, notTUF)
		return report, nil
	}
	signed, _, why, err := e.signAgain(ctx, claim, run)
	switch {
	case err != nil:
		return report, err
	case why != "":
		report.NotCompared = append(report.NotCompared, "signatures and seal: "+why)
		return report, nil
	}
	report, err = e.compareFiles(ctx, run.Tenant, recorded, signed, func(storage.File) bool { return true })
	report.NotCompared = notLayer(of)
	return report, err
}

// notLayer says of a run whose bundle is offered encrypted which bytes nobody can make
// twice. The plain bundle within is compared as any other: its entries are the run's, and
// as long as it is offered the store keeps them.
func notLayer(of export.Run) []string {
	if of.Result.Encrypted == nil {
		return nil
	}
	return []string{"the layer of encryption: ciphertexts are random; what was compared is the plain bundle within"}
}

// isTUF reports whether a file is TUF metadata, which is signed with keys of its own and
// expires: it is no part of what follows from the evidence.
func isTUF(f storage.File) bool { return strings.HasPrefix(f.Path, bundle.TUFDir) }

const notTUF = "signatures, TUF metadata and seal: those of a mirror are verified, and not made again"

// compareDigests compares a rebuild with the recorded digests of a run whose bundle is gone.
func (e *Export) compareDigests(ctx context.Context, claim storage.Claim, run, of export.Run) (export.Rebuilt, error) {
	report := export.Rebuilt{Verdict: export.RebuildIdentical,
		NotCompared: append(notLayer(of), "the files themselves: the bundle is gone, and its recorded digests were compared")}
	again, err := e.Execution.BundleFiles(ctx, run.Ref())
	if err != nil {
		return report, fmt.Errorf("list what was built: %w", err)
	}
	for _, f := range again {
		report.Files++
		report.Bytes += f.Size
	}
	for _, d := range []struct{ path, recorded, again string }{
		{bundle.PayloadSubject, of.Result.PayloadDigest, run.Result.PayloadDigest},
		{bundle.ManifestPath, of.Result.ManifestDigest, run.Result.ManifestDigest},
	} {
		if d.recorded != d.again && report.First == nil {
			report.Verdict = export.RebuildDiffers
			report.First = &export.RebuildDifference{Path: d.path, What: "digest"}
		}
	}
	if report.First != nil {
		return report, nil
	}
	if export.IsFullMirror(of.Kind, of.Variant) {
		report.NotCompared = append(report.NotCompared, notTUF)
		return report, nil
	}
	_, archive, why, err := e.signAgain(ctx, claim, run)
	plain, _ := of.Result.Plain()
	switch {
	case err != nil:
		return report, err
	case why != "":
		report.NotCompared = append(report.NotCompared, "signatures and seal: "+why)
	case archive != plain:
		report.Verdict, report.First = export.RebuildDiffers, &export.RebuildDifference{Path: bundle.SealPath, What: "digest"}
	}
	return report, nil
}

func (e *Export) compareFiles(ctx context.Context, tenant string, recorded, again []storage.File, take func(storage.File) bool) (export.Rebuilt, error) {
	there, err := e.side(ctx, tenant, recorded, take)
	if err != nil {
		return export.Rebuilt{}, err
	}
	here, err := e.side(ctx, tenant, again, take)
	if err != nil {
		return export.Rebuilt{}, err
	}
	return rebuild.Compare(ctx, there, here)
}

// side is a list of files as a comparison reads it.
func (e *Export) side(ctx context.Context, tenant string, files []storage.File, take func(storage.File) bool) (side rebuild.Side, err error) {
	for _, f := range files {
		if f.Path == bundle.ManifestPath {
			if side.Manifest, err = e.get(ctx, tenant, f); err != nil {
				return side, err
			}
		}
		if !take(f) {
			continue
		}
		side.Entries = append(side.Entries, rebuild.Entry{Path: f.Path, Digest: f.Digest, Size: f.Size, ContentDigest: f.ContentDigest,
			Payload: f.Payload, Segment: f.Entries,
			Open: func(ctx context.Context) (io.ReadCloser, error) {
				blob, err := storage.OpenExact(ctx, e.Objects, tenant, f.Digest, f.Size)
				if err != nil {
					return nil, err
				}
				return blobReader{io.NewSectionReader(blob, 0, f.Size), blob}, nil
			}})
	}
	return side, nil
}

// blobReader reads a blob from its begin to its end.
type blobReader struct {
	io.Reader
	io.Closer
}

// signAgain signs what a rebuild built as the run was signed, and gives all entries and the
// archive's digest; or says why it cannot: only a key in a file gives the same signature again.
func (e *Export) signAgain(ctx context.Context, claim storage.Claim, run export.Run) (files []storage.File, archive, why string, err error) {
	s := &sealing{Export: e, claim: claim, run: run, again: true}
	if err := s.load(ctx); err != nil {
		return nil, "", "", err
	}
	if err := s.named(); err != nil {
		return nil, "", "this worker has another key than the bundle is signed with", nil //nolint:nilerr // it is the answer
	}
	if !signing.Repeats(e.Signer) {
		return nil, "", "the key service gives no signature twice", nil
	}
	for _, step := range s.steps() {
		if err := step(ctx); err != nil {
			e.takeBack(ctx, run.Tenant, digestsOf(s.added)...)
			return nil, "", "", err
		}
	}
	return s.files, s.result.ArchiveDigest, "", nil
}
