package frontend

import (
	"context"
	"fmt"

	"github.com/stella-ops/exportcenter/ledger"
)

// batchStore records batches one after the other, each while the next is read.
type batchStore struct {
	counts  ledger.Counts // of what is recorded
	pending chan recorded // nil when nothing is under way
	spare   []ledger.Observation
}

// recorded is what became of a batch.
type recorded struct {
	batch    []ledger.Observation
	counts   ledger.Counts
	err      error
	panicked any
}

// begin begins to record batch, in one transaction, once the one before it is
// recorded; an error may be of that one. The batch is given away, the slice it
// returns is empty.
func (s *batchStore) begin(ctx context.Context, store Ledger, tenant string, batch []ledger.Observation) ([]ledger.Observation, error) {
	if err := s.wait(); err != nil || len(batch) == 0 {
		return batch, err
	}
	done := make(chan recorded, 1)
	s.pending = done
	go func() {
		r := recorded{batch: batch}
		defer func() {
			r.panicked = recover()
			done <- r
		}()
		r.counts, r.err = store.Import(ctx, tenant, batch)
	}()
	return s.spare, nil
}

// wait waits for the batch that is under way.
func (s *batchStore) wait() error {
	if s.pending == nil {
		return nil
	}
	r := <-s.pending
	s.pending = nil
	if r.panicked != nil { // belongs to the request, which knows how to end
		panic(r.panicked)
	}
	if r.err != nil {
		return fmt.Errorf("record %d documents: %w", len(r.batch), r.err)
	}
	if told := r.counts.Accepted + r.counts.Unchanged + r.counts.Superseded; told != int64(len(r.batch)) {
		return fmt.Errorf("record %d documents: the ledger accounts for %d", len(r.batch), told)
	}
	s.counts.Accepted += r.counts.Accepted
	s.counts.Unchanged += r.counts.Unchanged
	s.counts.Superseded += r.counts.Superseded
	clear(r.batch)
	s.spare = r.batch[:0]
	return nil
}

// abandon waits for the batch under way when the import ends with an error:
// nothing goes on behind an answer.
func (s *batchStore) abandon() {
	if s.pending != nil {
		<-s.pending
		s.pending = nil
	}
}
