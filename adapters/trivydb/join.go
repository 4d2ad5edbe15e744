package trivydb

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
)

// joinLanguages joins what the documents say of one package under one id, and
// sends it to its buckets.
//
// Trivy reads all root buckets of a language into one map by id, so of an id
// that several sources have only what the last bucket says counts (trivy-db
// pkg/db, ForEachAdvisory). So that bucket's record says what all of them say;
// the others say what their own source does.
func (b *building) joinLanguages(ctx context.Context) error {
	var group group
	for line, err := range b.languages.Sorted(ctx) {
		if err != nil {
			return err
		}
		fields, value, ok := cut(line, 5) // slug package id bucket document
		if !ok {
			return fmt.Errorf("a record of a language has too few fields: %.200q", line)
		}
		if !group.is(fields) {
			if err := b.addGroup(&group); err != nil {
				return err
			}
			b.tally.languagePackage(string(fields[0]), string(fields[1]))
			group.begin(fields)
		}
		if !group.fits(value) {
			source, stream, id := ofIdentity(string(fields[4]))
			b.tally.left.add(Left{source, stream, id, fmt.Sprintf("%s %s %s: too many documents say something of it", fields[0], fields[1], fields[2])})
			continue
		}
		if err := group.add(fields[3], value); err != nil {
			return err
		}
	}
	return b.addGroup(&group)
}

// group is what there is of one package under one id.
type group struct {
	slug, name, id []byte
	buckets        []groupBucket // in the order of their names
	size           int           // of what documents say, in bytes
}

// maxGroup bounds what is said of one package under one id: a group is in memory.
const maxGroup = 8 << 20

// fits reports whether another record has room, and counts it. The first has.
func (g *group) fits(value []byte) bool {
	if len(g.buckets) > 0 && g.size+len(value) > maxGroup {
		return false
	}
	g.size += len(value)
	return true
}

type groupBucket struct {
	name  []byte
	value []byte // of the first document
	one   *record
}

func (g *group) is(fields [][]byte) bool {
	return len(g.buckets) > 0 && bytes.Equal(g.slug, fields[0]) && bytes.Equal(g.name, fields[1]) && bytes.Equal(g.id, fields[2])
}

func (g *group) begin(fields [][]byte) {
	g.slug = append(g.slug[:0], fields[0]...)
	g.name = append(g.name[:0], fields[1]...)
	g.id = append(g.id[:0], fields[2]...)
	g.buckets, g.size = g.buckets[:0], 0
}

func (g *group) add(bucket, value []byte) error {
	if n := len(g.buckets); n == 0 || !bytes.Equal(g.buckets[n-1].name, bucket) {
		g.buckets = append(g.buckets, groupBucket{name: bytes.Clone(bucket), value: bytes.Clone(value)})
		return nil
	}
	last := &g.buckets[len(g.buckets)-1]
	before, err := last.record()
	if err != nil {
		return err
	}
	next, err := readRecord(value)
	if err != nil {
		return err
	}
	joined := union(before, next)
	last.one = &joined
	return nil
}

func (b *groupBucket) record() (record, error) {
	if b.one != nil {
		return *b.one, nil
	}
	return readRecord(b.value)
}

func readRecord(value []byte) (r record, err error) {
	if err = json.Unmarshal(value, &r); err != nil {
		err = fmt.Errorf("a packed record: %w", err)
	}
	return r, err
}

// addGroup sends a group to the database.
func (b *building) addGroup(g *group) error {
	if len(g.buckets) > 1 {
		b.tally.Joined++
		if err := g.joinLast(); err != nil {
			return err
		}
	}
	for _, bucket := range g.buckets {
		value := bucket.value
		if bucket.one != nil {
			value = bucket.one.text()
		}
		line := bytes.Join([][]byte{bucket.name, g.name, g.id, value}, []byte(separator))
		if err := b.buckets.Add(line); err != nil {
			return err
		}
		b.tally.languageRecord(string(g.slug))
	}
	return nil
}

// joinLast makes the last bucket's record say what all of them say.
func (g *group) joinLast() error {
	last := &g.buckets[len(g.buckets)-1]
	all, err := last.record()
	if err != nil {
		return err
	}
	for i := range g.buckets[:len(g.buckets)-1] {
		other, err := g.buckets[i].record()
		if err != nil {
			return err
		}
		all = union(all, other)
	}
	last.one = &all
	return nil
}
