package activities

import (
	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// Forecast cuts a listing into shards as Resolve would, and keeps nothing of it
// but the shards: what a run would have to do.
type Forecast struct{ planner *planner }

// NewForecast begins a forecast. Add its documents in the order of a listing.
func NewForecast() *Forecast {
	return &Forecast{newPlanner(func([]storage.ShardPlaces) error { return nil })}
}

// From begins with the documents of another source (storage.Shard).
func (f *Forecast) From(source string) error { return f.planner.from(source) }

// Add takes the next document.
func (f *Forecast) Add(row ledger.Row) error { return f.planner.add(row) }

// Shards ends the forecast and gives the shards in order.
func (f *Forecast) Shards() ([]storage.Shard, error) {
	err := f.planner.end()
	return f.planner.shards, err
}

// Recipe names all that a run's packed shards depend on besides their documents:
// a shard that was packed by the same recipe is taken over. The adapter is the one
// that packs (adapters.Registry.PackingOf).
func Recipe(run export.Run, adapter adapters.Adapter) (bundle.Digest, error) {
	return recipeOf(run, adapter)
}
