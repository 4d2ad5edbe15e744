package frontend

import (
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"github.com/stella-ops/exportcenter/export"
)

// Rates bound what one API process does for a tenant, and in all. The zero value
// of a number is its default.
type Rates struct {
	// PerSecond calls a tenant may make in the long run, and Burst at once after
	// a pause.
	PerSecond float64
	Burst     int
	// AtOnce calls of a tenant may be under way. Streams (downloads, imports,
	// events) have bounds of their own and do not count.
	AtOnce int
	// InAll calls may be under way. When they are, a tenant that has more than its
	// share is told to wait, and one that has less is let in.
	InAll int
}

// Defaults of Rates: far more than clients need that mean well, and few enough
// that those who are let in are answered in time.
const (
	defaultPerSecond = 500
	defaultBurst     = 1000
	defaultAtOnce    = 64
	defaultInAll     = 256
)

func (r Rates) orDefault() Rates {
	if r.PerSecond == 0 {
		r.PerSecond = defaultPerSecond
	}
	if r.Burst == 0 {
		r.Burst = defaultBurst
	}
	if r.AtOnce == 0 {
		r.AtOnce = defaultAtOnce
	}
	if r.InAll == 0 {
		r.InAll = defaultInAll
	}
	return r
}

// admission lets calls in. Who is refused is answered at once, and told when to
// come again: nobody waits in a line that only makes everything late.
type admission struct {
	rates Rates

	mu      sync.Mutex
	tenants map[string]*tenantLoad
	atOnce  int // of all tenants
	active  int // tenants with calls under way
}

type tenantLoad struct {
	bucket *rate.Limiter
	atOnce int
	seen   time.Time
}

// forgetTenants is how long a tenant is remembered that makes no calls: by then
// its bucket is full again. maxTenantLoads bounds how many are looked at between.
const (
	forgetTenants  = 10 * time.Minute
	maxTenantLoads = 10_000
)

func newAdmission(rates Rates) *admission {
	return &admission{rates: rates.orDefault(), tenants: map[string]*tenantLoad{}}
}

// tooBusy is why a call is not let in.
type tooBusy struct {
	limit, remaining int
	after            time.Duration
}

func (tooBusy) Error() string { return "too many calls" }

// enter lets a call of tenant in, or says why not. stream calls hold no place.
func (a *admission) enter(tenant string, stream bool, now time.Time) (leave func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	load := a.load(tenant, now)
	if !stream {
		if load.atOnce >= a.rates.AtOnce {
			return nil, busy(a.rates.AtOnce, time.Second, "this tenant has %d calls under way; wait until some have been answered", load.atOnce)
		}
		if a.atOnce >= a.rates.InAll && load.atOnce >= a.share(load) {
			return nil, busy(a.share(load), time.Second, "the service is busy and this tenant has its share of %d calls under way; try again", load.atOnce)
		}
	}
	reservation := load.bucket.ReserveN(now, 1)
	if wait := reservation.DelayFrom(now); wait > 0 {
		reservation.CancelAt(now)
		return nil, busy(int(a.rates.PerSecond), wait, "this tenant makes more than %d calls a second", int(a.rates.PerSecond))
	}
	if stream {
		return func() {}, nil
	}
	a.took(load, +1)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.took(load, -1)
	}, nil
}

func busy(limit int, after time.Duration, format string, args ...any) error {
	return &export.Error{Code: export.CodeQuota, Class: export.ClassQuota, Err: tooBusy{limit: limit, after: after},
		Message: export.Errorf(export.CodeQuota, format, args...).Message}
}

// share is how many calls a tenant may have under way when there are as many as
// there may be in all.
func (a *admission) share(load *tenantLoad) int {
	active := a.active
	if load.atOnce == 0 {
		active++
	}
	return max(1, a.rates.InAll/active)
}

func (a *admission) took(load *tenantLoad, n int) {
	if load.atOnce == 0 {
		a.active++
	}
	load.atOnce += n
	a.atOnce += n
	if load.atOnce == 0 {
		a.active--
	}
}

func (a *admission) load(tenant string, now time.Time) *tenantLoad {
	load := a.tenants[tenant]
	if load == nil {
		if len(a.tenants) >= maxTenantLoads {
			a.forget(now)
		}
		load = &tenantLoad{bucket: rate.NewLimiter(rate.Limit(a.rates.PerSecond), a.rates.Burst)}
		a.tenants[tenant] = load
	}
	load.seen = now
	return load
}

func (a *admission) forget(now time.Time) {
	for name, load := range a.tenants {
		if load.atOnce == 0 && now.Sub(load.seen) > forgetTenants {
			delete(a.tenants, name)
		}
	}
}

// admitted lets a call in that the door has let in.
func (s *Server) admitted(stream bool, next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		leave, err := s.admission.enter(callOf(c.Request().Context()).principal.Tenant, stream, s.clock())
		if err != nil {
			return err
		}
		defer leave()
		return next(c)
	}
}

// setBusy says how many calls there may be and when to come again.
func setBusy(h interface{ Set(string, string) }, b tooBusy, now time.Time) {
	seconds := int64(math.Ceil(max(b.after, time.Second).Seconds()))
	h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	h.Set("X-Stella-Quota-Limit", strconv.Itoa(b.limit))
	h.Set("X-Stella-Quota-Remaining", strconv.Itoa(b.remaining))
	h.Set("X-Stella-Quota-Reset", strconv.FormatInt(now.Add(time.Duration(seconds)*time.Second).Unix(), 10))
}
