package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
)

// ErrDigest is wrapped when bytes that came are not the bytes that were
// promised. Whatever was written must be thrown away.
var ErrDigest = errors.New("the bytes differ from their digest")

// maxStored bounds manifests, provenance and documents read into memory.
const maxStored = 256 << 20

// bodyPatience is how long an answer may stand still before the connection is
// given up. (What comes before its first byte is bounded by headerTimeout.)
const bodyPatience = 60 * time.Second

// errStalled ends a connection on which nothing moved.
var errStalled = errors.New("the server stopped sending")

// Archive is a bundle that was downloaded completely.
type Archive struct {
	Digest string // "sha256:<hex>" of all bytes
	Bytes  int64
}

// Download writes the bundle of a run to w and checks it against the digest
// the server promised. A broken connection is taken up again where it broke.
// On an error what was written is not a bundle.
func (c *Client) Download(ctx context.Context, id string, w io.Writer) (Archive, error) {
	return c.Resume(ctx, id, nil, w)
}

// Resume goes on with a download that was interrupted: have gives the bytes that
// Download or Resume wrote then (nil = none), and what comes after them is written
// to w. The digest that is checked is that of all of them. On ErrDigest also what
// was there before must be thrown away; after any other error one can go on again.
func (c *Client) Resume(ctx context.Context, id string, have io.Reader, w io.Writer) (Archive, error) {
	d := &download{client: c, id: id, out: w, sum: sha256.New()}
	if have != nil {
		var err error
		if d.written, err = io.Copy(d.sum, have); err != nil {
			return Archive{}, fmt.Errorf("download run %s: read what is there: %w", id, err)
		}
	}
	for failures := 0; ; {
		before := d.written
		err := d.part(ctx)
		if err == nil {
			return d.finish()
		}
		if failures++; d.written > before {
			failures = 0
		}
		if failures == attempts || !Temporary(err) || ctx.Err() != nil {
			return Archive{}, fmt.Errorf("download run %s: %w", id, err)
		}
		pause, ok := pauseBefore(err, firstPause<<(2*failures))
		if !ok {
			return Archive{}, fmt.Errorf("download run %s: %w", id, err)
		}
		if err := sleep(ctx, pause); err != nil {
			return Archive{}, fmt.Errorf("download run %s: %w", id, err)
		}
	}
}

// download is one archive on its way.
type download struct {
	client  *Client
	id      string
	out     io.Writer
	sum     hash.Hash
	written int64
	digest  bundle.Digest // promised by the first answer
	length  int64
	tag     string // "" until something was promised
}

// errChanged ends a download whose second part is of another archive.
var errChanged = fmt.Errorf("%w: the archive changed on the server while it was downloaded", ErrDigest)

// look asks what the whole archive is before a part of it is taken up: with its
// tag the server gives the rest of that archive or none. A refusal is left to the
// request for the part, which says why.
func (d *download) look(ctx context.Context) error {
	resp, err := d.client.api.DownloadRun(ctx, d.id, &DownloadRunParams{}, func(_ context.Context, req *http.Request) error {
		req.Method = http.MethodHead
		return nil
	})
	if err != nil {
		return &connectionError{err}
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil
	}
	return d.promise(resp.Header)
}

// part asks for what is missing and writes what comes.
func (d *download) part(ctx context.Context) error {
	if d.written > 0 && d.tag == "" {
		if err := d.look(ctx); err != nil {
			return err
		}
	}
	if d.tag != "" && d.written >= d.length {
		return d.nothingMissing()
	}
	params := &DownloadRunParams{}
	wanted := http.StatusOK
	if d.written > 0 {
		from := "bytes=" + strconv.FormatInt(d.written, 10) + "-"
		params.Range = &from
		if d.tag != "" {
			params.IfRange = &d.tag
		}
		wanted = http.StatusPartialContent
	}
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	resp, err := d.client.api.DownloadRun(ctx, d.id, params)
	if err == nil && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && d.written > 0 {
		resp.Body.Close()
		if err := d.promise(resp.Header); err != nil {
			return err
		}
		return d.nothingMissing()
	}
	if resp, err = expect(resp, err, http.StatusOK, http.StatusPartialContent); err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != wanted {
		return errChanged
	}
	if err := d.promise(resp.Header); err != nil {
		return err
	}
	written, err := io.Copy(io.MultiWriter(d.out, d.sum), d.client.body(resp.Body, giveUp))
	d.written += written
	switch {
	case err == nil && d.written < d.length:
		return &connectionError{io.ErrUnexpectedEOF}
	case d.written >= d.length && Temporary(err):
		return nil // everything is there, whatever the connection does now
	}
	return err
}

// nothingMissing: either all of the archive is there already, or what is there is
// something else.
func (d *download) nothingMissing() error {
	if d.written != d.length {
		return errChanged
	}
	return nil
}

// promise reads what the server says the whole archive is, and holds it to
// what it said before.
func (d *download) promise(h http.Header) error {
	digest, err := bundle.ParseDigest(h.Get("X-Export-Digest"))
	if err != nil {
		return fmt.Errorf("the server does not say what the archive is: X-Export-Digest: %w", err)
	}
	length, err := strconv.ParseInt(h.Get("X-Export-Length"), 10, 64)
	if err != nil || length < 0 {
		return errors.New("the server does not say how long the archive is: X-Export-Length")
	}
	if d.tag != "" && (digest != d.digest || length != d.length) {
		return errChanged
	}
	d.digest, d.length, d.tag = digest, length, `"`+digest.String()+`"`
	return nil
}

func (d *download) finish() (Archive, error) {
	got := bundle.Digest(d.sum.Sum(nil))
	if d.written != d.length || got != d.digest {
		return Archive{}, fmt.Errorf("download run %s: %w: promised %s with %d bytes, got %s with %d",
			d.id, ErrDigest, d.digest, d.length, got, d.written)
	}
	return Archive{Digest: got.String(), Bytes: d.written}, nil
}

// connectionReader reads the body of an answer. It marks what goes wrong with
// the connection, to tell it from what goes wrong with the file that is
// written, and gives up when nothing comes for the client's patience.
type connectionReader struct {
	r        io.Reader
	patience time.Duration
	watch    *time.Timer // ends the request
}

func (c *Client) body(r io.Reader, giveUp func()) *connectionReader {
	watch := time.AfterFunc(c.patience, giveUp)
	watch.Stop() // it runs while a Read waits
	return &connectionReader{r: r, patience: c.patience, watch: watch}
}

func (c *connectionReader) Read(p []byte) (int, error) {
	c.watch.Reset(c.patience)
	n, err := c.r.Read(p)
	inTime := c.watch.Stop()
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return n, err
	case !inTime:
		err = errStalled
	}
	return n, &connectionError{err}
}

// Manifest gives the signed manifest of a run, byte for byte.
func (c *Client) Manifest(ctx context.Context, id string) ([]byte, error) {
	return repeated(ctx, func() ([]byte, error) {
		resp, err := c.api.GetManifest(ctx, id, nil)
		return stored(resp, err, "manifest of run "+id)
	})
}

// Provenance gives the signed provenance of a run, byte for byte.
func (c *Client) Provenance(ctx context.Context, id string) ([]byte, error) {
	return repeated(ctx, func() ([]byte, error) {
		resp, err := c.api.GetProvenance(ctx, id, nil)
		return stored(resp, err, "provenance of run "+id)
	})
}

// Original gives the bytes of an imported document by their digest.
func (c *Client) Original(ctx context.Context, digest string) ([]byte, error) {
	want, err := bundle.ParseDigest(digest)
	if err != nil {
		return nil, err
	}
	raw, err := repeated(ctx, func() ([]byte, error) {
		resp, err := c.api.GetDocument(ctx, digest, nil)
		return stored(resp, err, "document "+digest)
	})
	if err == nil && bundle.DigestOf(raw) != want {
		return nil, fmt.Errorf("document %s: %w", digest, ErrDigest)
	}
	return raw, err
}

// stored reads bytes and checks them against the digest in their tag.
func stored(resp *http.Response, err error, what string) ([]byte, error) {
	if resp, err = expect(resp, err, http.StatusOK); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxStored+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, &connectionError{err})
	}
	if len(raw) > maxStored {
		return nil, fmt.Errorf("%s: larger than %d bytes", what, maxStored)
	}
	if resp.Header.Get("ETag") != `"`+bundle.DigestOf(raw).String()+`"` {
		return nil, fmt.Errorf("%s: %w", what, ErrDigest)
	}
	return raw, nil
}
