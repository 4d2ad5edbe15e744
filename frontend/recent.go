package frontend

import (
	"container/list"
	"sync"
)

// recent remembers what was used last, bounded by the sum of the weights of what
// it holds: what was not used for longest goes first. It may be used by many at
// once.
type recent[K comparable, V any] struct {
	limit int

	mu     sync.Mutex
	weight int
	order  *list.List // of *remembered[K, V], the last used in front
	places map[K]*list.Element
}

type remembered[K comparable, V any] struct {
	key    K
	value  V
	weight int
}

// newRecent makes a memory for values that weigh no more than limit together.
func newRecent[K comparable, V any](limit int) *recent[K, V] {
	return &recent[K, V]{limit: limit, order: list.New(), places: map[K]*list.Element{}}
}

// get gives the value of key, if it is remembered.
func (r *recent[K, V]) get(key K) (value V, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	place, ok := r.places[key]
	if !ok {
		return value, false
	}
	r.order.MoveToFront(place)
	return place.Value.(*remembered[K, V]).value, true
}

// put remembers value in place of what key had. What is heavier than everything
// may be together is not remembered and drives nothing out.
func (r *recent[K, V]) put(key K, value V, weight int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if place, ok := r.places[key]; ok {
		r.forget(place)
	}
	if weight > r.limit {
		return
	}
	r.places[key] = r.order.PushFront(&remembered[K, V]{key, value, weight})
	for r.weight += weight; r.weight > r.limit; {
		r.forget(r.order.Back())
	}
}

// drop forgets the value of key.
func (r *recent[K, V]) drop(key K) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if place, ok := r.places[key]; ok {
		r.forget(place)
	}
}

// forget removes a value, for the holder of the lock.
func (r *recent[K, V]) forget(place *list.Element) {
	gone := r.order.Remove(place).(*remembered[K, V])
	delete(r.places, gone.key)
	r.weight -= gone.weight
}
