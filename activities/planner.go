package activities

import (
	"bufio"
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

// planLine is one shard in the plan blob, a JSON line: which documents to
// pack, by ledger number, in order. The plan is ours alone; no bundle has it.
type planLine struct {
	Ordinal int     `json:"ordinal"`
	Seqs    []int64 `json:"seqs"`
}

// planner cuts an ordered list of documents into shards as it passes by. It
// holds the documents of one shard, never the list.
type planner struct {
	out     *json.Encoder
	shards  []storage.Shard
	records int64
	bytes   int64

	open *storage.Shard
	seqs []int64
	hash hash.Hash
}

func newPlanner(w io.Writer) *planner {
	return &planner{out: json.NewEncoder(w)}
}

// add takes the next document. A cut depends on this document only, so a
// change elsewhere moves no other cut (ARCHITECTURE D2).
func (p *planner) add(row ledger.Row) error {
	key := row.Key()
	first := p.open == nil || p.open.Kind != string(row.Kind)
	if first || bundle.CutBefore(key, row.CanonicalBytes) {
		if err := p.finish(); err != nil {
			return err
		}
		p.open = &storage.Shard{
			Ordinal: len(p.shards),
			Name:    bundle.ShardPath(row.Kind.PayloadType(), key, first),
			Kind:    string(row.Kind),
			Source:  "ledger",
			Cursor:  key,
		}
		p.seqs, p.hash = p.seqs[:0], sha256.New()
	}
	p.seqs = append(p.seqs, row.Seq)
	p.open.Count++
	p.open.Bytes += row.CanonicalBytes
	p.records++
	p.bytes += row.CanonicalBytes
	hashDocument(p.hash, key, row.Digest)
	return nil
}

// hashDocument adds a document to the hash of its shard.
func hashDocument(h hash.Hash, key string, digest bundle.Digest) {
	line := make([]byte, 0, 256)
	line = append(append(line, key...), '\n')
	line = append(hex.AppendEncode(line, digest[:]), '\n')
	h.Write(line)
}

// finish closes the open shard, if any.
func (p *planner) finish() error {
	if p.open == nil {
		return nil
	}
	if err := p.out.Encode(planLine{Ordinal: p.open.Ordinal, Seqs: p.seqs}); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	p.open.Hash = bundle.Digest(p.hash.Sum(nil))
	p.shards = append(p.shards, *p.open)
	p.open = nil
	return nil
}

// readPlan calls yield with every shard of a plan blob, in order.
func readPlan(r io.Reader, yield func(planLine) error) error {
	dec := json.NewDecoder(bufio.NewReader(r))
	for {
		var line planLine
		if err := dec.Decode(&line); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read plan: %w", err)
		}
		if err := yield(line); err != nil {
			return err
		}
	}
}
