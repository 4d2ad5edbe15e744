package frontend

import (
	"context"
	"sync"

	"github.com/stella-ops/exportcenter/export"
)

// turns are the few places of those who read a whole ledger, or compile a policy pack. A tenant has one of
// them at a time: its next call waits for its own, in nobody else's way.
type turns struct {
	places chan struct{}

	mu      sync.Mutex
	tenants map[string]*tenantTurn
}

// tenantTurn is there while somebody of the tenant is at work or waits.
type tenantTurn struct {
	place chan struct{}
	calls int
}

func newTurns(places int) *turns {
	return &turns{places: make(chan struct{}, places), tenants: map[string]*tenantTurn{}}
}

// take waits for a place, as long as ctx lets it.
func (t *turns) take(ctx context.Context, tenant string) (done func(), err error) {
	own := t.enter(tenant)
	for _, place := range []chan struct{}{own.place, t.places} {
		select {
		case place <- struct{}{}:
		case <-ctx.Done():
			if place == t.places {
				<-own.place
			}
			t.leave(tenant, own)
			return nil, export.Errorf(export.CodeUnavailable, "others are being served; try again")
		}
	}
	return func() {
		<-t.places
		<-own.place
		t.leave(tenant, own)
	}, nil
}

func (t *turns) enter(tenant string) *tenantTurn {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.tenants[tenant]
	if own == nil {
		own = &tenantTurn{place: make(chan struct{}, 1)}
		t.tenants[tenant] = own
	}
	own.calls++
	return own
}

func (t *turns) leave(tenant string, own *tenantTurn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own.calls--; own.calls == 0 {
		delete(t.tenants, tenant)
	}
}
