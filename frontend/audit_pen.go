package frontend

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

const (
	// auditPatience bounds one append.
	auditPatience = 5 * time.Second
	// auditPage is how many entries of a tenant are written together; those who
	// come when a page is full are told that the service is busy.
	auditPageEntries = 1000
)

// auditPen writes entries into the audit record. Those of one tenant that come
// while an append is under way are written together by the next: the record of a
// tenant has one end, and its lock is taken once for all of them.
type auditPen struct {
	record storage.Audit

	mu   sync.Mutex
	open map[string]*auditPage      // gathers what comes, by tenant
	busy map[string]<-chan struct{} // closed when the tenant's last append has ended
}

type auditPage struct {
	entries []audit.Entry
	done    chan struct{}
	err     error // once done is closed
}

func newAuditPen(record storage.Audit) *auditPen {
	return &auditPen{record: record, open: map[string]*auditPage{}, busy: map[string]<-chan struct{}{}}
}

// write returns when e is in the record of its tenant.
func (p *auditPen) write(ctx context.Context, e audit.Entry) error {
	page, err := p.join(e)
	if err != nil {
		return err
	}
	return page.wait(ctx)
}

// wait returns when the page is in the record.
func (p *auditPage) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("write the audit record: %w", ctx.Err())
	}
}

// join puts e on its tenant's open page; the first one on it sees to its append.
func (p *auditPen) join(e audit.Entry) (*auditPage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	page := p.open[e.Tenant]
	if page == nil {
		page = &auditPage{done: make(chan struct{})}
		before := p.busy[e.Tenant]
		p.open[e.Tenant], p.busy[e.Tenant] = page, page.done
		go p.append(e.Tenant, page, before)
	}
	if len(page.entries) == auditPageEntries {
		return nil, export.Errorf(export.CodeUnavailable, "too many calls of this tenant are waiting to be recorded; try again")
	}
	page.entries = append(page.entries, e)
	return page, nil
}

// append writes page once the append before it has ended.
func (p *auditPen) append(tenant string, page *auditPage, before <-chan struct{}) {
	if before != nil {
		<-before
	}
	p.mu.Lock()
	delete(p.open, tenant) // who comes from now on is on the next page
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), auditPatience)
	defer cancel()
	page.err = p.record.Append(ctx, tenant, page.entries)
	p.mu.Lock()
	if p.open[tenant] == nil {
		delete(p.busy, tenant)
	}
	p.mu.Unlock()
	close(page.done)
}
