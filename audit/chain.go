package audit

import (
	"errors"
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
)

// Link is a place in a chain: the number and the hash of an entry. The zero
// value is the place before the first.
type Link struct {
	Seq  int64
	Hash bundle.Digest
}

// Next numbers e as the entry behind l and gives its line and its place.
func (l Link) Next(e Entry) (line []byte, next Link, err error) {
	e.Schema, e.Seq, e.Previous = EntrySchema, l.Seq+1, l.Hash
	if l.Seq == 0 {
		e.Previous = Genesis(e.Tenant)
	}
	if line, err = e.Encode(); err != nil {
		return nil, l, err
	}
	return line, Link{Seq: e.Seq, Hash: Hash(line)}, nil
}

// ErrBroken: a chain is not what its checkpoints say.
var ErrBroken = errors.New("the chain is broken")

// Chain follows entries and holds each against the one before it.
type Chain struct {
	tenant string
	first  int64
	at     Link
}

// NewChain follows the chain of a tenant; "" is that of the first entry.
func NewChain(tenant string) *Chain { return &Chain{tenant: tenant} }

// First is the number of the first entry that was followed, 0 before it.
func (c *Chain) First() int64 { return c.first }

// At is the place of the last entry.
func (c *Chain) At() Link { return c.at }

// Tenant is whose chain it is.
func (c *Chain) Tenant() string { return c.tenant }

// Follow takes the next line. Where a chain begins is believed for now: the
// checkpoint at its end proves every line back to there.
func (c *Chain) Follow(line []byte) (Entry, error) {
	e, err := Decode(line)
	if err != nil {
		return e, fmt.Errorf("%w: the line after entry %d: %w", ErrBroken, c.at.Seq, err)
	}
	switch {
	case c.tenant != "" && e.Tenant != c.tenant:
		return e, fmt.Errorf("%w: entry %d is of tenant %s, those before of %s", ErrBroken, e.Seq, e.Tenant, c.tenant)
	case c.at.Seq != 0 && e.Seq != c.at.Seq+1:
		return e, fmt.Errorf("%w: entry %d follows %d: entries are missing or in another order", ErrBroken, e.Seq, c.at.Seq)
	case c.at.Seq != 0 && e.Previous != c.at.Hash:
		return e, fmt.Errorf("%w: entry %d was changed, or %d was: %d names %s as the one before it, which is %s",
			ErrBroken, c.at.Seq, e.Seq, e.Seq, e.Previous, c.at.Hash)
	case e.Seq == 1 && e.Previous != Genesis(e.Tenant):
		return e, fmt.Errorf("%w: entry 1 names %s as the one before it, want %s", ErrBroken, e.Previous, Genesis(e.Tenant))
	}
	if c.first == 0 {
		c.first = e.Seq
	}
	c.tenant, c.at = e.Tenant, Link{Seq: e.Seq, Hash: Hash(line)}
	return e, nil
}
