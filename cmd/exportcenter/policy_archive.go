package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/policy"
)

// decisions is a verified bundle of profile json:policy. What is read from it is
// compared with the digests that were verified: the file may have changed since.
type decisions struct {
	*os.File
	entries  map[string]section
	contents []bundle.Content
}

// section is where an entry's bytes are.
type section struct{ from, size int64 }

// maxManifest bounds the manifest, as the verifier does.
var maxManifest = verify.DefaultLimits().Document

// openDecisions opens a bundle that was verified, with that report.
func openDecisions(file string, verified verify.Report) (*decisions, error) {
	if verified.Encryption != nil || verified.Status != verify.StatusVerified {
		return nil, endedAs(verify.ClassAbsent, fmt.Errorf("%q is encrypted, and its decisions were not read: open it first (stella export open), and give what comes out", file))
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, endedAs(verify.ClassOther, err)
	}
	d := &decisions{File: f, entries: map[string]section{}}
	if err := d.index(verified); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return d, nil
}

func (d *decisions) index(verified verify.Report) error {
	if err := d.findEntries(); err != nil {
		return endedAs(verify.ClassContent, fmt.Errorf("the bundle changed after it was verified: %w", err))
	}
	at, there := d.entries[bundle.ManifestPath]
	if !there || at.size > maxManifest {
		return endedAs(verify.ClassContent, fmt.Errorf("the bundle changed after it was verified: %s", bundle.ManifestPath))
	}
	raw := make([]byte, at.size)
	if _, err := d.ReadAt(raw, at.from); err != nil {
		return endedAs(verify.ClassOther, err)
	}
	manifest, err := bundle.ParseManifest(raw)
	if err != nil || bundle.PayloadDigest(manifest.Contents).String() != verified.PayloadDigest {
		return endedAs(verify.ClassContent, fmt.Errorf("the bundle changed after it was verified: %s", bundle.ManifestPath))
	}
	if manifest.Policy == nil {
		return endedAs(verify.ClassAbsent, fmt.Errorf("the bundle is verified, but has no decisions: it is of profile %s:%s, only json:policy has some",
			manifest.Profile.Kind, manifest.Profile.Variant))
	}
	d.contents = manifest.Contents
	return nil
}

// findEntries notes where the entries are.
func (d *decisions) findEntries() error {
	return bundle.Walk(d, func(path string, from, size int64) error {
		d.entries[path] = section{from, size}
		return nil
	})
}

// recorded is the bundle as the replay reads it.
func (d *decisions) recorded() policy.Recorded {
	r := policy.Recorded{Open: func(_ context.Context, path string) (io.ReadCloser, error) { return d.open(path) }}
	for _, c := range d.contents {
		if !bundle.IsEvidence(c.Path) {
			r.Paths = append(r.Paths, c.Path)
			continue
		}
		r.Evidence = append(r.Evidence, policy.File{Path: c.Path, ContentDigest: c.ContentDigest,
			Open: func(context.Context) (io.ReadCloser, error) { return d.open(c.Path) }})
	}
	slices.Sort(r.Paths)
	return r
}

// open gives a file's content, and in place of its end an error when it is not
// what the manifest says.
func (d *decisions) open(path string) (io.ReadCloser, error) {
	listed := slices.IndexFunc(d.contents, func(c bundle.Content) bool { return c.Path == path })
	at, there := d.entries[path]
	if listed < 0 || !there {
		return nil, fmt.Errorf("the bundle has no %s", path)
	}
	content := io.ReadCloser(io.NopCloser(io.NewSectionReader(d.File, at.from, at.size)))
	if d.contents[listed].Form() == bundle.FormLines {
		var err error
		if content, err = bundle.OpenPayload(content); err != nil {
			return nil, err
		}
	}
	return &checked{content, sha256.New(), d.contents[listed]}, nil
}

// checked compares what is read to its end with the digest it must have.
type checked struct {
	io.ReadCloser
	hash hash.Hash
	want bundle.Content
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.hash.Write(p[:n])
	if errors.Is(err, io.EOF) && bundle.Digest(c.hash.Sum(nil)) != c.want.ContentDigest {
		return n, fmt.Errorf("%s: %w: the bundle changed after it was verified", c.want.Path, bundle.ErrRotten)
	}
	return n, err
}
