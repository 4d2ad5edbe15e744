package activities

import (
	"slices"
	"sort"
	"strings"

	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// stretch is a part of a plan: a shard of the plan before, or keys to list.
type stretch struct {
	kept *storage.Shard
	keys ledger.KeyRange
}

// everything lists all keys.
var everything = []stretch{{}}

// derive gives the parts of the plan that follows old after documents under the
// touched keys have appeared, changed or gone. A cut depends on the document
// behind it and on nothing else, so a shard without a touched key stays as it
// is, unless the document at its front is one: then the cut may be gone, and
// the shard before is listed with it. What is listed of a kind begins at a cut
// that stays, or at the kind's first document.
func derive(old []storage.Shard, touched []string) []stretch {
	byKind := map[string][]storage.Shard{}
	keys := map[string][]string{}
	var kinds []string
	note := func(kind string) {
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	for _, s := range old {
		note(s.Kind)
		byKind[s.Kind] = append(byKind[s.Kind], s)
	}
	for _, key := range touched {
		kind, _, _ := strings.Cut(key, "\n")
		note(kind)
		keys[kind] = append(keys[kind], key)
	}
	sort.Strings(kinds)
	var parts []stretch
	for _, kind := range kinds {
		parts = append(parts, deriveKind(kind, byKind[kind], keys[kind])...)
	}
	return parts
}

func deriveKind(kind string, old []storage.Shard, touched []string) (parts []stretch) {
	stale := make([]bool, len(old))
	for _, key := range touched {
		after := sort.Search(len(old), func(i int) bool { return old[i].Cursor > key })
		in := max(after-1, 0)
		if len(old) > 0 {
			stale[in] = true
		}
		if in > 0 && old[in].Cursor == key {
			stale[in-1] = true
		}
	}
	if len(old) == 0 {
		return []stretch{{keys: ledger.KeyRange{Kind: kind}}}
	}
	for i := 0; i < len(old); {
		if !stale[i] {
			parts = append(parts, stretch{kept: &old[i]})
			i++
			continue
		}
		end := i + 1
		for end < len(old) && stale[end] {
			end++
		}
		parts = append(parts, stretch{keys: shardRange(old, i, end)})
		i = end
	}
	return parts
}

// shardRange holds the keys of shards from up to, and not including, to, which
// are of one kind. shards are all of that kind.
func shardRange(shards []storage.Shard, from, to int) ledger.KeyRange {
	keys := ledger.KeyRange{Kind: shards[from].Kind}
	if from > 0 {
		keys.From = shards[from].Cursor
	}
	if to < len(shards) {
		keys.To = shards[to].Cursor
	}
	return keys
}
