package activities

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// planner cuts an ordered list of documents into shards as it passes by. It
// holds the documents of one shard, never the list.
type planner struct {
	// keep takes the places of finished shards, a few at a time.
	keep    func([]storage.ShardPlaces) error
	unkept  []storage.ShardPlaces
	shards  []storage.Shard
	records int64
	bytes   int64

	source string          // whose documents they are (storage.Shard)
	begun  map[string]bool // kinds of this source that have their first shard
	open   *storage.Shard
	places []byte
	last   ledger.Place
	hash   hash.Hash
	line   []byte
}

// keepAtOnce is how many shards' places are kept in one transaction.
const keepAtOnce = 64

func newPlanner(keep func([]storage.ShardPlaces) error) *planner {
	return &planner{keep: keep, source: storage.OwnSource(), begun: map[string]bool{}}
}

// from begins with the documents of another source. A shard never has those of two.
func (p *planner) from(source string) error {
	if err := p.finish(); err != nil {
		return err
	}
	p.source, p.begun = source, map[string]bool{}
	return nil
}

// path names a shard of the source.
func (p *planner) path(kind, key string) string {
	payloadType, first := ledger.Kind(kind).PayloadType(), !p.begun[kind]
	if tenant, project, foreign := storage.Holder(p.source); foreign {
		return bundle.TenantShardPath(tenant, project, payloadType, key, first)
	}
	return bundle.ShardPath(payloadType, key, first)
}

// add takes the next document. A cut depends on this document only, so a
// change elsewhere moves no other cut (ARCHITECTURE D2).
func (p *planner) add(row ledger.Row) error {
	p.line = row.AppendKey(p.line[:0])
	key, kind := p.line, string(row.Kind)
	if p.open == nil || p.open.Kind != kind || bundle.CutBefore(key, row.CanonicalBytes) {
		if err := p.finish(); err != nil {
			return err
		}
		p.open = &storage.Shard{
			Ordinal: len(p.shards),
			Name:    p.path(kind, string(key)),
			Kind:    kind,
			Source:  p.source,
			Cursor:  string(key),
		}
		p.begun[kind] = true
		p.places, p.last, p.hash = p.places[:0], ledger.Place{}, newListHash(p.source)
	}
	p.places = storage.AppendPlace(p.places, p.last, row.Place)
	p.last = row.Place
	p.open.Count++
	p.open.Bytes += row.CanonicalBytes
	p.records++
	p.bytes += row.CanonicalBytes
	p.line = endLine(p.line, row.Digest)
	p.hash.Write(p.line)
	return nil
}

// newListHash begins the hash of a shard of a source.
func newListHash(source string) hash.Hash {
	h := sha256.New()
	h.Write([]byte(storage.ListPrefix(source)))
	return h
}

// endLine makes the line of a document that goes into the hash of its shard out
// of the document's key.
func endLine(key []byte, digest bundle.Digest) []byte {
	return append(hex.AppendEncode(append(key, '\n'), digest[:]), '\n')
}

// adopt takes a shard of an earlier plan as it is.
func (p *planner) adopt(s storage.Shard) error {
	if err := p.finish(); err != nil {
		return err
	}
	s.Ordinal, s.Result = len(p.shards), nil
	// Where all before it is gone, it is the first now.
	s.Name = p.path(s.Kind, s.Cursor)
	p.shards = append(p.shards, s)
	p.records += s.Count
	p.bytes += s.Bytes
	p.begun[s.Kind] = true
	return nil
}

// finish closes the open shard, if any.
func (p *planner) finish() error {
	if p.open == nil {
		return nil
	}
	p.open.Hash = bundle.Digest(p.hash.Sum(nil))
	p.shards = append(p.shards, *p.open)
	p.unkept = append(p.unkept, storage.ShardPlaces{Hash: p.open.Hash, Places: append([]byte(nil), p.places...)})
	p.open = nil
	if len(p.unkept) < keepAtOnce {
		return nil
	}
	return p.flush()
}

// end closes the plan.
func (p *planner) end() error {
	if err := p.finish(); err != nil {
		return err
	}
	return p.flush()
}

func (p *planner) flush() error {
	if len(p.unkept) == 0 {
		return nil
	}
	err := p.keep(p.unkept)
	p.unkept = p.unkept[:0]
	return err
}

// planLine is a shard in the plan blob, a JSON line. The plan is ours alone; no
// bundle has it. Two plans are the same when their blobs are.
type planLine struct {
	Ordinal int           `json:"ordinal"`
	Name    string        `json:"name"`
	Cursor  string        `json:"cursor"`
	Count   int64         `json:"count"`
	Bytes   int64         `json:"bytes"`
	Hash    bundle.Digest `json:"hash"`
}

func writePlan(w io.Writer, shards []storage.Shard) error {
	out := json.NewEncoder(w)
	for _, s := range shards {
		err := out.Encode(planLine{Ordinal: s.Ordinal, Name: s.Name, Cursor: s.Cursor, Count: s.Count, Bytes: s.Bytes, Hash: s.Hash})
		if err != nil {
			return fmt.Errorf("write plan: %w", err)
		}
	}
	return nil
}
