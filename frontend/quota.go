package frontend

import (
	"net/http"
	"strconv"
	"time"
)

// quotaPause is when a refused client may ask again. Nobody knows when a run
// ends; this is often enough to take the place soon, and costs nothing.
const quotaPause = 5 * time.Second

// setQuota says how many of a thing a tenant may have, how many more it may
// have now, and when to ask again: as seconds, and as the epoch second of that
// moment (CONTRACT section 4).
func setQuota(h http.Header, limit, remaining int, now time.Time) {
	h.Set("Retry-After", strconv.Itoa(int(quotaPause/time.Second)))
	h.Set("X-Stella-Quota-Limit", strconv.Itoa(limit))
	h.Set("X-Stella-Quota-Remaining", strconv.Itoa(remaining))
	h.Set("X-Stella-Quota-Reset", strconv.FormatInt(now.Add(quotaPause).Unix(), 10))
}
