package verify

import (
	"bytes"
	"context"

	"github.com/stella-ops/exportcenter/bundle"
)

// WithRepacked takes files of lines that another encoder has packed, when their lines
// are the signed ones: whoever applies a delta to a mirror packs shards again. It is
// for directories of mirrors only. What then cannot be compared is the seal, which is
// over the bytes that were signed; its signature is checked all the same, and so is
// every digest of content. VERIFY.md must be what this program writes for the manifest:
// nothing signed tells README.md, so it is not verified. The report says
// StatusSameContent and how many files differ.
func WithRepacked() Option { return func(v *verifier) { v.repack = true } }

// mayDiffer reports whether the stored bytes of a payload file may be other ones.
func (v *verifier) mayDiffer(c bundle.Content) bool {
	return v.repack && c.Form() == bundle.FormLines
}

// differs notes that they are. checksums.txt has the digest that was signed.
func (v *verifier) differs(c bundle.Content, stored bundle.Digest) *Failure {
	if failure := v.compare("checksum", c.Path, c.Digest, v.listed[c.Path], ClassContent, ReasonDigest); failure != nil {
		return failure
	}
	if v.repacked == nil {
		v.repacked = map[string]bundle.Digest{}
	}
	v.repacked[c.Path] = stored
	v.report.Repacked++
	return nil
}

// checkPages holds VERIFY.md against what the manifest makes of it, where no seal does.
func (v *verifier) checkPages(context.Context) *Failure {
	if v.report.Repacked == 0 {
		return nil
	}
	text, failure := v.document(bundle.GuidePath)
	if failure != nil {
		return failure
	}
	if v.listed[bundle.GuidePath] != bundle.DigestOf(text) {
		return fail(ClassContent, ReasonDigest, bundle.GuidePath, "changed while the archive was read")
	}
	if !bytes.Equal(text, bundle.VerifyGuide(v.manifest)) {
		return fail(ClassContent, ReasonSealMismatch, bundle.GuidePath, "is not what this program writes for the manifest, and the seal cannot be compared: "+
			"it was changed, or another version wrote it; begin with a new full mirror, or use the producer's version")
	}
	v.passed("guide", bundle.GuidePath)
	return nil
}

// stored is the digest that a payload file's bytes were seen to have.
func (v *verifier) stored(c bundle.Content) bundle.Digest {
	if other, differs := v.repacked[c.Path]; differs {
		return other
	}
	return c.Digest
}
