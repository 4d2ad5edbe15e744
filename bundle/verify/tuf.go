package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/tuf"
)

// MirrorPolicy is what is asked of a mirror beyond what it says of itself.
type MirrorPolicy struct {
	// Root is a root document from outside, any of the chain; nil: the mirror's roots are
	// compared with nothing, and the report says so.
	Root []byte
	// At is the moment at which the metadata must be good; zero: now, by Clock, or by the
	// machine's clock when that is nil.
	At    time.Time
	Clock clock.Clock
	// NewerThan refuses generations up to this one; 0: none.
	NewerThan int64
	// Only refuses a bundle that is no full mirror: something above was asked for, and
	// would not be looked at.
	Only bool
}

// WithMirror asks more of mirrors.
func WithMirror(p MirrorPolicy) Option { return func(v *verifier) { v.mirror = p } }

// WithoutMoment judges the metadata of a mirror by no moment: all but its expiry is
// checked. It is for mirrors that are only passed, on the way to a later one.
func WithoutMoment() Option { return func(v *verifier) { v.timeless = true } }

// TUF is what the metadata of a mirror says, when it holds.
type TUF struct {
	Generation int64 `json:"generation"`
	// Roots is the version of the last root, FirstRoot the digest of the first: what two
	// people can compare by telephone.
	Roots     int64         `json:"roots"`
	FirstRoot bundle.Digest `json:"firstRoot"`
	// TrustedRoot is the version of the root from outside that the chain passes through;
	// 0: there was none to compare with.
	TrustedRoot int64 `json:"trustedRoot"`
	// Expires is when the first of the documents ends, Ends which one.
	Expires string `json:"expires"`
	Ends    string `json:"ends"`
	// At is the moment that was judged by; AtNamed: the caller named it.
	At      string `json:"at"`
	AtNamed bool   `json:"atNamed,omitempty"`
}

// checkTUF follows the metadata of a full mirror from its roots to the files that the
// manifest lists. Whose the entries are is known: the seal covers them.
func (v *verifier) checkTUF(context.Context) *Failure {
	if v.manifest.Mirror == nil || v.manifest.Delta != nil {
		return v.noTUF()
	}
	set, failure := v.tufSet()
	if failure != nil {
		return failure
	}
	generation := v.manifest.Mirror.Generation
	found, err := tuf.Verify(set, generation, v.tufFiles())
	if err != nil {
		return tufFailure(err)
	}
	if failure := v.tufKeys(found); failure != nil {
		return failure
	}
	ends, at := found.Ends()
	v.report.TUF = &TUF{Generation: generation, Roots: found.Chain.Last().Version, FirstRoot: bundle.DigestOf(found.Chain[0].Raw),
		Expires: bundle.Stamp(at), Ends: ends}
	v.passed("TUF metadata", bundle.TUFTimestampPath)
	if failure := v.trustedRoot(found.Chain); failure != nil {
		return failure
	}
	return v.current(found)
}

// noTUF is for bundles without generations.
func (v *verifier) noTUF() *Failure {
	for _, e := range v.entries {
		if bundle.IsTUF(e.path) {
			return fail(ClassContent, ReasonUnlisted, e.path, "is in the archive, but only full mirrors have TUF metadata")
		}
	}
	if p := v.manifest.Profile; v.mirror.Only {
		return fail(ClassOther, ReasonNoMirror, "", "a bundle of profile %s:%s has no TUF metadata and no generation; a full mirror has", p.Kind, p.Variant)
	}
	return nil
}

// tufSet reads the metadata.
func (v *verifier) tufSet() (set tuf.Set, failure *Failure) {
	read := func(path string) (text []byte) {
		if failure != nil {
			return nil
		}
		if _, there := v.byPath[path]; !there {
			failure = fail(ClassAbsent, ReasonMissing, path, "is not in the archive, but a mirror has it")
			return nil
		}
		text, failure = v.document(path)
		if failure == nil && v.listed[path] != bundle.DigestOf(text) {
			failure = fail(ClassContent, ReasonDigest, path, "changed while the archive was read")
		}
		return text
	}
	last := int64(1)
	for _, e := range v.entries {
		last = max(last, bundle.TUFRootVersion(e.path))
	}
	for version := int64(1); version <= last; version++ {
		set.Roots = append(set.Roots, read(bundle.TUFRootPathOf(version)))
	}
	set.Root, set.Targets = read(bundle.TUFRootPath), read(bundle.TUFTargetsPath)
	set.Snapshot, set.Timestamp = read(bundle.TUFSnapshotPath), read(bundle.TUFTimestampPath)
	return set, failure
}

// tufFiles are the targets that a mirror must have: what its manifest lists, and the
// two documents that say so.
func (v *verifier) tufFiles() []tuf.File {
	files := tuf.FilesOf(v.manifest.Contents)
	for _, path := range []string{bundle.ManifestPath, bundle.ProvenancePath} {
		text := v.documents[path]
		files = append(files, tuf.File{Path: path, Digest: bundle.DigestOf(text), Bytes: int64(len(text))})
	}
	return files
}

// tufKeys requires that the metadata is signed by keys the manifest names, as every
// signature is.
func (v *verifier) tufKeys(found tuf.Verified) *Failure {
	listed := map[string]bool{}
	for _, key := range v.manifest.Keys {
		listed[key.KeyID] = true
	}
	for _, of := range found.Signers() {
		if !listed[of.KeyID] {
			return fail(ClassSignature, ReasonKeyNotListed, of.Path, "is by the key %s, which the manifest does not list", of.KeyID)
		}
	}
	return nil
}

// trustedRoot holds the chain against the root from outside, if there is one.
func (v *verifier) trustedRoot(chain tuf.Chain) *Failure {
	if v.mirror.Root == nil {
		return nil
	}
	version, err := chain.From(v.mirror.Root)
	if errors.Is(err, tuf.ErrForm) {
		return fail(ClassSignature, ReasonTUFRoot, "", "%v", err)
	}
	if err != nil {
		return tufFailure(err)
	}
	v.report.TUF.TrustedRoot = version
	v.passed("trusted TUF root", bundle.TUFRootPathOf(version))
	return nil
}

// current refuses what is old: an older generation than the caller has, and metadata
// whose time is over.
func (v *verifier) current(found tuf.Verified) *Failure {
	if g := v.report.TUF.Generation; g <= v.mirror.NewerThan {
		return fail(ClassContent, ReasonRollback, bundle.ManifestPath, "is of generation %d; one after %d was asked for", g, v.mirror.NewerThan)
	}
	if v.timeless {
		return nil
	}
	at := v.mirror.At
	if at.IsZero() {
		now := clock.System
		if v.mirror.Clock != nil {
			now = v.mirror.Clock
		}
		at = now()
	}
	v.report.TUF.At, v.report.TUF.AtNamed = bundle.Stamp(at), !v.mirror.At.IsZero()
	if err := found.Expired(at); err != nil {
		failure := tufFailure(err)
		failure.Message = fmt.Sprintf("its TUF metadata is no good at %s: %s. Get a newer mirror; "+
			"to judge by the moment at which this one was used, name that moment (stella verify --at TIME)", v.report.TUF.At, failure.Message)
		return failure
	}
	v.passed("TUF metadata is current", bundle.TUFTimestampPath)
	return nil
}

// tufFailure turns an error of package tuf into a failure; what it names first is the
// entry at fault.
func tufFailure(err error) *Failure {
	class, reason := ClassContent, ReasonTUF
	switch {
	case errors.Is(err, tuf.ErrSignature):
		class, reason = ClassSignature, ReasonTUFSignature
	case errors.Is(err, tuf.ErrRoot):
		class, reason = ClassSignature, ReasonTUFRoot
	case errors.Is(err, tuf.ErrExpired):
		class, reason = ClassSignature, ReasonExpired
	}
	var of *tuf.Fault
	if !errors.As(err, &of) {
		return fail(class, reason, "", "%v", err)
	}
	return fail(class, reason, of.Path, "%v", of.Err)
}
