package mirror

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

// opened is a bundle that was verified, and is read again now.
type opened struct {
	name     string
	archive  io.ReaderAt
	size     int64
	report   verify.Report
	manifest bundle.Manifest
	digest   bundle.Digest // of the manifest
	entries  map[string]section
	// originals is where the entries of originals lie: all together.
	originals section
	close     func() error
}

// section is a part of an archive.
type section struct{ at, size int64 }

func (o *opened) reader(s section) io.Reader { return io.NewSectionReader(o.archive, s.at, s.size) }

// errChanged is a bundle that is another one than was verified a moment ago.
var errChanged = errors.New("changed while it was read")

// open verifies a bundle and reads its manifest and where its entries are.
func open(ctx context.Context, name string, options Options) (_ *opened, err error) {
	archive, size, err := openBundle(name)
	if err != nil {
		return nil, err
	}
	o := &opened{name: name, archive: archive, size: size, entries: map[string]section{}, close: archive.Close}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.close())
		}
	}()
	if bundle.SaysEncrypted(o.archive) {
		return nil, refuse(ReasonEncrypted, "%s is encrypted: open it first: stella export open, and give what comes out", name)
	}
	if o.report, err = verify.Reader(ctx, archive, size, options.Trust, options.verifying()...); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if o.report.Status != verify.StatusVerified { // it was another file a moment ago
		return nil, refuse(ReasonEncrypted, "%s: its contents were not verified (%s)", name, o.report.Status)
	}
	if err := o.walk(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	text, err := o.document(bundle.ManifestPath)
	if err != nil {
		return nil, err
	}
	if o.manifest, err = bundle.ParseManifest(text); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if o.digest = bundle.DigestOf(text); o.digest.String() != o.report.ManifestDigest {
		return nil, fmt.Errorf("%s: %w", name, errChanged)
	}
	return o, nil
}

// walk notes where the entries are.
func (o *opened) walk(ctx context.Context) error {
	err := bundle.Walk(o.archive, func(path string, from, size int64) error {
		at := from - bundle.BlockSize
		end := at + bundle.EntrySize(size)
		switch {
		case !bundle.IsOriginal(path):
			o.entries[path] = section{from, size}
		case o.originals.size == 0:
			o.originals = section{at, end - at}
		default:
			o.originals.size = end - o.originals.at
		}
		return ctx.Err()
	})
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", errChanged, err)
	}
	return err
}

// document reads a small entry as a whole.
func (o *opened) document(path string) ([]byte, error) {
	s, there := o.entries[path]
	if !there {
		return nil, fmt.Errorf("%s: %w: %s is gone", o.name, errChanged, path)
	}
	text, err := io.ReadAll(o.reader(s))
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", o.name, path, err)
	}
	return text, nil
}

// lines opens a payload file of the bundle: what comes is what was signed, or an error.
func (o *opened) lines(c bundle.Content) (io.ReadCloser, error) {
	s, there := o.entries[c.Path]
	if !there {
		return nil, fmt.Errorf("%s: %w: %s is gone", o.name, errChanged, c.Path)
	}
	return openLines(o.name+": "+c.Path, io.NopCloser(o.reader(s)), c)
}

// openLines reads the lines of a payload file, which must be those that a manifest says,
// and closes what they come from.
func openLines(name string, stored io.ReadCloser, want bundle.Content) (io.ReadCloser, error) {
	content, err := bundle.OpenPayload(stored)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), stored.Close())
	}
	return &checkedLines{name: name, want: want, hash: sha256.New(), content: content, stored: stored}, nil
}

// checkedLines are lines as they are read: what a manifest says, and no byte behind.
// A small file may hold more than anybody has room for.
type checkedLines struct {
	name            string
	want            bundle.Content
	hash            hash.Hash
	read            int64
	content, stored io.ReadCloser
}

func (c *checkedLines) Read(p []byte) (int, error) {
	n, err := c.content.Read(p)
	c.hash.Write(p[:n])
	if c.read += int64(n); c.read > c.want.ContentBytes {
		return 0, refuse(ReasonContent, "%s: its lines have more than the %d bytes of the manifest", c.name, c.want.ContentBytes)
	}
	if err == io.EOF && bundle.Digest(c.hash.Sum(nil)) != c.want.ContentDigest {
		err = refuse(ReasonContent, "%s: its lines are not those of the manifest", c.name)
	} else if err != nil && err != io.EOF {
		err = refuse(ReasonContent, "%s: %w", c.name, err)
	}
	return n, err
}

func (c *checkedLines) Close() error { return errors.Join(c.content.Close(), c.stored.Close()) }

// carried reads the originals of a bundle one after the other.
type carried struct {
	of  *opened
	at  int64
	end int64
}

func (o *opened) carried() *carried {
	return &carried{of: o, at: o.originals.at, end: o.originals.at + o.originals.size}
}

// next gives the next original; "" behind the last.
func (c *carried) next() (path string, content io.Reader, size int64, err error) {
	if c.at >= c.end {
		return "", nil, 0, nil
	}
	path, size, err = bundle.HeaderAt(c.of.archive, c.at)
	if err != nil {
		return "", nil, 0, fmt.Errorf("%s: %w: %w", c.of.name, errChanged, err)
	}
	if !bundle.IsOriginal(path) {
		return "", nil, 0, fmt.Errorf("%s: %w", c.of.name, errChanged)
	}
	content = c.of.reader(section{c.at + bundle.BlockSize, size})
	c.at += bundle.EntrySize(size)
	return path, content, size, nil
}
