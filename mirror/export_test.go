package mirror

import "io"

// Packer is what packs files, for tests that bring another encoder.
type Packer = packer

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
