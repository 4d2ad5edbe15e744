package e2e

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/ledger"
)

// told is what a comparison says of one document, in lines that say what of it changed.
type told map[string][]string

// TestTwoDays: what `export diff` says of two days of real data is what a comparison of
// the publishers' files says, which is written here and uses nothing of ours.
func TestTwoDays(t *testing.T) {
	advisories, statements := dayOne(t)
	later, restated := dayTwo(t, 20261122, advisories), restate(t, 7, statements)
	w := openWorkshop(t)
	profile, _ := export.BuiltinProfile("json:raw")
	takeDay := func(days ...[]original) (known map[string]ledger.Identity) {
		known = map[string]ledger.Identity{}
		var batch []ledger.Observation
		for _, o := range slices.Concat(days...) {
			read, err := parseEvidence(ledger.Entry{Source: "real", Stream: o.stream, Bytes: o.raw})
			require.NoError(t, err, "%.200s", o.raw)
			batch = append(batch, read)
			known[o.stream+" "+read.UpstreamID] = read.Identity()
		}
		for part := range slices.Chunk(batch, ledger.BatchDocuments) {
			w.take(t, part)
		}
		return known
	}
	before := takeDay(advisories, statements)
	from := w.run(t, profile, 0)
	after := takeDay(later, restated)
	var gone []ledger.Removal
	for name, identity := range before {
		if _, there := after[name]; !there {
			gone = append(gone, ledger.Removal{Identity: identity, Reason: "not published any more"})
		}
	}
	counted, err := w.book.Remove(t.Context(), twinRef.Tenant, gone)
	require.NoError(t, err)
	require.Equal(t, int64(len(gone)), counted.Removed)
	to := w.run(t, profile, 0)

	api := frontendtest.New(t, func(c *frontend.Config) { c.Runs, c.Ledger, c.Catalog = w.runs, w.book, w.catalog })
	c, err := client.New(api.URL, api.Token(t, twinRef.Tenant))
	require.NoError(t, err)
	want := independent(t, slices.Concat(advisories, statements), slices.Concat(later, restated))
	require.Greater(t, len(want), 1000)
	begun := time.Now()
	got, pages := diffOf(t, c, from, to, 0)
	t.Logf("%d changes of %d documents in %d pages, %s", len(got), len(before), pages, time.Since(begun).Round(time.Millisecond))
	require.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
	for name, lines := range want {
		require.Equal(t, lines, got[name], name)
	}
	small, _ := diffOf(t, c, from, to, 7)
	require.Equal(t, got, small, "pages of another size")

	// Asked for as of then, a run differs from neither.
	again := w.run(t, profile, from.AsOf)
	none, _ := diffOf(t, c, from, again, 0)
	require.Empty(t, none)
	back, _ := diffOf(t, c, to, again, 0)
	require.Len(t, back, len(want))
}

// diffOf asks the API, in pages.
func diffOf(t *testing.T, c *client.Client, from, to export.Run, size int) (told, int) {
	t.Helper()
	found, pages := told{}, 1
	size = cmp.Or(size, 1000)
	params := client.GetRunDiffParams{Limit: &size}
	for {
		page, err := c.DiffRuns(t.Context(), from.ID, to.ID, params)
		require.NoError(t, err)
		for _, change := range page.Changes {
			name := change.Stream + " " + change.ID
			require.NotContains(t, found, name, "told twice")
			require.Zero(t, change.More)
			require.Empty(t, change.Note)
			found[name] = lines(change)
		}
		if page.NextCursor == "" {
			return found, pages
		}
		params.Cursor = &page.NextCursor
		pages++
	}
}

// lines are a change in the words of the independent comparison.
func lines(c client.DocumentChange) (all []string) {
	if c.Change != client.DocumentChangeChangeChanged {
		return []string{string(c.Change)}
	}
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	said := func(s *client.SeveritySaid) []string {
		if s == nil {
			return []string{}
		}
		return s.Said
	}
	for _, s := range c.Severity {
		add("severity of %q: %q -> %q", s.Name, said(s.From), said(s.To))
	}
	for _, p := range c.Packages {
		add("package %s %s: ranges +%q -%q, fixed +%q -%q, versions +%d -%d", p.Ecosystem, p.Name, p.RangesAdded, p.RangesRemoved,
			p.FixedAdded, p.FixedRemoved, p.VersionsAdded, p.VersionsRemoved)
	}
	if c.Withdrawn != nil {
		add("withdrawn %q -> %q", c.Withdrawn.From, c.Withdrawn.To)
	}
	if len(c.AliasesAdded)+len(c.AliasesRemoved) > 0 {
		add("aliases +%q -%q", c.AliasesAdded, c.AliasesRemoved)
	}
	for _, s := range c.Statements {
		add("status of %s: %q -> %q", s.Vulnerability, s.From, s.To)
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) == 0 {
		return []string{"other"}
	}
	return all
}

// independent compares the files of two days.
func independent(t *testing.T, before, after []original) told {
	t.Helper()
	from, to := newest(t, before), newest(t, after)
	found := told{}
	for name, raw := range from {
		switch then, there := to[name]; {
		case !there:
			found[name] = []string{"removed"}
		case !bytes.Equal(raw, then):
			found[name] = differences(opened(t, raw), opened(t, then))
		}
	}
	for name := range to {
		if _, there := from[name]; !there {
			found[name] = []string{"added"}
		}
	}
	return found
}

// newest gives the documents by stream and id: of one id the one that was changed last,
// of those of one moment the one with the greatest SHA-256.
func newest(t *testing.T, originals []original) map[string][]byte {
	t.Helper()
	type revision struct {
		at  time.Time
		sum [32]byte
		raw []byte
	}
	best := map[string]revision{}
	for _, o := range originals {
		var head struct {
			ID        string    `json:"id"`
			AtID      string    `json:"@id"`
			Modified  time.Time `json:"modified"`
			Timestamp time.Time `json:"timestamp"`
			Updated   time.Time `json:"last_updated"`
		}
		require.NoError(t, json.Unmarshal(o.raw, &head))
		r := revision{head.Modified, sha256.Sum256(o.raw), o.raw}
		if head.AtID != "" {
			if r.at = head.Updated; r.at.IsZero() {
				r.at = head.Timestamp
			}
		}
		name := o.stream + " " + cmp.Or(head.ID, head.AtID)
		held, there := best[name]
		if !there || r.at.After(held.at) || r.at.Equal(held.at) && bytes.Compare(r.sum[:], held.sum[:]) > 0 {
			best[name] = r
		}
	}
	found := map[string][]byte{}
	for name, r := range best {
		found[name] = r.raw
	}
	return found
}

// differences says of what two documents differ.
func differences(from, to object) (all []string) {
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if before, after := severitiesOf(from), severitiesOf(to); !slices.Equal(before, after) {
		add("severity of %q: %q -> %q", "", before, after)
	}
	before, after := packagesOf(from), packagesOf(to)
	for name := range allOf(before, after) {
		was, is := before[name], after[name]
		ranges, lost := without(is["range"], was["range"]), without(was["range"], is["range"])
		fixed, unfixed := without(is["fixed"], was["fixed"]), without(was["fixed"], is["fixed"])
		versions, less := without(is["version"], was["version"]), without(was["version"], is["version"])
		if len(ranges)+len(lost)+len(fixed)+len(unfixed)+len(versions)+len(less) > 0 || (was == nil) != (is == nil) {
			add("package %s: ranges +%q -%q, fixed +%q -%q, versions +%d -%d", name, ranges, lost, fixed, unfixed, len(versions), len(less))
		}
	}
	if was, is := text(from["withdrawn"]), text(to["withdrawn"]); was != is {
		add("withdrawn %q -> %q", was, is)
	}
	stated, restated := statusesOf(from), statusesOf(to)
	for about := range allOf(stated, restated) {
		if a, b := stated[about].status, restated[about].status; a != b {
			add("status of %s: %q -> %q", about[0], a, b)
		}
	}
	was, is := setOf(from["aliases"]), setOf(to["aliases"])
	for about := range stated { // the other ids of a VEX document are those that it speaks of
		was[about[0]] = true
	}
	for about := range restated {
		is[about[0]] = true
	}
	if more, less := without(is, was), without(was, is); len(more)+len(less) > 0 {
		add("aliases +%q -%q", more, less)
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) == 0 {
		return []string{"other"}
	}
	return all
}

// status is what was said last of a vulnerability, a product and its parts.
type status struct {
	at     time.Time
	status string
}

func statusesOf(o object) map[[3]string]status {
	found := map[[3]string]status{}
	for _, s := range objects(o["statements"]) {
		var at time.Time
		for _, moment := range []any{s["last_updated"], s["timestamp"], o["timestamp"], o["last_updated"]} {
			if at.IsZero() {
				at, _ = time.Parse(time.RFC3339Nano, text(moment))
			}
		}
		named, _ := s["vulnerability"].(object)
		for _, product := range objects(s["products"]) {
			parts := map[string]bool{}
			for _, part := range objects(product["subcomponents"]) {
				parts[text(part["@id"])] = true
			}
			about := [3]string{text(named["name"]), text(product["@id"]), strings.Join(slices.Sorted(maps.Keys(parts)), " ")}
			if last, there := found[about]; !there || !at.Before(last.at) {
				found[about] = status{at, text(s["status"])}
			}
		}
	}
	return found
}

func text(value any) string { s, _ := value.(string); return s }

// severitiesOf are the vectors, and the words with GitHub's made the scale's.
func severitiesOf(o object) []string {
	said := map[string]bool{}
	for _, s := range objects(o["severity"]) {
		said[text(s["score"])] = true
	}
	for _, member := range []string{"database_specific", "ecosystem_specific"} {
		specific, _ := o[member].(object)
		if word := strings.ToLower(text(specific["severity"])); word != "" {
			said[map[string]string{"moderate": "medium"}[word]+map[bool]string{false: word}[word == "moderate"]] = true
		}
	}
	return append([]string{}, slices.Sorted(maps.Keys(said))...)
}

// packagesOf gives what is said of each package: ranges, fixed and listed versions.
func packagesOf(o object) map[string]map[string]map[string]bool {
	found := map[string]map[string]map[string]bool{}
	for _, entry := range objects(o["affected"]) {
		named, _ := entry["package"].(object)
		said := map[string]map[string]bool{"range": {}, "fixed": {}, "version": setOf(entry["versions"])}
		for _, r := range objects(entry["ranges"]) {
			if r["type"] == "GIT" {
				continue
			}
			var events []string
			for _, e := range objects(r["events"]) {
				for _, member := range []string{"introduced", "fixed", "last_affected", "limit"} {
					if version := text(e[member]); version != "" {
						events = append(events, strings.ReplaceAll(member, "_", " ")+" "+version)
					}
				}
				if fixed := text(e["fixed"]); fixed != "" {
					said["fixed"][fixed] = true
				}
			}
			said["range"][text(r["type"])+": "+strings.Join(events, ", ")] = true
		}
		name := text(named["ecosystem"]) + " " + text(named["name"])
		switch {
		case named == nil || len(said["range"])+len(said["version"]) == 0:
		case found[name] == nil:
			found[name] = said
		default:
			for what := range said {
				maps.Copy(found[name][what], said[what])
			}
		}
	}
	return found
}

func setOf(value any) map[string]bool {
	set := map[string]bool{}
	list, _ := value.([]any)
	for _, v := range list {
		set[text(v)] = true
	}
	return set
}

// without gives what is in one set and not in another, sorted.
func without(all, some map[string]bool) []string {
	var left []string
	for word := range all {
		if !some[word] {
			left = append(left, word)
		}
	}
	slices.Sort(left)
	return left
}

func allOf[K comparable, V any](a, b map[K]V) map[K]bool {
	names := map[K]bool{}
	for name := range a {
		names[name] = true
	}
	for name := range b {
		names[name] = true
	}
	return names
}
