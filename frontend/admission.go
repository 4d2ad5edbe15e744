package frontend

import (
	"strings"
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
	// AtOnce calls of a tenant may be under way. Streams (downloads, imports) do
	// not count here but by Streams; those of events have a bound of their own.
	AtOnce int
	// Streams of a tenant may be under way, and eight times as many in all.
	Streams int
	// InAll calls may be under way. When they are, a tenant that has more than its
	// share is told to wait, and one that has less is let in, up to four times as many.
	InAll int
}

// Defaults of Rates: far more than clients need that mean well, and few enough
// that those who are let in are answered in time.
const (
	defaultPerSecond = 2000
	defaultBurst     = 4000
	// A call needs a connection to the database for most of its time: one tenant
	// has no more of them under way than leave room for the others'.
	defaultAtOnce  = 12
	defaultInAll   = 48
	defaultStreams = 64
	streamTenants  = 8
	// crowded times InAll is more than can be answered in time, however many tenants
	// they are of.
	crowded = 4
)

// A tenant's refused calls are written down one by one as long as there are few of
// them: refusalsPerSecond in the long run, refusalsBurst after a pause.
const (
	refusalsPerSecond = 2
	refusalsBurst     = 50
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
	if r.Streams == 0 {
		r.Streams = defaultStreams
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
	streams int
	active  int // tenants with calls under way
}

type tenantLoad struct {
	bucket   *rate.Limiter
	refusals *rate.Limiter
	atOnce   int
	streams  int
	seen     time.Time
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
	limit int
	after time.Duration
}

func (tooBusy) Error() string { return "too many calls" }

// lane is which of the places a call needs.
type lane int

const (
	plainLane  lane = iota
	streamLane      // downloads and imports
	eventLane       // streams of events, which eventHub bounds: they mostly wait
)

func laneOf(operation string, stream bool) lane {
	switch {
	case strings.HasPrefix(operation, "StreamEvents"):
		return eventLane
	case stream:
		return streamLane
	}
	return plainLane
}

// knock counts a call of tenant, before anything is written for it. One that would
// find no place is not counted.
func (a *admission) knock(tenant string, lane lane, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	load := a.load(tenant, now)
	if err := a.room(load, lane); err != nil {
		return err
	}
	reservation := load.bucket.ReserveN(now, 1)
	if wait := reservation.DelayFrom(now); wait > 0 {
		reservation.CancelAt(now)
		return busy(int(a.rates.PerSecond), wait, "this tenant makes more than %d calls a second", int(a.rates.PerSecond))
	}
	return nil
}

// enter gives a call its place, or says why there is none.
func (a *admission) enter(tenant string, lane lane, now time.Time) (leave func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	load := a.load(tenant, now)
	if err := a.room(load, lane); err != nil {
		return nil, err
	}
	a.took(load, lane, +1)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.took(load, lane, -1)
	}, nil
}

// room says why there is no place for another call.
func (a *admission) room(load *tenantLoad, lane lane) error {
	stream := lane == streamLane
	switch {
	case stream && load.streams >= a.rates.Streams:
		return busy(a.rates.Streams, time.Second, "this tenant has %d downloads or imports under way; wait until some have ended", load.streams)
	case stream && a.streams >= streamTenants*a.rates.Streams:
		return busy(a.rates.Streams, time.Second, "the service has %d downloads and imports under way; try again", a.streams)
	case stream, lane == eventLane:
		return nil
	case load.atOnce >= a.rates.AtOnce:
		return busy(a.rates.AtOnce, time.Second, "this tenant has %d calls under way; wait until some have been answered", load.atOnce)
	case a.atOnce >= crowded*a.rates.InAll:
		return busy(a.rates.InAll, time.Second, "the service is busy with %d calls; try again", a.atOnce)
	case a.atOnce >= a.rates.InAll && load.atOnce >= a.share(load):
		return busy(a.share(load), time.Second, "the service is busy and this tenant has its share of %d calls under way; try again", load.atOnce)
	}
	return nil
}

// mayRefuse reports whether a refused call of tenant is worth an entry of its own.
func (a *admission) mayRefuse(tenant string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.load(tenant, now).refusals.AllowN(now, 1)
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

func (a *admission) took(load *tenantLoad, lane lane, n int) {
	switch lane {
	case eventLane:
		return
	case streamLane:
		load.streams += n
		a.streams += n
		return
	}
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
		load = &tenantLoad{bucket: rate.NewLimiter(rate.Limit(a.rates.PerSecond), a.rates.Burst),
			refusals: rate.NewLimiter(refusalsPerSecond, refusalsBurst)}
		a.tenants[tenant] = load
	}
	load.seen = now
	return load
}

func (a *admission) forget(now time.Time) {
	for name, load := range a.tenants {
		if load.atOnce == 0 && load.streams == 0 && now.Sub(load.seen) > forgetTenants {
			delete(a.tenants, name)
		}
	}
}

// admitted lets a call in that the door has let in.
func (s *Server) admitted(lane lane, next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		leave, err := s.admission.enter(callOf(c.Request().Context()).principal.Tenant, lane, s.clock())
		if err != nil {
			return err
		}
		defer leave()
		return next(c)
	}
}
