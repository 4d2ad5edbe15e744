package frontend

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRecentForgetsWhatWasNotUsedForLongest(t *testing.T) {
	r := newRecent[string, int](10)
	r.put("a", 1, 4)
	r.put("b", 2, 4)
	got, ok := r.get("a")
	require.True(t, ok)
	require.Equal(t, 1, got)

	r.put("c", 3, 4)
	_, ok = r.get("b")
	require.False(t, ok, "b was used before a")
	_, ok = r.get("a")
	require.True(t, ok)

	r.put("d", 4, 11)
	_, ok = r.get("d")
	require.False(t, ok, "heavier than everything may be")
	require.Equal(t, 8, r.weight, "and it drove nothing out")

	r.put("a", 5, 10)
	got, _ = r.get("a")
	require.Equal(t, 5, got)
	_, ok = r.get("c")
	require.False(t, ok, "room for a's new weight")

	r.put("a", 6, 11)
	_, ok = r.get("a")
	require.False(t, ok, "the old value is not the new one's")
	require.Zero(t, r.weight)
	require.Empty(t, r.places)
	require.Zero(t, r.order.Len())
}

func TestRecentStaysWithinItsLimit(t *testing.T) {
	r := newRecent[int, int](100)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 2000 {
				key := (i*7 + worker) % 60
				if value, ok := r.get(key); ok && value != key {
					t.Errorf("%d is %d", key, value)
				}
				r.put(key, key, 1+key%9)
			}
		})
	}
	all.Wait()
	sum := 0
	for e := r.order.Front(); e != nil; e = e.Next() {
		sum += e.Value.(*remembered[int, int]).weight
	}
	require.Equal(t, sum, r.weight)
	require.LessOrEqual(t, sum, 100)
	require.Len(t, r.places, r.order.Len())
}
