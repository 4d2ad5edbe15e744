package mirrordelta

import (
	"maps"
	"slices"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/delta"
)

// cut writes lines into files, cut and named as shards are.
type cut struct {
	*making
	name  func(key string, first bool) string
	open  adapters.Lines
	begun bool
}

// line writes a line; a file may begin with it, as its key and size say.
func (c *cut) line(key string, size int64, text []byte) error {
	if c.open == nil || bundle.CutBefore([]byte(key), size) {
		if err := c.close(nil); err != nil {
			return err
		}
		open, err := c.out.Lines(c.ctx, c.name(key, !c.begun))
		if err != nil {
			return err
		}
		c.open, c.begun = open, true
	}
	return c.open.WriteLine(text)
}

// close completes the last file, unless something failed: then it does not exist.
func (c *cut) close(failed error) error {
	if c.open == nil || failed != nil {
		return nil
	}
	err := c.open.Close()
	c.open = nil
	return err
}

// document writes a document's line as it is.
func (c *cut) document(line *delta.Line) error {
	key, err := line.Key()
	if err != nil {
		return err
	}
	size, err := line.Size()
	if err != nil {
		return err
	}
	return c.line(key.String(), size, line.Text)
}

// removal writes the tombstone of a document.
func (c *cut) removal(line *delta.Line) error {
	tombstone, err := delta.NewTombstone(line)
	if err != nil {
		return err
	}
	text, err := tombstone.Encode()
	if err != nil {
		return err
	}
	return c.line(tombstone.Key.String(), int64(len(text)), text)
}

// original writes the line of an original.
func (c *cut) original(o bundle.Original) error {
	text := o.Append(nil)
	return c.line(o.Path, int64(len(text)), text)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
