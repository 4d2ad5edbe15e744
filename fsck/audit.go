package fsck

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/storage"
)

// signedWithin is how long an entry may wait for its checkpoint besides the patience:
// they are signed every few seconds, also in an installation at rest.
const signedWithin = time.Minute

// chain: an audit record counts from 1 without a gap, its head is its end, and what
// was signed is what is there. Signatures are for verifiers: fsck trusts nobody's key.
func (l *look) chain(ctx context.Context, chain string) error {
	c, err := l.Records.ChainRecord(ctx, chain)
	if err != nil {
		return err
	}
	of := Divergence{Tenant: chain}
	gap := c.Count != c.Head.Seq || c.Last != c.Head.Seq || c.Count > 0 && c.First != 1
	if gap {
		err := l.tell(auditGap, of, "the record ends at entry %d; there are %d entries, numbered from %d to %d", c.Head.Seq, c.Count, c.First, c.Last)
		if err != nil {
			return err
		}
	}
	if !c.Unsigned.IsZero() && l.longAgo(c.Unsigned.Add(signedWithin)) {
		err := l.tell(auditUnsigned, of, "entries from %d on have no checkpoint since %s", c.Signed+1, c.Unsigned.Format(time.RFC3339))
		if err != nil {
			return err
		}
	}
	if err := l.checkpoints(ctx, chain, c); err != nil || !l.Deep || gap {
		return err
	}
	return l.links(ctx, chain, c)
}

func (l *look) checkpoints(ctx context.Context, chain string, c storage.ChainRecord) error {
	last := int64(0)
	err := l.Records.Checkpoints(ctx, chain, func(s storage.SignedCheckpoint) error {
		last = s.Seq
		says, err := audit.ReadCheckpoint(s.Envelope)
		if err == nil && (says.Tenant != chain || says.Seq != s.Seq || says.Hash != s.Hash) {
			err = fmt.Errorf("it is of entry %d of %s with hash %s; the entry has %s", says.Seq, says.Tenant, says.Hash, s.Hash)
		}
		if err == nil {
			return nil
		}
		return l.tell(auditCheckpoint, Divergence{Tenant: chain, Subject: fmt.Sprint(s.Seq)}, "%v", err)
	})
	if err == nil && last < c.Signed {
		return l.tell(auditCheckpoint, Divergence{Tenant: chain, Subject: fmt.Sprint(c.Signed)}, "entries are said to be signed up to %d, the last checkpoint is of %d", c.Signed, last)
	}
	return err
}

// links follows the hashes of a chain up to the end that its head had before: entries
// that came since are not looked at.
func (l *look) links(ctx context.Context, chain string, c storage.ChainRecord) error {
	follow := audit.NewChain(chain)
	err := l.Records.ChainEntries(ctx, chain, func(seq int64, line []byte) error {
		if seq > c.Head.Seq {
			return errEnough
		}
		_, err := follow.Follow(line)
		return err
	})
	switch {
	case errors.Is(err, audit.ErrBroken):
		return l.tell(auditChanged, Divergence{Tenant: chain, Subject: fmt.Sprint(follow.At().Seq)}, "%v", err)
	case err != nil && !errors.Is(err, errEnough):
		return err
	}
	if follow.At().Seq == c.Head.Seq && c.Head.Seq > 0 && follow.At().Hash != c.Head.Hash {
		return l.tell(auditChanged, Divergence{Tenant: chain, Subject: fmt.Sprint(c.Head.Seq)}, "the last entry has the hash %s, the record's end %s", follow.At().Hash, c.Head.Hash)
	}
	return nil
}

var errEnough = errors.New("enough")
