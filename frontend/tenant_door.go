package frontend

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
)

const (
	closedFresh    = time.Second            // a list younger than this is not read again
	closedStale    = 10 * time.Second       // an older one is not believed any more
	closedPatience = 2 * time.Second        // with the store, while nothing is known
	closedHurry    = 500 * time.Millisecond // while there is a list to be believed
)

// closedTenants keeps the names of the tenants that may not come in: a short list,
// read again each second that somebody knocks.
type closedTenants struct {
	read  func(context.Context) ([]export.Tenant, error)
	clock clock.Clock

	current atomic.Pointer[closedList]

	reading  sync.Mutex // held by whoever reads; guards the two below
	failed   error
	failedAt time.Time
}

type closedList struct {
	names map[string]export.TenantState
	at    time.Time
}

func (l *closedList) youngerThan(age time.Duration, now time.Time) bool {
	return l != nil && now.Sub(l.at).Abs() < age
}

// check refuses a tenant that is suspended or offboarded, all in the same words, and
// everybody while nobody knows who is.
func (c *closedTenants) check(ctx context.Context, tenant string) error {
	list, err := c.list(ctx)
	if err != nil {
		return &export.Error{Code: export.CodeUnavailable, Class: export.ClassTransient,
			Message: "whether the tenant may come in cannot be found out; try again", Err: fmt.Errorf("list closed tenants: %w", err)}
	}
	if _, closed := list.names[tenant]; closed {
		return export.Errorf(export.CodeTenantSuspended, "the tenant is suspended; ask the administrator of this installation")
	}
	return nil
}

// leaves reports whether a tenant is known to be offboarded, or to be about to: then
// its own record takes no more entries.
func (c *closedTenants) leaves(tenant string) bool {
	list := c.current.Load()
	return list != nil && list.names[tenant].Leaves()
}

// list gives what is known. While somebody reads, the others take the old list for as
// long as it can be believed.
func (c *closedTenants) list(ctx context.Context) (*closedList, error) {
	now := c.clock()
	held := c.current.Load()
	if held.youngerThan(closedFresh, now) {
		return held, nil
	}
	if held.youngerThan(closedStale, now) {
		if !c.reading.TryLock() {
			return held, nil
		}
	} else {
		c.reading.Lock()
	}
	defer c.reading.Unlock()
	now = c.clock()
	if held = c.current.Load(); held.youngerThan(closedFresh, now) {
		return held, nil
	}
	// Those who waited for somebody that failed do not each fail in their turn.
	if c.failed == nil || now.Sub(c.failedAt).Abs() >= closedFresh {
		patience := closedPatience
		if held.youngerThan(closedStale, now) {
			patience = closedHurry
		}
		if c.failed = c.load(ctx, now, patience); c.failed == nil {
			return c.current.Load(), nil
		}
		c.failedAt = c.clock()
	}
	if held.youngerThan(closedStale, now) {
		return held, nil
	}
	return nil, c.failed
}

func (c *closedTenants) load(ctx context.Context, now time.Time, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	tenants, err := c.read(ctx)
	if err != nil {
		return err
	}
	list := &closedList{names: make(map[string]export.TenantState, len(tenants)), at: now}
	for _, t := range tenants {
		list.names[t.Name] = t.State
	}
	c.current.Store(list)
	return nil
}

// forget makes the next request look: this process knows of a change.
func (c *closedTenants) forget() { c.current.Store(nil) }
