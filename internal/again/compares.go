package again

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/rebuild"
	"github.com/stella-ops/exportcenter/storage"
)

// compares holds what was built against the bundle that is there. Signatures cannot be
// made again without the key, and what lists them follows from them.
func (h *house) compares(ctx context.Context, target *archive, built []storage.File) (export.Rebuilt, error) {
	there, err := target.side(ctx)
	if err != nil {
		return export.Rebuilt{}, err
	}
	here, err := h.side(ctx, target.manifest.Tenant, built)
	if err != nil {
		return export.Rebuilt{}, err
	}
	report, err := rebuild.Compare(ctx, there, here)
	report.NotCompared = []string{"signatures, checksums and seal: they take the key; they were verified"}
	return report, err
}

// follows reports whether an entry follows from the evidence, and not from a key.
func follows(path string) bool {
	return !bundle.IsSignature(path) && path != bundle.ChecksumsPath && !strings.HasPrefix(path, bundle.TUFDir)
}

// side is the bundle as a comparison reads it.
func (a *archive) side(ctx context.Context) (rebuild.Side, error) {
	side := rebuild.Side{Manifest: a.manifestText}
	contents := map[string]bundle.Content{}
	for _, c := range a.manifest.Contents {
		contents[c.Path] = c
	}
	for _, s := range a.entries {
		if !follows(s.path) {
			continue
		}
		e := rebuild.Entry{Path: s.path, Size: s.size, Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(a.open(s)), nil }}
		if c, listed := contents[s.path]; listed {
			e.Payload, e.ContentDigest = true, c.ContentDigest
		}
		var err error
		if e.Digest, err = digestOf(ctx, a.open(s)); err != nil {
			return side, fmt.Errorf("read %s: %w", s.path, err)
		}
		side.Entries = append(side.Entries, e)
	}
	if a.first == "" {
		return side, nil
	}
	digest, err := digestOf(ctx, a.open(a.originals))
	side.Entries = append(side.Entries, rebuild.Entry{Path: a.first, Segment: true, Digest: digest, Size: a.originals.size,
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(a.open(a.originals)), nil }})
	return side, err
}

// side is what was built as a comparison reads it; the segments of originals are one.
func (h *house) side(ctx context.Context, tenant string, built []storage.File) (side rebuild.Side, err error) {
	open := func(ctx context.Context, f storage.File) (io.ReadCloser, error) {
		blob, err := storage.OpenExact(ctx, h.objects, tenant, f.Digest, f.Size)
		if err != nil {
			return nil, err
		}
		return &reader{io.NewSectionReader(blob, 0, f.Size), blob}, nil
	}
	var segments []storage.File
	for _, f := range built {
		if f.Entries {
			segments = append(segments, f)
			continue
		}
		if f.Path == bundle.ManifestPath {
			if side.Manifest, err = read(ctx, open, f); err != nil {
				return side, err
			}
		}
		side.Entries = append(side.Entries, rebuild.Entry{Path: f.Path, Digest: f.Digest, Size: f.Size, ContentDigest: f.ContentDigest, Payload: f.Payload,
			Open: func(ctx context.Context) (io.ReadCloser, error) { return open(ctx, f) }})
	}
	if len(segments) == 0 {
		return side, nil
	}
	all := rebuild.Entry{Path: segments[0].Path, Segment: true,
		Open: func(ctx context.Context) (io.ReadCloser, error) {
			return &joined{ctx: ctx, files: segments, open: open}, nil
		}}
	for _, s := range segments {
		all.Size += s.Size
	}
	r, err := all.Open(ctx)
	if err != nil {
		return side, err
	}
	defer r.Close()
	if all.Digest, err = digestOf(ctx, r); err != nil {
		return side, err
	}
	side.Entries = append(side.Entries, all)
	return side, nil
}

func read(ctx context.Context, open func(context.Context, storage.File) (io.ReadCloser, error), f storage.File) ([]byte, error) {
	r, err := open(ctx, f)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// digestOf hashes r, until ctx ends.
func digestOf(ctx context.Context, r io.Reader) (bundle.Digest, error) {
	h := sha256.New()
	for {
		if err := ctx.Err(); err != nil {
			return bundle.Digest{}, err
		}
		if _, err := io.CopyN(h, r, 1<<20); err == io.EOF {
			return bundle.Digest(h.Sum(nil)), nil
		} else if err != nil {
			return bundle.Digest{}, err
		}
	}
}

// reader reads a blob from its begin to its end.
type reader struct {
	io.Reader
	io.Closer
}

// joined reads files one behind the other.
type joined struct {
	ctx   context.Context
	files []storage.File
	open  func(context.Context, storage.File) (io.ReadCloser, error)
	at    io.ReadCloser
}

func (j *joined) Read(p []byte) (int, error) {
	for {
		if j.at == nil {
			if len(j.files) == 0 {
				return 0, io.EOF
			}
			var err error
			if j.at, err = j.open(j.ctx, j.files[0]); err != nil {
				return 0, err
			}
			j.files = j.files[1:]
		}
		n, err := j.at.Read(p)
		if err != io.EOF {
			return n, err
		}
		err, j.at = j.at.Close(), nil
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (j *joined) Close() error {
	if j.at == nil {
		return nil
	}
	return j.at.Close()
}
