package trivyjavadb

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
)

// decide goes through the archives by their SHA-1, and takes one name for each:
// Trivy's index has no room for two. Where documents disagree, the name that most
// documents give stands, and of those that as many give the bytewise first, by
// group, artifact, version and type. Nothing else enters: neither which document
// came first nor where it came from.
func (b *building) decide(ctx context.Context) error {
	var now, best candidate
	end := func() error {
		if best = better(best, now); best.line == nil {
			return nil
		}
		return b.accept(best)
	}
	for line, err := range b.bySHA1.Sorted(ctx) {
		if err != nil {
			return err
		}
		named, source, err := cutSource(line)
		switch {
		case err != nil:
			return err
		case bytes.Equal(named, now.line): // another document that says the same
			now.add(source)
			continue
		case sameSHA1(named, now.line):
			if best.line == nil { // the second name of this file
				b.tally.Conflicts++
			}
			best = better(best, now)
		default:
			if err := end(); err != nil {
				return err
			}
			best = candidate{}
		}
		now = candidate{line: bytes.Clone(named)}
		now.add(source)
	}
	return end()
}

// candidate is one name of a file, and who gives it.
type candidate struct {
	line      []byte // sha1, group, artifact, version, type
	documents int
	sources   []int // by their numbers, each once: they come together
}

func (c *candidate) add(source int) {
	c.documents++
	if !slices.Contains(c.sources, source) {
		c.sources = append(c.sources, source)
	}
}

// better gives the one of two that more documents name; candidates come in order,
// so of equal ones the first is the bytewise first.
func better(best, next candidate) candidate {
	if best.line == nil || next.documents > best.documents {
		return next
	}
	return best
}

// accept hands a name on, in the order of the database: sha1 goes behind the
// version.
func (b *building) accept(c candidate) error {
	for _, source := range c.sources {
		b.tally.sources[source].Records++
	}
	f := bytes.Split(c.line, []byte(separator))
	return b.byName.Add(bytes.Join([][]byte{f[1], f[2], f[3], f[0], f[4]}, []byte(separator)))
}

func cutSource(line []byte) (named []byte, source int, err error) {
	at := bytes.LastIndexByte(line, separator[0])
	if source, err = strconv.Atoi(string(line[at+1:])); err != nil || at < 0 {
		return nil, 0, fmt.Errorf("a sorted line names no source: %.100q", line)
	}
	return line[:at], source, nil
}

// sameSHA1 reports whether two lines are of one file.
func sameSHA1(a, b []byte) bool { return len(a) > 40 && len(b) > 40 && bytes.Equal(a[:40], b[:40]) }
