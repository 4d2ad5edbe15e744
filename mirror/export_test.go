package mirror

import "io"

// Packer is what packs files, for tests that bring another encoder.
type Packer = packer

// EachBelow is what settles a tree where no one call does.
var EachBelow = eachBelow

// EnterWhile takes the lock of a directory, after something happened between its file
// being opened and locked, and does something while it is held.
func EnterWhile(dir string, between, while func()) error {
	happens := between
	beforeLock = func() {
		if happens != nil {
			happens()
			happens = nil
		}
	}
	p, err := enter(dir, true, Options{})
	beforeLock = nil
	if err != nil {
		return err
	}
	while()
	return p.leave()
}

// Disturbed lets each effect on the disk be prevented.
func (o Options) Disturbed(at func(effect string) error) Options {
	o.at = at
	return o
}

// Packed packs files by another encoder.
func (o Options) Packed(pack func(io.Writer) (Packer, error)) Options {
	o.pack = pack
	return o
}
