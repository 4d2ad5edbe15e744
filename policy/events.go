package policy

import (
	"cmp"
	"slices"

	"github.com/google/osv-scalibr/semantic"
)

// paired reports whether every second event ends what the one before begins, at
// its version or a later one.
func paired(events []event) (bool, error) {
	for i, e := range events {
		if (e.Introduced != "") != (i%2 == 0) {
			return false, nil
		}
		if i%2 == 1 {
			if n, err := compareEvents(events[i-1], e); err != nil || n > 0 {
				return false, err
			}
		}
	}
	return true, nil
}

// inOrder sorts events by their versions. At one version an end goes before a
// begin, so that nothing is lost.
func inOrder(events []event) (sorted []event, err error) {
	sorted = slices.Clone(events)
	slices.SortStableFunc(sorted, func(a, b event) int {
		n, failed := compareEvents(a, b)
		if err == nil {
			err = failed
		}
		begins := func(e event) int { return min(len(e.Introduced), 1) }
		return cmp.Or(n, cmp.Compare(begins(a), begins(b)))
	})
	return sorted, err
}

// reached evaluates events one after the other: the last one that v has reached
// decides. A last_affected before which nothing has begun ends what begins at
// its version.
func reached(v semantic.Version, events []event) (held bool, err error) {
	var ended *event // by a last_affected before anything began
	for _, e := range events {
		n := 1
		if e.at != nil {
			if n, err = compare(v, e.at); err != nil {
				return false, err
			}
		}
		switch {
		case e.Introduced != "" && n >= 0:
			held = n == 0 || ended == nil || !sameVersion(*ended, e)
		case e.Fixed != "" && n >= 0:
			held = false
		case e.LastAffected != "" && n > 0:
			if !held {
				ended = &e
			}
			held = false
		}
	}
	return held, nil
}

func compareEvents(a, b event) (int, error) {
	switch {
	case a.at == nil && b.at == nil:
		return 0, nil
	case a.at == nil:
		return -1, nil
	case b.at == nil:
		return 1, nil
	}
	return compare(a.at, b.at)
}

func sameVersion(a, b event) bool {
	n, err := compareEvents(a, b)
	return err == nil && n == 0
}
