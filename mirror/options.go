package mirror

import (
	"io"
	"os"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

// Options say what is trusted, and how bundles are read.
type Options struct {
	Trust verify.Trust
	// Mirror is what is asked of mirrors besides: of the full one that a directory begins
	// with, of the one that deltas end at, and of what a directory holds.
	Mirror verify.MirrorPolicy
	// Say is told what is being done; nil tells nobody.
	Say func(format string, args ...any)

	// at and pack are for tests: what the disk does, and another encoder.
	at   func(effect string) error
	pack func(io.Writer) (packer, error)

	// passing is for a mirror that deltas only pass, on the way to a later one.
	passing bool
}

// verifying is how a mirror or a delta is verified. Of a mirror that is only passed
// neither the end of its metadata counts nor the root from outside, which may be newer
// than it: rootsFollow holds its roots, and where the site's is not among them it never
// becomes the directory's mirror.
func (o Options) verifying() []verify.Option {
	if !o.passing {
		return []verify.Option{verify.WithMirror(o.Mirror)}
	}
	policy := o.Mirror
	policy.Root = nil
	return []verify.Option{verify.WithMirror(policy), verify.WithoutMoment()}
}

// packer writes a payload file; bundle.PayloadWriter is one.
type packer interface {
	WriteLine(parts ...[]byte) error
	Close() (bundle.PayloadInfo, error)
}

func (o Options) packer(w io.Writer) (packer, error) {
	if o.pack != nil {
		return o.pack(w)
	}
	return bundle.NewPayloadWriter(w)
}

func (o Options) say(format string, args ...any) {
	if o.Say != nil {
		o.Say(format, args...)
	}
}

// openBundle opens the file of a bundle.
func openBundle(name string) (*os.File, int64, error) {
	file, info, err := verify.OpenRegular(name)
	if err != nil {
		return nil, 0, unopened(name, err)
	}
	return file, info.Size(), nil
}

// unopened says of a bundle that could not be opened whether it is there.
func unopened(name string, err error) error {
	if os.IsNotExist(err) {
		return refuse(ReasonMirror, "%s does not exist", name)
	}
	return refuse(ReasonOther, "%w", err)
}
