package verify

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"

	"github.com/stella-ops/exportcenter/bundle"
)

// originals is where the originals of a mirror are: they follow each other.
type originals struct {
	from, to int64
	count    int64
}

func (o *originals) add(e entry) {
	if o.count == 0 {
		o.from = e.at
	}
	o.to, o.count = e.end(), o.count+1
}

// maxListLine is more than a line of an index of originals takes.
const maxListLine = 1 << 10

// checkOriginals holds the originals in the archive against the lists of them, which
// are payload files and known to be as they were signed. Both are in archive order, so
// one entry and one line are looked at at a time.
func (v *verifier) checkOriginals(ctx context.Context) *Failure {
	lists := slices.DeleteFunc(slices.Clone(v.manifest.Contents), func(c bundle.Content) bool { return !bundle.IsOriginalsIndex(c.Path) })
	slices.SortFunc(lists, func(a, b bundle.Content) int { return a.Order - b.Order })
	found, at := bundle.Originals{}, v.originals.from
	v.known = known{}
	for _, c := range lists {
		failure := v.eachListed(ctx, c, func(o bundle.Original) *Failure {
			if at >= v.originals.to {
				return fail(ClassAbsent, ReasonMissing, o.Path, "%s lists it, the archive does not have it", c.Path)
			}
			e, failure := v.original(ctx, at, o, c.Path)
			if v.wantsOriginals() && failure == nil {
				v.known.add(o.Path)
			}
			found.Count, found.Bytes = found.Count+1, found.Bytes+e.size
			at = e.end()
			return failure
		})
		if failure != nil {
			return failure
		}
	}
	if at < v.originals.to {
		e, _, failure := v.header(at)
		if failure != nil {
			return failure
		}
		return fail(ClassContent, ReasonUnlisted, e.path, "is in the archive, but no index lists it")
	}
	if v.manifest.Mirror == nil {
		return nil
	}
	if said := v.manifest.Mirror.Originals; said != found {
		return fail(ClassContent, ReasonManifest, bundle.ManifestPath, "mirror.originals: %d of %d bytes, the archive has %d of %d", said.Count, said.Bytes, found.Count, found.Bytes)
	}
	v.report.Originals = found.Count
	v.passed("originals", "")
	return nil
}

// wantsOriginals is whether each document's original is looked for. A delta leaves out
// what its base has.
func (v *verifier) wantsOriginals() bool {
	return v.evidence && v.manifest.Mirror != nil && v.manifest.Delta == nil
}

// known are the originals of a mirror: by kind their digests, in order. They are held in
// memory while lines are read, 32 bytes each.
type known map[string][]bundle.Digest

// add takes a path that was checked, behind all before it.
func (k known) add(path string) {
	kind, digest, err := bundle.ParseOriginalPath(path)
	if err == nil {
		k[kind] = append(k[kind], digest)
	}
}

// has tells whether the original of a document is there.
func (k known) has(kind string, digest bundle.Digest) bool {
	_, found := slices.BinarySearchFunc(k[kind], digest, func(a, b bundle.Digest) int { return bytes.Compare(a[:], b[:]) })
	return found
}

// original checks the entry at at, which is to be the listed one.
func (v *verifier) original(ctx context.Context, at int64, listed bundle.Original, list string) (entry, *Failure) {
	e, _, failure := v.header(at)
	if failure != nil {
		return e, failure
	}
	switch {
	case e.path < listed.Path:
		return e, fail(ClassContent, ReasonUnlisted, e.path, "is in the archive, but no index lists it")
	case e.path > listed.Path:
		return e, fail(ClassAbsent, ReasonMissing, listed.Path, "%s lists it, the archive does not have it", list)
	case e.size != listed.Bytes:
		return e, fail(ClassContent, ReasonPayloadSize, e.path, "has %d bytes, %s says %d", e.size, list, listed.Bytes)
	}
	_, want, err := bundle.ParseOriginalPath(e.path)
	if err != nil {
		return e, fail(ClassContent, ReasonUnknown, e.path, "%v", err)
	}
	h := sha256.New()
	if failure := v.stream(ctx, e.body(), e.body()+e.size, h); failure != nil {
		return e, failure
	}
	if got := bundle.Digest(h.Sum(nil)); got != want {
		return e, fail(ClassContent, ReasonDigest, e.path, "its content has the digest %s, which is not its name", got)
	}
	return e, nil
}

// eachListed calls do with every line of a list of originals. It hashes what it reads:
// the file may have changed since the step before.
func (v *verifier) eachListed(ctx context.Context, c bundle.Content, do func(bundle.Original) *Failure) *Failure {
	e := v.entries[v.byPath[c.Path]]
	h := sha256.New()
	content, err := bundle.OpenPayload(io.TeeReader(interruptible{ctx, io.NewSectionReader(v.archive, e.body(), e.size)}, h))
	if err != nil {
		return fail(ClassContent, ReasonFrame, c.Path, "%v", err)
	}
	defer content.Close()
	lines := bufio.NewScanner(content)
	lines.Split(bundle.SplitLines)
	lines.Buffer(make([]byte, 0, maxListLine), maxListLine)
	last := ""
	for lines.Scan() {
		o, err := bundle.ParseOriginal(lines.Bytes())
		if err == nil && o.Path <= last {
			err = errors.New(o.Path + " does not come after " + last)
		}
		if err != nil {
			return fail(ClassContent, ReasonEvidence, c.Path, "%v", err)
		}
		last = o.Path
		if failure := do(o); failure != nil {
			return failure
		}
	}
	switch {
	case ctx.Err() != nil:
		return fail(ClassOther, ReasonInterrupted, "", "interrupted: %v", ctx.Err())
	case lines.Err() != nil:
		return fail(ClassContent, ReasonEvidence, c.Path, "%v", lines.Err())
	case bundle.Digest(h.Sum(nil)) != v.stored(c):
		return fail(ClassContent, ReasonPayloadDigest, c.Path, "changed while the archive was read")
	}
	return nil
}

// checkDelta holds the manifest's word on a delta against the payload file that says
// it, whose bytes are known to be those that were signed.
func (v *verifier) checkDelta(context.Context) *Failure {
	if v.manifest.Delta == nil {
		return nil
	}
	text, failure := v.document(bundle.DeltaPath)
	if failure != nil {
		return failure
	}
	if v.listed[bundle.DeltaPath] != bundle.DigestOf(text) {
		return fail(ClassContent, ReasonPayloadDigest, bundle.DeltaPath, "changed while the archive was read")
	}
	said, err := bundle.DeltaOf(text)
	if err != nil {
		return fail(ClassContent, ReasonManifest, bundle.DeltaPath, "%v", err)
	}
	if said != *v.manifest.Delta {
		return fail(ClassContent, ReasonManifest, bundle.DeltaPath, "says other than the manifest's delta member")
	}
	v.passed("delta", bundle.DeltaPath)
	return nil
}
