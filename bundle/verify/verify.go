// Package verify opens a bundle offline and answers with a report that says
// what was checked, against which key, and what failed.
//
// Trust comes from the caller, never from the bundle. A bundle is verified only
// when every step below ended without a failure, and that is decided in one
// place; a parse error, a missing entry, a panic or an interruption is a failure.
//
// An encrypted bundle is verified without its keys as far as that goes, which has a
// status of its own (StatusUnopened), and with one of them to the end: encrypted.go says
// how. A plain bundle has these steps:
//
//	walk        every tar header in its one form, in order, exact trailer
//	require     the entries every bundle has
//	signatures  manifest, provenance and seal, by keys the caller trusts
//	manifest    every field; the payload files in the archive are those it lists
//	provenance  the statement is about this manifest and payload
//	checksums   exactly the entries of the archive
//	approvals   what let the bundle have evidence of other tenants
//	contents    digests of all entries; content, length and records of payload files
//	originals   of mirrors: exactly those that the indexes list, each what its name says
//	seal        digest and length of all bytes before it
//	pages       where the seal cannot be compared: VERIFY.md follows from the manifest
//	tuf         of mirrors: the metadata, from its first root to the files it lists
//	policy      what the manifest says of decisions is what the policy snapshot says
//	delta       what the manifest says of a delta is what its payload says
//	evidence    when it is wanted: the lines, and what can be proved of them
//
// Nothing of a signed document is believed before its signature was checked.
// Payload files are streamed, so memory does not grow with the bundle.
package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/sealed"
	"github.com/stella-ops/exportcenter/signing"
)

// Limits bound what a bundle may make the verifier hold in memory.
type Limits struct {
	// Document is the most bytes of an entry that is read as a whole.
	Document int64
	// Entries is the most entries an archive may have.
	Entries int
}

// DefaultLimits allow about 30,000 payload files (30 GB of documents).
func DefaultLimits() Limits {
	return Limits{Document: signing.MaxEnvelope, Entries: 100_000}
}

// Option changes how a bundle is verified, never what is required of it.
type Option func(*verifier)

// WithLimits sets other limits.
func WithLimits(l Limits) Option { return func(v *verifier) { v.limits = l } }

// WithWorkers sets how many payload files are read at once; each takes about
// 10 MiB.
func WithWorkers(n int) Option { return func(v *verifier) { v.workers = max(1, n) } }

// WithSteps calls do before each step: a program can show how far it is, and a
// test can break a step. It is given the context of the verification; what it
// does cannot make a bundle verified that is not.
func WithSteps(do func(ctx context.Context, step string)) Option {
	return func(v *verifier) { v.before = do }
}

// maxWorkers keeps the default within the memory promised for small bundles.
const maxWorkers = 4

// File verifies the bundle in a file. The error is nil only when every check that was
// made ended well; otherwise it is an *Error, and the report says how far things went.
// Its Status says whether that was all there is to check: an encrypted bundle for which
// no key was given is StatusUnopened, unless WithOpened asks for more.
func File(ctx context.Context, path string, trust Trust, options ...Option) (Report, error) {
	file, info, err := OpenRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return failed(newReport(), fail(ClassAbsent, ReasonUnreadable, "", "%s does not exist", path))
	}
	if err != nil {
		return failed(newReport(), fail(ClassOther, ReasonUnreadable, "", "%v", err))
	}
	defer file.Close()
	return Reader(ctx, file, info.Size(), trust, options...)
}

// Reader verifies the bundle in the first size bytes of r, which must not
// change meanwhile. Errors are as of File.
func Reader(ctx context.Context, r io.ReaderAt, size int64, trust Trust, options ...Option) (Report, error) {
	return newVerifier(r, size, trust, options).verify(ctx)
}

func newVerifier(r io.ReaderAt, size int64, trust Trust, options []Option) *verifier {
	v := &verifier{
		archive: r, size: size, trust: trust,
		limits: DefaultLimits(), workers: min(runtime.GOMAXPROCS(0), maxWorkers),
		report: newReport(),
	}
	for _, option := range options {
		option(v)
	}
	return v
}

func (v *verifier) verify(ctx context.Context) (Report, error) {
	failure := v.run(ctx)
	if failure == nil {
		failure = v.settled()
	}
	if failure != nil {
		return failed(v.report, failure)
	}
	v.report.Status = v.status() // the only place
	return v.report, nil
}

// status is the word for a bundle in which nothing failed: verified is one of which
// every file was read, and is as it was signed.
func (v *verifier) status() string {
	switch {
	case v.isEncrypted() && (v.report.Encryption == nil || !v.report.Encryption.Opened):
		return StatusUnopened
	case v.report.Repacked > 0:
		return StatusSameContent
	}
	return StatusVerified
}

// OpenRegular opens a regular file. It looks first: opening a pipe would wait
// for somebody who writes to it.
func OpenRegular(path string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	if info, err = file.Stat(); err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, info, nil
}

func newReport() Report {
	return Report{Status: StatusFailed, Checks: []Check{}, Signatures: []Signature{}}
}

func failed(r Report, failure *Failure) (Report, error) {
	r.Status, r.Failure = StatusFailed, failure
	return r, &Error{Failure: *failure}
}

type verifier struct {
	archive   io.ReaderAt
	size      int64
	trust     Trust
	limits    Limits
	workers   int
	approvers Trust // nil: the signatures of approvals are not looked at
	keys      sealed.Keys
	mustOpen  bool // an encrypted bundle is not to be left unopened
	// within is set of the verifier of an opened bundle.
	within bool
	mirror MirrorPolicy
	// timeless lets a mirror's metadata be expired.
	timeless bool
	// evidence is whether to read lines too.
	evidence bool
	// before is called before each step.
	before func(ctx context.Context, step string)
	// step is the one at work, for messages; taken is how many ended well.
	step  string
	taken int

	entries   []entry // all but originals
	byPath    map[string]int
	lastPath  string // of the walk
	originals originals
	known     known // originals, of a mirror whose evidence is read
	documents map[string][]byte
	manifest  bundle.Manifest
	seal      bundle.Seal
	listed    map[string]bundle.Digest // by checksums.txt
	prefix    bundle.Digest            // of the bytes before the seal's header
	// Of an encrypted bundle: what says how, the seal around it, and the suffix that
	// its originals have.
	encryption bundle.Encryption
	outerSeal  bundle.Seal
	suffix     string
	report     Report
	// repack lets files of lines be packed by another encoder; repacked are those that are.
	repack   bool
	repacked map[string]bundle.Digest
}

type step struct {
	name string
	do   func(context.Context) *Failure
}

// steps are known once the archive was walked: an encrypted bundle has others.
func (v *verifier) steps() []step {
	if v.isEncrypted() {
		return v.encryptedSteps()
	}
	return []step{
		{"walk", v.walk},
		{"require", v.require},
		{"signatures", v.signatures},
		{"manifest", v.checkManifest},
		{"provenance", v.checkProvenance},
		{"checksums", v.checkChecksums},
		{"approvals", v.checkApprovals},
		{"contents", v.checkContents},
		{"originals", v.checkOriginals},
		{"seal", v.checkSeal},
		{"pages", v.checkPages},
		{"tuf", v.checkTUF},
		{"policy", v.checkPolicy},
		{"delta", v.checkDelta},
		{"evidence", v.checkEvidence},
	}
}

// run takes every step until one fails. A panic is a failure.
func (v *verifier) run(ctx context.Context) (failure *Failure) {
	defer func() {
		if p := recover(); p != nil {
			failure = v.panicked("", p)
		}
	}()
	if len(v.trust) == 0 {
		return fail(ClassAbsent, ReasonNoKey, "", "no trusted key was given, so nothing can be verified")
	}
	for i := 0; i < len(v.steps()); i++ {
		s := v.steps()[i]
		if err := ctx.Err(); err != nil {
			return fail(ClassOther, ReasonInterrupted, "", "interrupted before step %s: %v", s.name, err)
		}
		if v.step = s.name; v.before != nil {
			v.before(ctx, s.name)
		}
		if failure := s.do(ctx); failure != nil {
			return failure
		}
		v.taken++
	}
	return nil
}

// signaturesRequired: two of the manifest, two of the provenance, the seal.
const signaturesRequired = 5

// settled makes sure that the report says what a success means. It can only
// fail when a step above is at fault.
func (v *verifier) settled() *Failure {
	good := 0
	for _, s := range v.report.Signatures {
		if s.OK && s.KeyID != "" {
			good++
		}
	}
	bad := 0
	for _, c := range v.report.Checks {
		if !c.OK {
			bad++
		}
	}
	steps := len(v.steps())
	required := signaturesRequired
	if v.isEncrypted() {
		required += 2 // of manifests/encryption.json, and the seal around it
	}
	if v.taken != steps || good != required || bad > 0 || v.report.ArchiveDigest == "" {
		return fail(ClassOther, ReasonInternal, "", "%d of %d steps were taken, %d of %d signatures are good and %d checks failed",
			v.taken, steps, good, required, bad)
	}
	return nil
}

// panicked names the step and, of a worker, the entry a panic happened at.
func (v *verifier) panicked(path string, p any) *Failure {
	return fail(ClassOther, ReasonInternal, path, "the verifier itself failed in step %s: %.300q", v.step, fmt.Sprint(p))
}
