package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/stella-ops/exportcenter/bundle"
)

// found is what reading an entry through gave.
type found struct {
	digest  bundle.Digest
	content bundle.PayloadInfo // of payload files: ContentDigest, ContentSize, Records
	frame   error              // why the content could not be read
	failure *Failure           // why the entry could not be read
}

// checkContents reads the whole archive: once as bytes for the seal, and entry
// by entry. Entries are read by several workers; what they found is compared in
// archive order.
func (v *verifier) checkContents(ctx context.Context) *Failure {
	contents := map[string]bundle.Content{}
	for _, c := range v.manifest.Contents {
		contents[c.Path] = c
	}
	results := make([]found, len(v.entries)+1)
	v.parallel(len(results), func(i int) {
		if i == 0 {
			results[0].failure = v.guarded("", func() *Failure { return v.hashArchive(ctx) })
			return
		}
		e := v.entries[i-1]
		if v.isEncrypted() && bundle.IsSecret(e.path) {
			return // checkCiphertexts reads them
		}
		c, payload := contents[e.path]
		results[i].failure = v.guarded(e.path, func() *Failure { return v.readEntry(ctx, e, payload, c, &results[i]) })
	})
	for i, e := range v.entries {
		if v.isEncrypted() && bundle.IsSecret(e.path) {
			continue
		}
		c, payload := contents[e.path]
		if failure := v.compareEntry(e, payload, c, results[i+1]); failure != nil {
			return failure
		}
	}
	return results[0].failure
}

// parallel calls do(0) to do(n-1), v.workers at a time.
func (v *verifier) parallel(n int, do func(int)) {
	var wait sync.WaitGroup
	next := make(chan int)
	for range min(v.workers, n) {
		wait.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wait.Wait()
}

// guarded turns a panic of the worker that reads the entry at path into a failure.
func (v *verifier) guarded(path string, do func() *Failure) (failure *Failure) {
	defer func() {
		if p := recover(); p != nil {
			failure = v.panicked(path, p)
		}
	}()
	return do()
}

// hashArchive hashes the bytes before the seal's header, and all bytes.
func (v *verifier) hashArchive(ctx context.Context) *Failure {
	seal := v.entries[len(v.entries)-1]
	h := sha256.New()
	if failure := v.stream(ctx, 0, seal.at, h); failure != nil {
		return failure
	}
	v.prefix = bundle.Digest(h.Sum(nil))
	if failure := v.stream(ctx, seal.at, v.size, h); failure != nil {
		return failure
	}
	v.report.ArchiveDigest = bundle.Digest(h.Sum(nil)).String()
	return nil
}

// stream copies the archive's bytes from one offset to another.
func (v *verifier) stream(ctx context.Context, from, to int64, w io.Writer) *Failure {
	section := io.NewSectionReader(v.archive, from, to-from)
	n, err := copyAll(w, interruptible{ctx, section})
	if err == nil && n < to-from {
		err = io.ErrUnexpectedEOF
	}
	if ctx.Err() != nil {
		return fail(ClassOther, ReasonInterrupted, "", "interrupted: %v", ctx.Err())
	}
	if err != nil {
		return unreadable(err)
	}
	return nil
}

var buffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// copyAll is io.Copy with a buffer that is used again.
func copyAll(w io.Writer, r io.Reader) (int64, error) {
	buffer := buffers.Get().(*[128 << 10]byte)
	defer buffers.Put(buffer)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, buffer[:])
}

// interruptible stops reading when its context ends.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (r interruptible) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// readEntry hashes an entry and, if it is a payload file, reads its content.
func (v *verifier) readEntry(ctx context.Context, e entry, payload bool, c bundle.Content, f *found) *Failure {
	h := sha256.New()
	if !payload {
		failure := v.stream(ctx, e.body(), e.body()+e.size, h)
		f.digest = bundle.Digest(h.Sum(nil))
		return failure
	}
	section := io.NewSectionReader(v.archive, e.body(), e.size)
	counted := &counter{r: io.TeeReader(interruptible{ctx, section}, h)}
	f.content, f.frame = readForm(counted, c)
	// Whatever the content gave, the digest is over all stored bytes.
	if failure := v.stream(ctx, e.body()+counted.n, e.body()+e.size, h); failure != nil {
		return failure
	}
	f.digest = bundle.Digest(h.Sum(nil))
	return nil
}

// readForm reads the content of payload file c. Only lines can be counted here;
// of the other forms the signed number of records stands.
func readForm(r io.Reader, c bundle.Content) (bundle.PayloadInfo, error) {
	switch c.Form() {
	case bundle.FormStored: // its content is what is stored, whose digest is compared
		return bundle.PayloadInfo{ContentDigest: c.ContentDigest, ContentSize: c.ContentBytes, Records: c.Records}, nil
	case bundle.FormLayer:
		layer, err := bundle.ReadLayer(r, c.ContentBytes, io.Discard)
		return bundle.PayloadInfo{ContentDigest: layer.Content, ContentSize: layer.Size, Records: c.Records}, err
	}
	return readContent(r, c.ContentBytes)
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

var (
	errTooLong   = errors.New("content is longer than the manifest says")
	errEmptyLine = errors.New("content has an empty line")
)

// readContent reads the lines of a payload file, at most limit bytes.
func readContent(r io.Reader, limit int64) (bundle.PayloadInfo, error) {
	content, err := bundle.OpenPayload(r)
	if err != nil {
		return bundle.PayloadInfo{}, err
	}
	defer content.Close()
	lines := &lineMeter{hash: sha256.New(), limit: limit, last: '\n'}
	if _, err := copyAll(lines, content); err != nil {
		return bundle.PayloadInfo{}, err
	}
	if lines.n == 0 || lines.last != '\n' {
		return bundle.PayloadInfo{}, errors.New("the last line has no line feed")
	}
	return bundle.PayloadInfo{
		ContentDigest: bundle.Digest(lines.hash.Sum(nil)), ContentSize: lines.n, Records: lines.records,
	}, nil
}

// lineMeter hashes content and counts its lines.
type lineMeter struct {
	hash    hash.Hash
	limit   int64
	n       int64
	records int64
	last    byte
}

func (m *lineMeter) Write(p []byte) (int, error) {
	if m.n += int64(len(p)); m.n > m.limit {
		return 0, errTooLong
	}
	if len(p) == 0 {
		return 0, nil
	}
	if m.last == '\n' && p[0] == '\n' || bytes.Contains(p, []byte("\n\n")) {
		return 0, errEmptyLine
	}
	m.hash.Write(p)
	m.records += int64(bytes.Count(p, []byte{'\n'}))
	m.last = p[len(p)-1]
	return len(p), nil
}

// compareEntry holds what was found against checksums.txt and the manifest.
func (v *verifier) compareEntry(e entry, payload bool, c bundle.Content, f found) *Failure {
	if f.failure != nil {
		return f.failure
	}
	if !payload {
		return v.compareDocument(e, f)
	}
	if v.mayDiffer(c) && c.Digest != f.digest {
		if failure := v.differs(c, f.digest); failure != nil {
			return failure
		}
	} else if failure := v.compare("payload digest", e.path, c.Digest, f.digest, ClassContent, ReasonPayloadDigest); failure != nil {
		return failure
	}
	if errors.Is(f.frame, errTooLong) {
		return fail(ClassContent, ReasonContentSize, e.path, "%v: %d bytes", f.frame, c.ContentBytes)
	}
	if f.frame != nil {
		return fail(ClassContent, ReasonFrame, e.path, "%v", f.frame)
	}
	for _, check := range []struct {
		name       string
		want, have fmt.Stringer
		reason     Reason
	}{
		{"content bytes", number(c.ContentBytes), number(f.content.ContentSize), ReasonContentSize},
		{"content digest", c.ContentDigest, f.content.ContentDigest, ReasonContent},
		{"records", number(c.Records), number(f.content.Records), ReasonRecords},
	} {
		if failure := v.compare(check.name, e.path, check.want, check.have, ClassContent, check.reason); failure != nil {
			return failure
		}
	}
	if v.stored(c) != c.Digest {
		return nil // checksums.txt has the signed bytes' digest
	}
	return v.compareListed(e, f)
}

// compareDocument also makes sure that what was parsed is what was hashed.
// checksums.txt and the seal are listed nowhere; the seal and its own
// signature cover them.
func (v *verifier) compareDocument(e entry, f found) *Failure {
	if text, ok := v.documents[e.path]; ok {
		if failure := v.compare("document digest", e.path, bundle.DigestOf(text), f.digest, ClassContent, ReasonDigest); failure != nil {
			return failure
		}
	}
	if v.plainPath(e.path) == "" || !summed(e.path) {
		return nil
	}
	return v.compareListed(e, f)
}

func (v *verifier) compareListed(e entry, f found) *Failure {
	return v.compare("checksum", e.path, v.listed[e.path], f.digest, ClassContent, ReasonDigest)
}

// checkSeal holds the archive against its seal, whose signature is good.
func (v *verifier) checkSeal(context.Context) *Failure {
	last, seal, path := v.entries[len(v.entries)-1], v.seal, bundle.SealPath
	if v.isEncrypted() { // the seal around it; the one within is over what it is when it is opened
		seal, path = v.outerSeal, bundle.OuterSealPath
	}
	for _, s := range []bundle.Seal{v.seal, seal} {
		if s.RunID != v.manifest.RunID || s.Tenant != v.manifest.Tenant {
			return fail(ClassContent, ReasonSealMismatch, path, "is of run %s of tenant %s", s.RunID, s.Tenant)
		}
	}
	if v.report.Repacked > 0 {
		return nil // the sealed bytes are not here
	}
	if failure := v.compare("sealed bytes", path, number(seal.Bytes), number(last.at), ClassContent, ReasonSealLength); failure != nil {
		return failure
	}
	return v.compare("sealed digest", path, seal.Digest, v.prefix, ClassContent, ReasonSealDigest)
}
