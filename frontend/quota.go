package frontend

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/stella-ops/exportcenter/storage"
)

const (
	// slotPause is when a client may ask again whose tenant has too many runs waiting.
	// Nobody knows when one ends; this is often enough to take the place soon, and
	// costs nothing.
	slotPause = 5 * time.Second
	// bytesPause is the same for a tenant that keeps as many bytes as it may: somebody
	// has to act, or days have to pass.
	bytesPause = time.Hour
)

// usedUp tells which bound an error is about, and when to ask again.
func usedUp(err error) (limit int64, after time.Duration, used bool) {
	var full *storage.QueueFull
	var reached *storage.QuotaReached
	var held tooBusy
	switch {
	case errors.As(err, &full):
		return int64(full.Limit), slotPause, true
	case errors.As(err, &reached) && reached.After == 0:
		return reached.Limit, bytesPause, true
	case errors.As(err, &reached):
		return reached.Limit, reached.After, true
	case errors.As(err, &held):
		return int64(held.limit), held.after, true
	}
	return 0, 0, false
}

// setQuota says how many of a thing a tenant may have, that it may have no more now,
// and when to ask again: in whole seconds, and as the epoch second of that moment
// (CONTRACT section 4).
func setQuota(h http.Header, limit int64, after time.Duration, now time.Time) {
	seconds := int64(math.Ceil(max(after, time.Second).Seconds()))
	h.Set("Retry-After", strconv.FormatInt(seconds, 10))
	h.Set("X-Stella-Quota-Limit", strconv.FormatInt(limit, 10))
	h.Set("X-Stella-Quota-Remaining", "0")
	h.Set("X-Stella-Quota-Reset", strconv.FormatInt(now.Add(time.Duration(seconds)*time.Second).Unix(), 10))
}
