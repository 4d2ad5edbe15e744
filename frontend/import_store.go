package frontend

import (
	"context"
	"fmt"

	"github.com/stella-ops/exportcenter/ledger"
)

// batchStore records batches one after the other, each while the next is read.
type batchStore struct {
	// settled is what became of everything up to the end of the last recorded
	// batch. It belongs to the goroutine of the batch that is under way.
	settled ledger.Counts
	// told is called after each batch, with settled, from that goroutine.
	told    func(settled ledger.Counts) error
	pending chan recorded // nil when nothing is under way
	spare   []ledger.Observation
}

// recorded is what became of a batch.
type recorded struct {
	batch    []ledger.Observation
	held     int64
	err      error
	panicked any
}

// begin begins to record batch, in one transaction; nothing else is under way.
// held is its size in memory; through has Read and Rejected up to its end. The
// batch is given away, the slice it returns is empty.
func (s *batchStore) begin(ctx context.Context, store Ledger, tenant string, batch []ledger.Observation, held int64, through ledger.Counts) []ledger.Observation {
	if len(batch) == 0 {
		s.settled.Read, s.settled.Rejected = through.Read, through.Rejected
		return batch
	}
	done := make(chan recorded, 1)
	s.pending = done
	go func() {
		r := recorded{batch: batch, held: held}
		defer func() {
			r.panicked = recover()
			done <- r
		}()
		if r.err = s.record(ctx, store, tenant, batch, through); r.err == nil && s.told != nil {
			r.err = s.told(s.settled)
		}
	}()
	return s.spare
}

func (s *batchStore) record(ctx context.Context, store Ledger, tenant string, batch []ledger.Observation, through ledger.Counts) error {
	ctx, cancel := context.WithTimeout(ctx, batchPatience)
	defer cancel()
	counts, err := store.Import(ctx, tenant, batch)
	if err != nil {
		return fmt.Errorf("record %d documents: %w", len(batch), err)
	}
	if sum := counts.Accepted + counts.Unchanged + counts.Superseded; sum != int64(len(batch)) {
		return fmt.Errorf("record %d documents: the ledger accounts for %d", len(batch), sum)
	}
	s.settled.Accepted += counts.Accepted
	s.settled.Unchanged += counts.Unchanged
	s.settled.Superseded += counts.Superseded
	s.settled.Read, s.settled.Rejected = through.Read, through.Rejected
	return nil
}

// wait waits for the batch that is under way; freed is the memory it held.
func (s *batchStore) wait() (freed int64, err error) {
	if s.pending == nil {
		return 0, nil
	}
	r := <-s.pending
	s.pending = nil
	if r.panicked != nil { // belongs to the request, which knows how to end
		panic(r.panicked)
	}
	clear(r.batch)
	s.spare = r.batch[:0]
	return r.held, r.err
}

// abandon waits for the batch under way when the import ends with an error:
// nothing goes on behind an answer.
func (s *batchStore) abandon() (freed int64) {
	if s.pending == nil {
		return 0
	}
	r := <-s.pending
	s.pending = nil
	return r.held
}
