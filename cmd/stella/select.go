package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
)

// selectLists are the keys of --select that may be given often, each with the
// member it fills.
var selectLists = map[string]func(*client.Selectors) *[]string{
	"kind":      func(s *client.Selectors) *[]string { return &s.Kinds },
	"source":    func(s *client.Selectors) *[]string { return &s.Sources },
	"ecosystem": func(s *client.Selectors) *[]string { return &s.Ecosystems },
	"purl":      func(s *client.Selectors) *[]string { return &s.Products },
	"severity":  func(s *client.Selectors) *[]string { return &s.Severities },
	"sbom":      func(s *client.Selectors) *[]string { return &s.SbomSubjects },
	"include":   func(s *client.Selectors) *[]string { return &s.Include },
	"exclude":   func(s *client.Selectors) *[]string { return &s.Exclude },
	"project":   func(s *client.Selectors) *[]string { return &s.Projects },
	"tenant":    func(s *client.Selectors) *[]string { return &s.Tenants },
}

// selectTimes are the keys of --select that take a range of times.
var selectTimes = map[string]export.TimeField{"modified": export.TimeModified, "observed": export.TimeObserved}

const selectKeyList = "ecosystem, exclude, include, kind, modified, observed, project, purl, sample, sbom, severity, source, tenant"

// parseSelect reads the values of --select. Values of one key are
// alternatives; a value is taken as it is, equals signs and commas included.
func parseSelect(values []string) (client.Selectors, error) {
	var s client.Selectors
	for _, value := range values {
		key, wanted, found := strings.Cut(value, "=")
		member, list := selectLists[key]
		field, times := selectTimes[key]
		switch {
		case !found:
			return s, inputErrorf("--select %q: want key=value with one of the keys %s", value, selectKeyList)
		case !list && !times && key != "sample":
			return s, inputErrorf("--select %q: unknown key %q; the keys are %s", value, key, selectKeyList)
		case wanted == "":
			return s, inputErrorf("--select %q: the value is empty", value)
		case list:
			values := member(&s)
			*values = append(*values, wanted)
			continue
		case key == "sample":
			sample, err := parseSample(wanted)
			if err != nil || s.Sample != nil {
				return s, inputErrorf("--select %q: want sample=RATE:SEED once, a rate from 0 to 1 and any text, for example sample=0.1:2026", value)
			}
			s.Sample = sample
			continue
		case s.TimeWindow != nil:
			return s, inputErrorf("--select %q: a run has one range of times, of modified or of observed", value)
		}
		window, err := parseRange(wanted)
		if err != nil {
			return s, inputErrorf("--select %q: %w", value, err)
		}
		window.Field = string(field)
		s.TimeWindow = window
	}
	return s, nil
}

// parseSample reads RATE:SEED.
func parseSample(text string) (*client.Sample, error) {
	rate, seed, found := strings.Cut(text, ":")
	value, err := strconv.ParseFloat(rate, 64)
	if err == nil && (!found || !(value >= 0 && value <= 1)) {
		err = strconv.ErrRange
	}
	return &client.Sample{Rate: value, Seed: seed}, err
}

// parseRange reads FROM..TO; FROM is in the range, TO is not, and one of them
// may be missing.
func parseRange(text string) (*client.TimeWindow, error) {
	from, to, found := strings.Cut(text, "..")
	if !found || from == "" && to == "" {
		return nil, inputErrorf("want FROM..TO, FROM.. or ..TO, for example 2024-01-01..2025-01-01")
	}
	var window client.TimeWindow
	for _, end := range []struct {
		text string
		out  **string
	}{{from, &window.From}, {to, &window.To}} {
		if end.text == "" {
			continue
		}
		at, err := parseTime(end.text)
		if err != nil {
			return nil, err
		}
		*end.out = &at
	}
	return &window, nil
}

// parseTime reads a day, which begins at midnight UTC, or an RFC 3339 time,
// and gives the time in RFC 3339.
func parseTime(text string) (string, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.Format(time.RFC3339Nano), nil
		}
	}
	return "", inputErrorf("%q is not a day (2026-11-21) or a time (2026-11-21T08:00:00Z)", text)
}
