package verify

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/sealed"
)

// plainPath is what the entry at path is when the bundle is opened; "" of the entries
// that the layer of encryption adds. A plain bundle's entry is what it is.
func (v *verifier) plainPath(path string) string {
	if !v.isEncrypted() {
		return path
	}
	plain, _, _ := bundle.PlainPath(v.encryption.Mode, path)
	return plain
}

// storedAt is where the archive has the entry that is at path when it is opened.
func (v *verifier) storedAt(path string) string {
	if !v.isEncrypted() {
		return path
	}
	return bundle.CipherPath(v.encryption.Mode, path)
}

// originalPath looks at the path of an original, which in an encrypted bundle has the
// suffix of its mode, the same everywhere.
func (v *verifier) originalPath(path string) *Failure {
	plain, suffix := path, ""
	if dot := strings.LastIndexByte(path, '.'); dot > 0 && !v.within {
		plain, suffix = path[:dot], path[dot:]
	}
	_, _, err := bundle.ParseOriginalPath(plain)
	switch {
	case err != nil:
		return fail(ClassContent, ReasonUnknown, path, "%v", err)
	case suffix != "" && suffix != ".age" && suffix != ".enc", v.originals.count > 0 && suffix != v.suffix:
		return fail(ClassContent, ReasonUnknown, path, "is no original, and none that is encrypted as those before it")
	}
	v.suffix = suffix
	return nil
}

// ofOneKind refuses an archive that is neither a plain bundle nor an encrypted one.
func (v *verifier) ofOneKind() *Failure {
	for _, path := range bundle.EncryptionPaths() {
		if _, there := v.byPath[path]; there != v.isEncrypted() {
			if there {
				return fail(ClassContent, ReasonUnknown, path, "is there, but %s is not", bundle.EncryptionPath)
			}
			return fail(ClassAbsent, ReasonMissing, path, "is not in the archive")
		}
	}
	if v.originals.count > 0 && (v.suffix != "") != v.isEncrypted() {
		return fail(ClassContent, ReasonUnknown, bundle.OriginalsDir, "originals are encrypted, and the bundle is not, or the other way round")
	}
	return nil
}

// Opened is the plain archive of an encrypted one: it exists nowhere, and any byte of
// it is decrypted when it is read. It holds 16 bytes for each entry.
type Opened struct {
	archive io.ReaderAt
	mode    string
	opener  *sealed.Opener // nil: only the outline
	count   int            // of recipients
	size    int64

	outer []int64 // where each entry's header is in the encrypted archive
	plain []int64 // and where in the plain one, and where that ends

	mu     sync.Mutex
	recent []openFile // a few files, the latest last
}

// openFile is an entry's header and content as the plain archive has them.
type openFile struct {
	entry  int
	header [bundle.BlockSize]byte
	size   int64
	file   io.ReaderAt
}

// keptOpen is more than there are readers at once.
const keptOpen = 16

// layOut outlines the plain archive. It reads headers only.
func (v *verifier) layOut(ctx context.Context, opener *sealed.Opener) (*Opened, *Failure) {
	o := &Opened{archive: v.archive, mode: v.encryption.Mode, opener: opener, count: len(v.encryption.Recipients)}
	at, end, last := int64(0), int64(0), ""
	for {
		if ctx.Err() != nil {
			return nil, fail(ClassOther, ReasonInterrupted, "", "interrupted: %v", ctx.Err())
		}
		e, ends, failure := v.header(at)
		if failure != nil {
			return nil, failure
		}
		if ends {
			break
		}
		at = e.end()
		plain, secret, ok := bundle.PlainPath(o.mode, e.path)
		if !ok && plain == "" && !secret { // the layer's own
			continue
		}
		size := e.size
		if secret {
			var err error
			if size, err = sealed.Mode(o.mode).PlainSize(o.count, e.size); err != nil {
				return nil, fail(ClassContent, ReasonCiphertext, e.path, "%v", err)
			}
		}
		switch {
		case !ok:
			return nil, fail(ClassContent, ReasonUnknown, e.path, "is not encrypted in mode %s", o.mode)
		case last != "" && !bundle.PathBefore(last, plain):
			return nil, fail(ClassContent, ReasonOrder, e.path, "opened, %s comes after %s", plain, last)
		case plain == bundle.SealPath && end != v.seal.Bytes:
			return nil, fail(ClassContent, ReasonSealLength, bundle.SealPath, "seals %d bytes; opened, %d come before it", v.seal.Bytes, end)
		}
		o.outer, o.plain = append(o.outer, e.at), append(o.plain, end)
		last, end = plain, end+bundle.EntrySize(size)
	}
	o.plain, o.size = append(o.plain, end), end+bundle.TrailerSize
	if o.size != v.encryption.Plain.ArchiveBytes {
		return nil, fail(ClassContent, ReasonEncryption, bundle.EncryptionPath, "plain.archiveBytes: %d, the entries make %d", v.encryption.Plain.ArchiveBytes, o.size)
	}
	return o, nil
}

// Close forgets the keys.
func (o *Opened) Close() { o.opener.Close() }

// Size is the length of the plain archive.
func (o *Opened) Size() int64 { return o.size }

// ReadAt implements io.ReaderAt; many may read at once.
func (o *Opened) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: negative offset", off)
	}
	for n < len(p) {
		read, err := o.piece(p[n:], off+int64(n))
		if n += read; err != nil {
			return n, err
		}
	}
	return n, nil
}

// piece reads from a header, a content, padding or the two blocks at the end.
func (o *Opened) piece(p []byte, off int64) (int, error) {
	entries := len(o.outer)
	switch {
	case off >= o.size:
		return 0, io.EOF
	case off >= o.plain[entries]:
		return zeros(p, o.size-off), nil
	}
	i := sort.Search(entries, func(i int) bool { return o.plain[i+1] > off })
	f, err := o.file(i)
	if err != nil {
		return 0, err
	}
	at := off - o.plain[i]
	if at < bundle.BlockSize {
		return copy(p, f.header[at:]), nil
	}
	if at -= bundle.BlockSize; at >= f.size {
		return zeros(p, o.plain[i+1]-off), nil
	}
	n, err := f.file.ReadAt(p[:min(int64(len(p)), f.size-at)], at)
	switch {
	case n > 0 && (err == nil || errors.Is(err, io.EOF)):
		return n, nil
	case err == nil || errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return n, fmt.Errorf("entry at byte %d of the encrypted archive: %w", o.outer[i], err)
}

func zeros(p []byte, n int64) int {
	p = p[:min(int64(len(p)), n)]
	clear(p)
	return len(p)
}

// file opens an entry, or finds it among those that were opened last.
func (o *Opened) file(i int) (openFile, error) {
	o.mu.Lock()
	for _, f := range o.recent {
		if f.entry == i {
			o.mu.Unlock()
			return f, nil
		}
	}
	o.mu.Unlock()
	f, err := o.openEntry(i)
	if err != nil {
		return f, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.recent = append(o.recent, f); len(o.recent) > keptOpen {
		o.recent = append(o.recent[:0], o.recent[1:]...)
	}
	return f, nil
}

// openEntry opens an entry of the encrypted archive.
func (o *Opened) openEntry(i int) (openFile, error) {
	f := openFile{entry: i}
	path, size, err := bundle.HeaderAt(o.archive, o.outer[i])
	if err != nil {
		return f, err
	}
	plain, secret, ok := bundle.PlainPath(o.mode, path)
	if !ok || path == "" {
		return f, fmt.Errorf("%q: %w", path, sealed.ErrForm)
	}
	content := io.NewSectionReader(o.archive, o.outer[i]+bundle.BlockSize, size)
	f.file, f.size = content, size
	if secret {
		if f.file, f.size, err = o.opener.Open(plain, content, size); err != nil {
			return f, fmt.Errorf("%s: %w", path, err)
		}
	}
	if bundle.EntrySize(f.size) != o.plain[i+1]-o.plain[i] {
		return f, fmt.Errorf("%s: %w: it changed while it was read", path, sealed.ErrForm)
	}
	f.header, err = bundle.Header(plain, f.size)
	return f, err
}

// Open verifies an encrypted bundle, opens it, verifies what is within, and writes that
// plain archive to w. What is written is the archive that was verified: its digest is
// compared while it is written, and when the error is not nil w has nothing of worth.
func Open(ctx context.Context, r io.ReaderAt, size int64, trust Trust, keys sealed.Keys, w io.Writer, options ...Option) (Report, error) {
	v := newVerifier(r, size, trust, append(options, WithKeys(keys)))
	report, err := v.verify(ctx)
	if err != nil {
		return report, err
	}
	if report.Encryption == nil {
		return failed(report, fail(ClassOther, ReasonEncryption, "", "the bundle is not encrypted: there is nothing to open"))
	}
	if failure := v.guarded("", func() *Failure { return v.writePlain(ctx, w) }); failure != nil {
		return failed(v.report, failure)
	}
	return report, nil
}

// writePlain writes the opened archive, and proves that it is the one that was verified.
func (v *verifier) writePlain(ctx context.Context, w io.Writer) *Failure {
	if v.keys.None() {
		return fail(ClassAbsent, ReasonNoIdentity, "", "no identity was given, so nothing can be opened")
	}
	opened, failure := v.openedView(ctx)
	if failure != nil {
		return failure
	}
	defer opened.Close()
	h := sha256.New()
	from := interruptible{ctx, io.NewSectionReader(opened, 0, opened.size)}
	n, err := copyAll(io.MultiWriter(w, h), from)
	switch {
	case ctx.Err() != nil:
		return fail(ClassOther, ReasonInterrupted, "", "interrupted: %v", ctx.Err())
	case errors.Is(err, sealed.ErrTampered), errors.Is(err, sealed.ErrForm):
		return unreadable(err)
	case err != nil:
		return fail(ClassOther, ReasonUnreadable, "", "write the opened archive: %v", err)
	case n != opened.size || bundle.Digest(h.Sum(nil)) != v.encryption.Plain.ArchiveDigest:
		return fail(ClassContent, ReasonContent, "", "the archive changed while it was opened")
	}
	return nil
}
