package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/internal/clock"
)

// Rows of mirrors that have a limit.
const (
	mirrorMemory = "mirror:full, memory of the worker"
	deltaBytes   = "delta, 0.1 % scattered, bytes of the full mirror's"
)

// mirrorChanges are what happens between a mirror and the next.
var mirrorChanges = []change{
	{row: "0.1 % clustered", number: 1, permille: 1, pick: clustered},
	{row: "0.1 % scattered", number: 2, permille: 1, pick: scattered},
	{row: "1 % scattered", number: 3, permille: 10, pick: scattered},
	{row: "10 % scattered", number: 4, permille: 100, pick: scattered},
}

// runMirrors measures mirrors in a house of their own: the first, one after each
// change, the delta between the two, and a site that applies it.
func runMirrors(ctx context.Context, o options) error {
	return inHouse(ctx, o, func(b *bench, machine string) error {
		if err := b.mirrors(ctx); err != nil {
			return fmt.Errorf("%w\n%s", err, b.house.lastWords())
		}
		return b.report(o, machine)
	})
}

func (b *bench) mirrors(ctx context.Context) error {
	token := b.house.env["STELLA_TOKEN"]
	if _, _, err := b.importFile(ctx, token, b.docs.path, b.docs.count, "--source", "bench", "--stream", "bench"); err != nil {
		return err
	}
	last, err := b.mirrorRun(ctx, "mirror:full", nil)
	if err != nil {
		return err
	}
	b.full = last.measure
	b.add(measuredRow("mirror:full, everything is new", last.measure))
	memory := last.rss
	site := filepath.Join(b.dir, "site")
	full, err := b.begin(ctx, last.id, site)
	if err != nil {
		return err
	}
	b.note("the full mirror has %.1f MB", float64(full)/1e6)
	for _, c := range mirrorChanges {
		next, err := b.mirrorAfter(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.row, err)
		}
		memory = max(memory, next.rss)
		if err := b.delta(ctx, c, last.id, next.id, site, full); err != nil {
			return fmt.Errorf("%s: %w", c.row, err)
		}
		last = next
	}
	b.add(valueRow(mirrorMemory, round(float64(memory)/(1<<20), 1), "MiB"))
	return nil
}

// begin downloads and verifies the first mirror and unpacks it at the site.
func (b *bench) begin(ctx context.Context, id, site string) (size int64, err error) {
	archive := filepath.Join(b.dir, "mirror.tar")
	defer os.Remove(archive) //nolint:errcheck // the directory goes as well
	download, verify, err := b.download(ctx, id, archive)
	if err != nil {
		return 0, err
	}
	b.add(measuredRow("mirror:full, download", download))
	b.add(measuredRow("mirror:full, verify", verify))
	info, err := os.Stat(archive)
	if err != nil {
		return 0, err
	}
	if b.order, err = orderOf(archive); err != nil {
		return 0, err
	}
	unpacked, err := b.atSite(ctx, "mirror", "init", site, archive)
	b.add(measuredRow("stella mirror init", unpacked))
	return info.Size(), err
}

// orderOf gives the ids of the documents of a mirror in the order of its lines.
func orderOf(archive string) (ids []string, err error) {
	lines, err := openPayload(archive)
	if err != nil {
		return nil, err
	}
	defer lines.close()
	for lines.Next() {
		var line payloadLine
		if err := json.Unmarshal([]byte(lines.Line()), &line); err != nil {
			return nil, fmt.Errorf("line %d of the mirror: %w", len(ids)+1, err)
		}
		ids = append(ids, line.UpstreamID)
	}
	return ids, lines.Err()
}

// atSite runs stella without the house.
func (b *bench) atSite(ctx context.Context, args ...string) (measure, error) {
	return b.measured(ctx, "", func() (used, error) {
		_, u, err := b.house.stella(ctx, "", append(args, "--trust", b.house.env["STELLA_TRUST"])...)
		return u, err
	})
}

// mirrorAfter imports new revisions of some documents and makes the next mirror.
func (b *bench) mirrorAfter(ctx context.Context, c change) (exported, error) {
	lines, err := b.documentsAt(c.pick(b.docs.count, c.documents(b.docs.count), c.number))
	if err != nil {
		return exported{}, err
	}
	path := filepath.Join(b.dir, fmt.Sprintf("change-%d.jsonl", c.number))
	revised, err := writeRevisions(path, lines, c)
	if err != nil {
		return exported{}, err
	}
	defer os.Remove(path) //nolint:errcheck // the directory goes as well
	if _, _, err := b.importFile(ctx, b.house.env["STELLA_TOKEN"], path, len(revised.ids), "--source", revised.source, "--stream", revised.stream); err != nil {
		return exported{}, err
	}
	next, err := b.mirrorRun(ctx, "mirror:full", nil)
	if err == nil {
		b.add(measuredRow("mirror:full, "+c.row, next.measure).of(b.full))
	}
	return next, err
}

// documentsAt reads documents by their place in the mirror, from 1, as the payload lines
// that revisions are made of. The generated file is shuffled, and what are neighbours
// there are none in a mirror.
func (b *bench) documentsAt(places []int64) (lines []string, err error) {
	wanted := map[string]bool{}
	for _, place := range places {
		wanted[b.order[place-1]] = true
	}
	file, err := os.Open(b.docs.path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	in := bufio.NewScanner(file)
	in.Buffer(make([]byte, 0, 1<<20), 64<<20)
	for in.Scan() {
		var of struct{ ID string }
		if err := json.Unmarshal(in.Bytes(), &of); err != nil {
			return nil, err
		}
		if !wanted[of.ID] {
			continue
		}
		line := payloadLine{Source: "bench", Stream: "bench", UpstreamID: of.ID}
		line.Content.Raw = in.Bytes()
		text, err := json.Marshal(line)
		if err != nil {
			return nil, err
		}
		lines = append(lines, string(text))
	}
	return lines, in.Err()
}

// delta makes the delta between two mirrors, brings it to the site, and applies it.
func (b *bench) delta(ctx context.Context, c change, base, target, site string, full int64) error {
	run, err := b.mirrorRun(ctx, "mirror:delta", &client.RunOptions{BaseRunID: base, TargetRunID: target})
	if err != nil {
		return err
	}
	b.add(measuredRow("mirror:delta, "+c.row, run.measure).of(b.full))
	archive := filepath.Join(b.dir, "delta.tar")
	defer os.Remove(archive) //nolint:errcheck // the directory goes as well
	if _, _, err := b.download(ctx, run.id, archive); err != nil {
		return err
	}
	info, err := os.Stat(archive)
	if err != nil {
		return err
	}
	b.add(valueRow("delta, "+c.row+", bytes of the full mirror's", round(100*float64(info.Size())/float64(full), 3), "%"))
	b.note("the delta after %s has %.1f MB", c.row, float64(info.Size())/1e6)
	applied, err := b.atSite(ctx, "mirror", "apply", "--base", site, archive)
	b.add(measuredRow("stella mirror apply, "+c.row, applied))
	return err
}

// mirrorRun makes a run and waits for it, as export does of json:raw.
func (b *bench) mirrorRun(ctx context.Context, profile string, options *client.RunOptions) (exported, error) {
	c, err := client.New(b.house.env["STELLA_SERVER"], b.house.env["STELLA_TOKEN"])
	if err != nil {
		return exported{}, err
	}
	var run client.Run
	m, err := b.measured(ctx, "worker", func() (used, error) {
		request := client.RunRequest{ProfileID: profile}
		if options != nil {
			request.Options = *options
		}
		if run, err = c.CreateRun(ctx, request, clock.NewID()); err == nil {
			run, err = await(ctx, c, run.RunID)
		}
		return used{}, err
	})
	if err == nil && run.Status != client.RunStatusSucceeded {
		err = fmt.Errorf("run %s ended %s: %+v", run.RunID, run.Status, run.Error)
	}
	if err != nil {
		return exported{}, fmt.Errorf("%s: %w", profile, err)
	}
	m.wall = run.CompletedAt.Sub(m.begin.UTC())
	return exported{id: run.RunID, measure: m}, nil
}
