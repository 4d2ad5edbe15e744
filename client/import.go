package client

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/stella-ops/exportcenter/internal/clock"
)

const (
	// DefaultJobs is how many requests of an import are under way at once: one
	// is decoded while the other is recorded. More do not help (docs/benchmarks.md).
	DefaultJobs = 2
	// MaxJobs is what one tenant may have under way at the server.
	MaxJobs = 8
)

// Import says how documents are sent, and who is told.
type Import struct {
	// Jobs is how many requests are under way at once, 0 = DefaultJobs.
	Jobs int
	// Settled, if set, is told what became of each part of the records, in
	// their order, one call at a time. Its error ends the import.
	Settled func(Settled) error
	// Again, if set, is told why a part is sent again, and when. Calls come
	// from several goroutines.
	Again func(cause error, in time.Duration)
}

// Settled is what became of the next records of an import. It is recorded and
// will not change any more.
type Settled struct {
	Summary ImportSummary `json:"summary"` // of these records alone
	// Rejections are those of these records; Record counts from the first
	// record of the import.
	Rejections []Rejection `json:"rejections"`
	// Resent is how many of them were sent more than once: if the server had
	// recorded them before the connection broke, they count as unchanged.
	Resent int64 `json:"resent"`
}

// ImportDocuments sends records, in parts that the server records whole, and
// sends what it did not acknowledge again while that may help. The sums it
// gives are complete or there is an error; sending everything again is always
// safe.
//
// An error from records ends the import and is returned. records is not used
// any more when ImportDocuments returns.
func (c *Client) ImportDocuments(ctx context.Context, records iter.Seq2[ImportRecord, error], options Import) (Settled, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	jobs := min(max(options.Jobs, 0), MaxJobs)
	if jobs == 0 {
		jobs = DefaultJobs
	}
	i := &importing{client: c, options: options, cancel: cancel, heard: clock.System(),
		parcels: make(chan *parcel), free: make(chan *parcel, jobs+1), open: make(chan struct{}, jobs+1), late: map[int]Settled{}}
	var senders sync.WaitGroup
	for range jobs {
		senders.Go(func() { i.send(ctx) })
	}
	err := i.pack(ctx, records)
	close(i.parcels)
	if err != nil {
		cancel(err)
	}
	senders.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return i.total, fmt.Errorf("import documents: %w", cause)
	}
	return i.total, nil
}

// importing is an import under way.
type importing struct {
	client  *Client
	options Import
	cancel  context.CancelCauseFunc
	parcels chan *parcel  // packed
	free    chan *parcel  // settled, to be packed again
	open    chan struct{} // a token per parcel that is not settled: bounds memory, also of what is late

	mu    sync.Mutex
	heard time.Time       // when something was last acknowledged
	met   bool            // something was
	next  int             // the parcel whose turn it is to be told of
	late  map[int]Settled // settled before their turn
	total Settled
}

// pack cuts records into parcels.
func (i *importing) pack(ctx context.Context, records iter.Seq2[ImportRecord, error]) error {
	var p *parcel
	var first int64
	count := 0
	send := func() error {
		select {
		case i.parcels <- p:
			first += p.records()
			p = nil
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for record, err := range records {
		if err != nil {
			return err
		}
		if p != nil && !p.fits(record) {
			if err := send(); err != nil {
				return err
			}
		}
		if p == nil {
			if p, err = i.newParcel(ctx); err != nil {
				return err
			}
			p.number, p.first = count, first
			count++
		}
		p.add(record)
	}
	if p == nil {
		return nil
	}
	return send()
}

// newParcel waits until there may be one more.
func (i *importing) newParcel(ctx context.Context) (*parcel, error) {
	select {
	case i.open <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case p := <-i.free:
		return p, nil
	default:
		return &parcel{}, nil
	}
}

// send sends parcels until there are no more, or the import has failed.
func (i *importing) send(ctx context.Context) {
	for p := range i.parcels {
		settled, err := i.deliver(ctx, p)
		if err == nil {
			err = i.tell(p.number, settled)
		}
		if err != nil {
			i.cancel(err)
			return
		}
		if p.reset() {
			select {
			case i.free <- p:
			default:
			}
		}
	}
}

// tell adds a parcel's result and passes it on when its turn has come.
func (i *importing) tell(number int, s Settled) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.late[number] = s
	for {
		s, ready := i.late[i.next]
		if !ready {
			return nil
		}
		delete(i.late, i.next)
		i.next++
		i.total.add(s)
		if i.options.Settled != nil {
			if err := i.options.Settled(s); err != nil {
				return err
			}
		}
		<-i.open
	}
}

// add adds the sums of other; lists are passed on, not kept.
func (s *Settled) add(other Settled) {
	s.Summary.add(other.Summary)
	s.Resent += other.Resent
}

func (s *ImportSummary) add(other ImportSummary) {
	s.Read += other.Read
	s.Accepted += other.Accepted
	s.Unchanged += other.Unchanged
	s.Superseded += other.Superseded
	s.Rejected += other.Rejected
}
