package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/trivydb"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/osv"
)

// buildTrivyDB does what import and worker do between them for a database: it
// reads the advisories below a directory, packs them into shards, and builds
// the layer into out. Nothing of a database or of a queue is in it, as nothing
// of them is in Trivy's builder.
func buildTrivyDB(ctx context.Context, advisories, out string) error {
	if err := os.MkdirAll(filepath.Join(out, "scratch"), 0o700); err != nil {
		return err
	}
	packer, err := trivydb.Adapter{}.Packer(export.Options{})
	if err != nil {
		return err
	}
	p := &shardPacker{packer: packer, dir: out}
	err = filepath.WalkDir(advisories, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return p.add(path)
	})
	if err = errors.Join(err, p.end()); err != nil {
		return err
	}
	_, err = trivydb.Adapter{}.Build(ctx, adapters.Input{
		Shards: p.shards, Stamp: time.Unix(1_800_000_000, 0).UTC(), Scratch: filepath.Join(out, "scratch"), Progress: func(int) {},
	}, layerFiles{dir: out})
	return err
}

// shardPacker packs documents into files, cut as shards are.
type shardPacker struct {
	packer adapters.Packer
	dir    string
	shards []adapters.Shard
	file   *os.File
	open   *bundle.PayloadWriter
}

func (p *shardPacker) add(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	o, err := osv.Parse(ledger.Entry{Source: "github", Stream: "reviewed", File: path, Bytes: raw})
	if err != nil {
		return err
	}
	doc := ledger.Line{
		Row:    ledger.Row{Kind: o.Kind, Subject: o.Subject, UpstreamID: o.UpstreamID, Source: o.Source, Stream: o.Stream},
		Format: o.Format, Modified: o.Modified, Aliases: o.Aliases, Canonical: o.Canonical,
	}
	if p.open == nil || bundle.CutBefore([]byte(doc.Key()), int64(len(doc.Canonical))) {
		if err := p.begin(); err != nil {
			return err
		}
	}
	_, err = p.packer.Write(p.open, doc)
	return err
}

func (p *shardPacker) begin() (err error) {
	if err := p.end(); err != nil {
		return err
	}
	if p.file, err = os.Create(filepath.Join(p.dir, fmt.Sprintf("shard-%05d.zst", len(p.shards)))); err != nil {
		return err
	}
	p.open, err = bundle.NewPayloadWriter(p.file)
	return err
}

func (p *shardPacker) end() error {
	if p.open == nil {
		return nil
	}
	info, err := p.open.Close()
	if err = errors.Join(err, p.file.Close()); err != nil {
		return err
	}
	path := p.file.Name()
	p.open = nil
	p.shards = append(p.shards, adapters.Shard{
		Path: path, Kind: ledger.KindAdvisory, Records: info.Records, ContentDigest: info.ContentDigest, ContentBytes: info.ContentSize,
		Open: func(context.Context) (io.ReadCloser, error) {
			packed, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			return bundle.OpenPayload(bytes.NewReader(packed))
		},
	})
	return nil
}

// layerFiles puts what is built into a directory.
type layerFiles struct {
	adapters.Output
	dir string
}

func (f layerFiles) Document(_ context.Context, path string, content []byte, _ int64) error {
	return os.WriteFile(filepath.Join(f.dir, filepath.Base(path)), content, 0o600)
}

func (f layerFiles) Layer(_ context.Context, path string, layer adapters.Layer) error {
	info, err := layer.Database.Stat()
	if err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(f.dir, filepath.Base(path)))
	if err != nil {
		return err
	}
	_, err = bundle.WriteLayer(file, layer.Metadata, layer.Name, layer.Database, info.Size())
	return errors.Join(err, file.Close(), os.Rename(layer.Database.Name(), filepath.Join(f.dir, layer.Name)))
}
