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
	// Verify changes how bundles are verified, never what is required of them.
	Verify []verify.Option
	// Say is told what is being done; nil tells nobody.
	Say func(format string, args ...any)

	// at and pack are for tests: what the disk does, and another encoder.
	at   func(effect string) error
	pack func(io.Writer) (packer, error)
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
