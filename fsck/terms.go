package fsck

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// selection looks at what an export finds documents by: terms, and which
// revision was overtaken when. A mistake there makes it silently smaller.
func (l *look) selection(ctx context.Context, tenant string) error {
	if !l.Deep {
		return nil
	}
	err := l.Records.Overtaken(ctx, tenant, func(o storage.OvertakenRecord) error {
		of := Divergence{Tenant: tenant, Subject: strconv.FormatInt(o.Seq, 10)}
		return l.tell(overtakenDiffers, of, "the ledger says overtaken by %s, right is %s", number(o.Recorded), number(o.Right))
	})
	if err != nil {
		return err
	}
	return l.Records.Terms(ctx, tenant, func(t storage.TermRecord) error {
		of := Divergence{Tenant: tenant, Subject: t.Page}
		if t.Page != "" {
			return l.tell(termsBytes, of, "%v", t.Err)
		}
		of.Subject = fmt.Sprintf("%s/%d-%d", t.Axis, t.First, t.Last)
		return l.tell(termsDiffer, of, "of %d documents between observations %d and %d, %d terms lack and %d are too many",
			t.Documents, t.First, t.Last, t.Lacking, t.Added)
	})
}

func number(seq int64) string {
	if seq == 0 {
		return "none"
	}
	return strconv.FormatInt(seq, 10)
}

// packed looks at what was packed and is kept for later runs.
func (l *look) packed(ctx context.Context, tenant string) error {
	return l.Records.LostPacked(ctx, tenant, func(p storage.PackedRecord) error {
		of := Divergence{Tenant: tenant, Subject: p.Hash.String()}
		forget := func() (bool, error) { return l.Repairs.ForgetPacked(ctx, tenant, p) }
		if p.Recorded < 0 {
			return l.tellAndMend(ctx, packedLost, of, forget, "blob %s has no row", p.Digest)
		}
		return l.tellAndMend(ctx, packedLost, of, forget, "%d bytes were packed, the row of blob %s says %d", p.Size, p.Digest, p.Recorded)
	})
}

// shardPortion bounds the documents of a shard that are read together, as far
// as the mean of the shard tells.
const shardPortion = 8 << 20

// places reads the documents at the places that are kept of each shard, and
// compares them with the shard's hash.
func (l *look) places(ctx context.Context, tenant string) error {
	if !l.Deep {
		return nil
	}
	var places []ledger.Place
	return l.Records.KeptPlaces(ctx, tenant, func(s storage.ShardRecord) (err error) {
		of := Divergence{Tenant: tenant, Run: s.Run, Subject: s.Name}
		if places, err = storage.ReadPlaces(places[:0], s.Places, s.Count); err != nil {
			return l.tell(placesDiffer, of, "%v", err)
		}
		hash, err := l.hashOf(ctx, tenant, places, max(1, int(shardPortion/max(1, s.Bytes/max(1, s.Count)))))
		switch {
		case wrongBytes(err):
			return l.tell(placesDiffer, of, "%v", err)
		case err != nil:
			return err
		case hash != s.Hash:
			return l.tell(placesDiffer, of, "the documents there have the hash %s, the shard's is %s", hash, s.Hash)
		}
		return nil
	})
}

func wrongBytes(err error) bool {
	return errors.Is(err, storage.ErrCorrupt) || errors.Is(err, storage.ErrNotFound)
}

// hashOf gives the hash of a shard with the documents at places, as planning
// makes it (activities: endLine), reading up to some at a time.
func (l *look) hashOf(ctx context.Context, tenant string, places []ledger.Place, some int) (bundle.Digest, error) {
	sum := sha256.New()
	var line []byte
	for len(places) > 0 {
		n := min(some, len(places))
		err := l.Records.Lines(ctx, tenant, places[:n], func(doc ledger.Line) error {
			line = append(doc.AppendKey(line[:0]), '\n')
			line = append(hex.AppendEncode(line, doc.Digest[:]), '\n')
			sum.Write(line)
			return nil
		})
		if err != nil {
			return bundle.Digest{}, err
		}
		places = places[n:]
	}
	return bundle.Digest(sum.Sum(nil)), nil
}

// ref is the run that a divergence is about.
func (d Divergence) ref() export.Ref { return export.Ref{Tenant: d.Tenant, RunID: d.Run} }
