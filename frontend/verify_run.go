package frontend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

const (
	// verifiesAtOnce bounds the bundles that a process verifies at once; each reads
	// with verifyWorkers and takes about 10 MiB for each, and its documents.
	verifiesAtOnce = 2
	verifyWorkers  = 2
	// verifyPatience bounds a verification.
	verifyPatience = 10 * time.Minute
)

// VerifyRun verifies the stored bundle of a run as "stella verify" verifies a
// download: every byte of it, by the keys that this installation's configuration
// trusts, and approvals by those of its approvers.
func (h handlers) VerifyRun(ctx context.Context, req VerifyRunRequestObject) (VerifyRunResponseObject, error) {
	run, err := h.finishedInTime(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	if len(h.cfg.Trust) == 0 {
		return nil, export.Errorf(export.CodeUnavailable, "this installation trusts no key: name a directory of public keys in its configuration (verify.trust)")
	}
	done, err := h.verifies.enter(ctx, run.Tenant)
	if err != nil {
		return nil, err
	}
	defer done()
	ctx, cancel := context.WithTimeout(ctx, verifyPatience)
	defer cancel()
	archive, err := h.openStored(ctx, run)
	if err != nil {
		return nil, err
	}
	options := []verify.Option{verify.WithWorkers(verifyWorkers), verify.WithMirror(verify.MirrorPolicy{Root: h.cfg.TUFRoot, Clock: h.cfg.Clock})}
	if approvers := h.cfg.CrossTenant.Approvers; len(approvers) > 0 {
		options = append(options, verify.WithApprovers(approvers))
	}
	if req.Params.Evidence != nil && *req.Params.Evidence {
		options = append(options, verify.WithEvidence())
	}
	report, _ := verify.Reader(ctx, archive, archive.Size(), h.cfg.Trust, options...)
	if ctx.Err() != nil {
		return nil, ctx.Err() // interrupted: that says nothing about the bundle
	}
	return verifyResponse{h.judged(ctx, run, report, archive)}, nil
}

// judged adds what only the store knows: that a file's bytes are not there, and
// that the bundle is another run's.
func (s *Server) judged(ctx context.Context, run export.Run, report verify.Report, archive *storedArchive) verify.Report {
	fail := func(f verify.Failure) {
		report.Status, report.Failure = verify.StatusFailed, &f
	}
	if lost := archive.failure(); lost != nil && report.Status == verify.StatusFailed {
		fail(*lost)
	}
	if report.Status != verify.StatusFailed &&
		(report.RunID != run.ID || report.Tenant != run.Tenant || report.ArchiveDigest != run.Result.ArchiveDigest) {
		fail(verify.Failure{Class: verify.ClassContent, Reason: verify.ReasonSealMismatch,
			Message: fmt.Sprintf("the bundle is good, and is not the one of this run: it has the digest %s, the run %s", report.ArchiveDigest, run.Result.ArchiveDigest)})
	}
	if f := report.Failure; f != nil && f.Class != verify.ClassSignature {
		s.countCorrupt(ctx, run, fmt.Errorf("verification: %s: %s", f.Path, f.Message))
	}
	return report
}

// verifyResponse is the report, in the form in which stella prints it.
type verifyResponse struct{ report verify.Report }

// VisitVerifyRunResponse writes the report. The verification may have taken longer
// than the connection had for its answer.
func (v verifyResponse) VisitVerifyRunResponse(w http.ResponseWriter) error {
	text, err := json.Marshal(v.report)
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	out := newPatientWriter(w)
	out.WriteHeader(http.StatusOK)
	_, _ = out.Write(append(text, '\n')) // a client that is gone needs no report
	return nil
}

// storedArchive is the stored bundle of a run for the verifier, which hashes what it
// reads. It remembers the first file whose bytes could not be had.
type storedArchive struct {
	*bundle.View
	mu   sync.Mutex
	lost *verify.Failure
}

func (s *Server) openStored(ctx context.Context, run export.Run) (*storedArchive, error) {
	outline, err := s.outlines.of(ctx, run)
	if err != nil {
		return nil, err
	}
	archive := &storedArchive{}
	archive.View = outline.View(func(m bundle.Member) (bundle.Source, error) {
		blob, err := storage.OpenExact(ctx, s.cfg.Objects, run.Tenant, m.Digest, m.Size)
		if err != nil {
			return nil, archive.note(ctx, m, err)
		}
		return storedMember{archive, ctx, m, blob}, nil
	})
	return archive, nil
}

// storedMember is a file of the archive.
type storedMember struct {
	archive *storedArchive
	ctx     context.Context
	member  bundle.Member
	storage.Blob
}

// ReadAt implements io.ReaderAt.
func (s storedMember) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.Blob.ReadAt(p, off)
	if n < len(p) {
		if err == nil || errors.Is(err, io.EOF) {
			err = storage.ErrCorrupt
		}
		return n, s.archive.note(s.ctx, s.member, err)
	}
	return n, nil
}

// note remembers the first file that cannot be read, in words that say nothing of
// where bytes are stored.
func (a *storedArchive) note(ctx context.Context, m bundle.Member, err error) error {
	f := verify.Failure{Class: verify.ClassOther, Reason: verify.ReasonUnreadable, Path: m.Path, Message: "its stored bytes cannot be read"}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, storage.ErrNotFound):
		f.Class, f.Reason, f.Message = verify.ClassAbsent, verify.ReasonMissing, "its stored bytes are not there"
	case errors.Is(err, storage.ErrCorrupt):
		f.Class, f.Reason, f.Message = verify.ClassContent, verify.ReasonDigest, fmt.Sprintf("its stored bytes are not the %d bytes of %s", m.Size, m.Digest)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lost == nil {
		a.lost = &f
	}
	return errors.New(m.Path + ": " + f.Message)
}

func (a *storedArchive) failure() *verify.Failure {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lost
}

// verifyGate lets so many verify at once, and one of each tenant.
type verifyGate struct {
	places chan struct{}
	mu     sync.Mutex
	busy   map[string]bool
}

func newVerifyGate() *verifyGate {
	return &verifyGate{places: make(chan struct{}, verifiesAtOnce), busy: map[string]bool{}}
}

// enter waits for a place, for as long as a request may take.
func (g *verifyGate) enter(ctx context.Context, tenant string) (done func(), err error) {
	g.mu.Lock()
	busy := g.busy[tenant]
	g.busy[tenant] = true
	g.mu.Unlock()
	if busy {
		return nil, &export.Error{Code: export.CodeQuota, Class: export.ClassQuota, Err: &storage.QueueFull{Limit: 1},
			Message: "a bundle of this tenant is being verified; ask again when that is done"}
	}
	leave := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.busy, tenant)
	}
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	select {
	case g.places <- struct{}{}:
		return func() {
			<-g.places
			leave()
		}, nil
	case <-ctx.Done():
		leave()
		return nil, export.Errorf(export.CodeUnavailable, "other bundles are being verified; try again")
	}
}
