package main

import (
	"fmt"
	"maps"
	"slices"
)

// limit is what a row must keep to, in the row's own measure.
type limit struct {
	at, aim float64 // aim 0: none beyond the limit
	of      func(row) *float64
	unit    string
}

func ratio(r row) *float64   { return r.Ratio }
func percent(r row) *float64 { return r.PercentOfFull }
func value(r row) *float64   { return r.Value }

// limits are those that were asked for, for 1,000,000 documents on 2 cores, by the
// name of the row. They are printed for every number of documents.
var limits = map[string]limit{
	"import":                     {at: 5, aim: 3, of: ratio, unit: "x"},
	"export json:raw":            {at: 1.5, aim: 1, of: ratio, unit: "x"},
	"re-export, 0.1 % clustered": {at: 10, aim: 5, of: percent, unit: " %"},
	"smallest run, empty ledger": {at: 3, of: ratio, unit: "x"},
	"smallest run, among all":    {at: 3, of: ratio, unit: "x"},
	"download, first byte":       {at: 3, of: ratio, unit: "x"},
	"16 downloads at once, 1 GB": {at: 1.11, of: ratio, unit: "x"},
	"8,000 reads, DPoP":          {at: 3.33, aim: 2, of: ratio, unit: "x"},
	"worker memory, full runs":   {at: 256, of: value, unit: " MiB"},
	"history events":             {at: 300, of: value},
	trivyProcessor:               {at: 0.5, of: value, unit: "x"},
	trivyMemory:                  {at: 256, of: value, unit: " MiB"},
	mirrorMemory:                 {at: 256, of: value, unit: " MiB"},
	deltaBytes:                   {at: 1, of: value, unit: " %"},
}

// apart are the rows of -mirrors, which measures nothing else and is measured by
// nothing else.
var apart = []string{mirrorMemory, deltaBytes}

// judged gives a row its limit and says whether it keeps to it. What has a
// limit and could not be measured does not.
func (r row) judged() row {
	l, limited := limits[r.Row]
	if !limited {
		return r
	}
	measured := l.of(r)
	pass := measured != nil && *measured <= l.at
	r.Limit, r.Pass = &l.at, &pass
	if l.aim > 0 {
		r.Aim = &l.aim
	}
	return r
}

// verdict is the row's limit in words, "" without one.
func (r row) verdict() string {
	l, limited := limits[r.Row]
	if !limited {
		return ""
	}
	text := fmt.Sprintf("<= %g%s", l.at, l.unit)
	if l.aim > 0 {
		text += fmt.Sprintf(", aim %g", l.aim)
	}
	switch {
	case l.of(r) == nil:
		return text + ": NOT MEASURED"
	case !*r.Pass:
		return text + ": MISSED"
	}
	return text + ": ok"
}

// missed names the rows that do not keep to their limits, those that are not
// there at all included.
func missed(rows []row) []string {
	var names []string
	there := map[string]bool{}
	for _, r := range rows {
		there[r.Row] = true
		if r.Pass != nil && !*r.Pass {
			names = append(names, r.Row)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		if !there[name] && !slices.Contains(apart, name) {
			names = append(names, name)
		}
	}
	return names
}
