package verify

import "github.com/stella-ops/exportcenter/bundle"

// WithRepacked takes files of lines that another encoder has packed, when their lines
// are the signed ones: whoever applies a delta to a mirror packs shards again. It is
// for directories of mirrors only. What then cannot be compared is the seal, which is
// over the bytes that were signed; its signature is checked all the same, and so is
// every digest of content. The report says StatusSameContent and how many files differ.
func WithRepacked() Option { return func(v *verifier) { v.repack = true } }

// mayDiffer reports whether the stored bytes of a payload file may be other ones.
func (v *verifier) mayDiffer(c bundle.Content) bool {
	return v.repack && c.Form() == bundle.FormLines
}

// differs notes that they are.
func (v *verifier) differs(c bundle.Content, stored bundle.Digest) {
	if v.repacked == nil {
		v.repacked = map[string]bundle.Digest{}
	}
	v.repacked[c.Path] = stored
	v.report.Repacked++
}

// stored is the digest that a payload file's bytes were seen to have.
func (v *verifier) stored(c bundle.Content) bundle.Digest {
	if other, differs := v.repacked[c.Path]; differs {
		return other
	}
	return c.Digest
}
