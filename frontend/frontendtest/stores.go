package frontendtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

type blobKey struct {
	tenant string
	digest bundle.Digest
}

// Objects holds blobs in memory.
type Objects struct {
	mu    sync.Mutex
	blobs map[blobKey][]byte
	// short are blobs that end early although their size is right.
	short map[blobKey]int
}

// NewObjects makes an empty store.
func NewObjects() *Objects {
	return &Objects{blobs: map[blobKey][]byte{}, short: map[blobKey]int{}}
}

// Put stores b in tenant's namespace.
func (o *Objects) Put(tenant string, b []byte) bundle.Digest {
	o.mu.Lock()
	defer o.mu.Unlock()
	digest := bundle.DigestOf(b)
	o.blobs[blobKey{tenant, digest}] = b
	return digest
}

// Cut makes a blob end after n bytes while it still reports its size.
func (o *Objects) Cut(tenant string, digest bundle.Digest, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.short[blobKey{tenant, digest}] = n
}

// Replace puts other bytes under a digest.
func (o *Objects) Replace(tenant string, digest bundle.Digest, b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.blobs[blobKey{tenant, digest}] = b
}

// Remove removes a blob.
func (o *Objects) Remove(tenant string, digest bundle.Digest) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.blobs, blobKey{tenant, digest})
}

// Open opens a blob.
func (o *Objects) Open(_ context.Context, tenant string, digest bundle.Digest) (storage.Blob, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, ok := o.blobs[blobKey{tenant, digest}]
	if !ok {
		return nil, storage.ErrNotFound
	}
	size := int64(len(b))
	if n, cut := o.short[blobKey{tenant, digest}]; cut {
		b = b[:n]
	}
	return memoryBlob{bytes.NewReader(b), size}, nil
}

type memoryBlob struct {
	*bytes.Reader
	size int64
}

func (b memoryBlob) Size() int64  { return b.size }
func (b memoryBlob) Close() error { return nil }

// Ledger records observations in memory, by the rules of identity and currency.
type Ledger struct {
	mu        sync.Mutex
	documents map[blobKey][]byte
	current   map[string]ledger.Observation // the greatest revision of each document
	gone      map[string]string             // the greatest removal
	// Batches are the sizes of the batches it was given.
	Batches []int
	// Fail is what Import answers when it is set.
	Fail error
	// Now is when an import happens; nil = Start.
	Now func() time.Time

	records map[string][]record // by tenant
}

// NewLedger makes an empty ledger.
func NewLedger() *Ledger {
	return &Ledger{documents: map[blobKey][]byte{}, current: map[string]ledger.Observation{}, gone: map[string]string{}, records: map[string][]record{}}
}

// Import implements frontend.Ledger.
func (l *Ledger) Import(_ context.Context, tenant string, batch []ledger.Observation) (ledger.Counts, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Fail != nil {
		return ledger.Counts{}, l.Fail
	}
	l.Batches = append(l.Batches, len(batch))
	counts := ledger.Counts{Read: int64(len(batch))}
	for _, o := range batch {
		key := fmt.Sprintf("%s\n%v", tenant, o.Identity())
		held, known := l.current[key]
		gone := l.gone[key]
		_, recorded := l.documents[blobKey{tenant, o.Digest}]
		l.documents[blobKey{tenant, o.Digest}] = o.Raw
		switch {
		case known && recorded:
			counts.Unchanged++
		case known && !ledger.Greater(o, held):
			counts.Superseded++
			l.note(tenant, o, nil)
		case gone != "" && ledger.Covers(gone, o.Modified):
			counts.Superseded++
			l.note(tenant, o, nil)
			l.current[key] = o
		default:
			counts.Accepted++
			l.note(tenant, o, nil)
			l.current[key] = o
		}
	}
	return counts, nil
}

// Remove implements frontend.Ledger.
func (l *Ledger) Remove(_ context.Context, tenant string, batch []ledger.Removal) (ledger.RemovalCounts, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := ledger.RemovalCounts{Read: int64(len(batch))}
	if l.Fail != nil {
		return counts, l.Fail
	}
	for i, r := range batch {
		r.Project = ledger.ProjectName(r.Project)
		key := fmt.Sprintf("%s\n%v", tenant, r.Identity)
		held, known := l.current[key]
		unstated := r.Time.IsZero()
		if unstated {
			r = r.Now(l.moment(), held.Modified)
		}
		gone := l.gone[key]
		removed := gone != "" && ledger.Covers(gone, held.Modified)
		switch {
		case !known:
			counts.Absent++
			counts.Missing = append(counts.Missing, i)
		case removed && (unstated || gone >= r.Modified()):
			counts.Unchanged++
		case !ledger.Covers(r.Modified(), held.Modified):
			counts.Superseded++
			counts.Standing = append(counts.Standing, ledger.Standing{Position: i, Modified: held.Modified})
		default:
			counts.Removed++
			l.gone[key] = r.Modified()
			l.note(tenant, ledger.Observation{Project: r.Project, Kind: r.Kind, Source: r.Source, Stream: r.Stream, UpstreamID: r.UpstreamID}, &r)
		}
	}
	return counts, nil
}

// BatchSizes is Batches while the ledger is in use.
func (l *Ledger) BatchSizes() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.Batches)
}

// SetFail sets Fail while the ledger is in use.
func (l *Ledger) SetFail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Fail = err
}

// Documents gives the current documents of a tenant, in any order.
func (l *Ledger) Documents(tenant string) []ledger.Observation {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []ledger.Observation
	for key, o := range l.current {
		if strings.HasPrefix(key, tenant+"\n") && (l.gone[key] == "" || !ledger.Covers(l.gone[key], o.Modified)) {
			all = append(all, o)
		}
	}
	return all
}

// Original implements frontend.Ledger.
func (l *Ledger) Original(_ context.Context, tenant string, digest bundle.Digest) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.documents[blobKey{tenant, digest}]
	if !ok {
		return nil, storage.ErrNotFound
	}
	return b, nil
}

// Corrupt puts other bytes under a document's digest.
func (l *Ledger) Corrupt(tenant string, digest bundle.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.documents[blobKey{tenant, digest}] = []byte("something else")
}

// ParseAnything is a parser for tests: it takes every JSON object with an id.
func ParseAnything(e ledger.Entry) (ledger.Observation, error) {
	var doc struct {
		ID       string `json:"id"`
		Modified string `json:"modified"`
	}
	if err := json.Unmarshal(e.Bytes, &doc); err != nil {
		return ledger.Observation{}, errors.New("not JSON")
	}
	if doc.ID == "" {
		return ledger.Observation{}, errors.New("has no id")
	}
	canonical, err := bundle.Canonical(e.Bytes)
	if err != nil {
		return ledger.Observation{}, err
	}
	return ledger.Observation{Kind: ledger.KindAdvisory, Format: "osv", Source: e.Source, Stream: e.Stream,
		UpstreamID: doc.ID, Modified: doc.Modified, Digest: bundle.DigestOf(e.Bytes), Raw: e.Bytes, Canonical: canonical}, nil
}
