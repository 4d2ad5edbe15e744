package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// row is one line of the table and of build/bench.json. What could not be
// measured or has no floor is null.
type row struct {
	Row           string             `json:"row"`
	Wall          *float64           `json:"wall_s"`
	CPU           *float64           `json:"cpu_s"`
	RSS           *float64           `json:"rss_mb"`
	FloorWall     *float64           `json:"floor_wall_s"`
	Ratio         *float64           `json:"ratio"`           // of wall to the floor's
	PercentOfFull *float64           `json:"percent_of_full"` // processor time, of a full run's
	Value         *float64           `json:"value"`           // of what is neither time nor memory of a step
	Unit          string             `json:"unit,omitempty"`  // of value
	Limit         *float64           `json:"limit"`           // of ratio, percent_of_full or value
	Aim           *float64           `json:"aim"`
	Pass          *bool              `json:"pass"` // false also when it has a limit and was not measured
	Parts         map[string]float64 `json:"cpu_by_part_s,omitempty"`
}

func measuredRow(name string, m measure) row {
	r := row{Row: name, Wall: seconds(m.wall), CPU: seconds(m.processor()),
		RSS: number(float64(m.rss)/1e6, 1), Parts: map[string]float64{}}
	for part, d := range m.cpu {
		r.Parts[part] = *seconds(d)
	}
	return r
}

func valueRow(name string, value float64, unit string) row {
	return row{Row: name, Value: &value, Unit: unit}
}

// beside gives a row its floor, nil when that could not be had.
func (r row) beside(floor *time.Duration) row {
	if floor != nil {
		r.FloorWall, r.Ratio = seconds(*floor), number(*r.Wall/floor.Seconds(), 3)
	}
	return r
}

// of compares processor time with that of a full run.
func (r row) of(full measure) row {
	if all := full.processor().Seconds(); all > 0 {
		r.PercentOfFull = number(100**r.CPU/all, 1)
	}
	return r
}

// add keeps a row, with its limit.
func (b *bench) add(r row) { b.rows = append(b.rows, r.judged()) }

// seconds are exact to the microsecond: the first byte of a download takes less
// than a thousandth.
func seconds(d time.Duration) *float64 { return number(d.Seconds(), 6) }

func number(v float64, digits int) *float64 {
	rounded := round(v, digits)
	return &rounded
}

func round(v float64, digits int) float64 {
	scale := math.Pow(10, float64(digits))
	return math.Round(v*scale) / scale
}

// list writes times as seconds.
func list(all []time.Duration) string {
	texts := make([]string, len(all))
	for i, d := range all {
		texts[i] = fmt.Sprintf("%.2f", d.Seconds())
	}
	return strings.Join(texts, " ")
}
