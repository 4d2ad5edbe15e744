package export

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// newestLayout is ledger.ModifiedLayout.
const newestLayout = "2006-01-02T15:04:05.000000000Z"

// Compare holds what the sources gave against what they gave the last run, nil without
// one, and against the run's own moment. What is new is fine. The answer depends on
// nothing else: on no clock, and on no order.
func (c *GuardConfig) Compare(before, now []SourceCount, requestedAt time.Time) ([]GuardSource, []GuardReason) {
	sources := pair(before, now)
	var reasons []GuardReason
	for _, s := range sources {
		for _, r := range c.judge(s, requestedAt) {
			r.Source, r.Stream, r.Kind = s.Source, s.Stream, s.Kind
			r.Message = s.name() + " " + r.Message
			reasons = append(reasons, r)
		}
	}
	return sources, reasons
}

// pair puts what belongs together side by side, in the order of the names.
func pair(before, now []SourceCount) []GuardSource {
	type key struct{ source, stream, kind string }
	found := map[key]*GuardSource{}
	at := func(s SourceCount) (*GuardSource, *SourceState) {
		k := key{s.Source, s.Stream, s.Kind}
		if found[k] == nil {
			found[k] = &GuardSource{Source: s.Source, Stream: s.Stream, Kind: s.Kind}
		}
		return found[k], &SourceState{Documents: s.Documents, Records: s.Records, Newest: s.Newest}
	}
	for _, s := range before {
		of, state := at(s)
		of.Before = state
	}
	for _, s := range now {
		of, state := at(s)
		of.Now = state
	}
	all := make([]GuardSource, 0, len(found))
	for _, s := range found {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b GuardSource) int {
		return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.Stream, b.Stream), strings.Compare(a.Kind, b.Kind))
	})
	return all
}

// name is a source in a sentence.
func (s GuardSource) name() string {
	if s.Stream == "" {
		return fmt.Sprintf("source %s (%s)", s.Source, s.Kind)
	}
	return fmt.Sprintf("source %s, stream %s (%s)", s.Source, s.Stream, s.Kind)
}

// judge gives what is wrong with one source, the part of the sentence behind its name.
func (c *GuardConfig) judge(s GuardSource, requestedAt time.Time) (reasons []GuardReason) {
	say := func(rule GuardRule, format string, args ...any) {
		reasons = append(reasons, GuardReason{Rule: rule, Message: fmt.Sprintf(format, args...)})
	}
	var before, now SourceState
	if s.Before != nil {
		before = *s.Before
	}
	if s.Now != nil {
		now = *s.Now
	}
	switch {
	case before.Documents > 0 && now.Documents == 0:
		say(RuleVanished, "has vanished: it gave %d documents in the last run and gives none", before.Documents)
		return reasons
	case before.Records > 0 && now.Records == 0:
		say(RuleVanished, "is emptied: its documents gave %d records in the last run and give none", before.Records)
	default:
		if c.droppedTooFar(before.Documents, now.Documents) {
			say(RuleDropped, "gives %d documents, %d in the last run: more than %d %% are missing", now.Documents, before.Documents, c.MaxDrop())
		}
		if c.droppedTooFar(before.Records, now.Records) {
			say(RuleDropped, "gives %d records, %d in the last run: more than %d %% are missing", now.Records, before.Records, c.MaxDrop())
		}
	}
	if now.Newest < before.Newest {
		say(RuleOlder, "went back in time: its newest document is of %s, and was of %s in the last run", orNone(now.Newest), before.Newest)
	}
	if c != nil && c.MaxAgeHours > 0 && now.Documents > 0 {
		if oldest := requestedAt.UTC().Add(-time.Duration(c.MaxAgeHours) * time.Hour).Format(newestLayout); now.Newest < oldest {
			say(RuleStale, "is stale: its newest document is of %s, and at most %d hours are allowed", orNone(now.Newest), c.MaxAgeHours)
		}
	}
	return reasons
}

// droppedTooFar compares in whole numbers: counts are below 2^53, so a hundred times
// as many are a number too.
func (c *GuardConfig) droppedTooFar(before, now int64) bool {
	return now < before && (before-now)*100 > int64(c.MaxDrop())*before
}

func orNone(newest string) string {
	if newest == "" {
		return "no known time"
	}
	return newest
}

// NewGuardReport makes a report within its bounds. baseline is nil without a last run.
func (c *GuardConfig) NewGuardReport(baseline *GuardBaseline, before, now []SourceCount, requestedAt time.Time, canaries []GuardCanary, gone Disappeared) GuardReport {
	sources, reasons := c.Compare(before, now, requestedAt)
	for _, canary := range canaries {
		if !canary.Found {
			reasons = append(reasons, GuardReason{Rule: RuleCanary, Canary: canary.ID,
				Message: fmt.Sprintf("canary %s is not found: no record has it as its id or alias", canary.ID)})
		}
	}
	report := GuardReport{
		Baseline: baseline, MaxDropPercent: c.MaxDrop(),
		Reasons: append([]GuardReason{}, reasons[:min(len(reasons), MaxGuardReasons)]...), ReasonsTotal: len(reasons),
		Sources: append([]GuardSource{}, sources[:min(len(sources), MaxGuardSources)]...), SourcesTotal: len(sources),
		Canaries: append([]GuardCanary{}, canaries...), Disappeared: gone,
	}
	if c != nil {
		report.MaxAgeHours = c.MaxAgeHours
	}
	if report.Disappeared.Documents == nil {
		report.Disappeared.Documents = []GoneDocument{}
	}
	return report
}

// Parks reports whether a run with this report waits for somebody to decide.
func (r GuardReport) Parks() bool { return r.ReasonsTotal > 0 }

// Why is the report in one sentence.
func (r GuardReport) Why() string {
	switch {
	case r.ReasonsTotal == 0 && r.Baseline == nil:
		return "there is no last run of this profile and selection to hold it against"
	case r.ReasonsTotal == 0:
		return "nothing shrank since run " + r.Baseline.RunID
	case r.ReasonsTotal == 1:
		return r.Reasons[0].Message
	}
	return fmt.Sprintf("%s; and %d more reasons", r.Reasons[0].Message, r.ReasonsTotal-1)
}
