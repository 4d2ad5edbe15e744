package fsck

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/storage"
)

// blobsAtOnce bounds a page of blobs.
const blobsAtOnce = 1000

// blobs merges a tenant's rows with the files of its namespace: both come in
// the order of their digests.
func (l *look) blobs(ctx context.Context, tenant string) error {
	m := &merge{look: l, tenant: tenant, namespace: storage.Namespace(tenant)}
	err := l.Files.Blobs(ctx, m.namespace, func(f storage.BlobFile) error {
		row, err := m.rowsBefore(ctx, f.Digest)
		if err != nil {
			return err
		}
		return m.compare(ctx, f.Digest, row, &f)
	})
	if err != nil {
		return err
	}
	_, err = m.rowsBefore(ctx, bundle.Digest{})
	return err
}

// merge is a walk over the blobs of one tenant.
type merge struct {
	*look
	tenant, namespace string

	page  []storage.BlobRecord // rows that were read and not yet passed
	after *bundle.Digest       // the last row that was read
	done  bool                 // no row follows the page
}

// rowsBefore passes the rows before digest, which have no file, and gives the
// row of digest if there is one. Zero passes all.
func (m *merge) rowsBefore(ctx context.Context, digest bundle.Digest) (*storage.BlobRecord, error) {
	for {
		row, err := m.peek(ctx)
		if row == nil || err != nil {
			return nil, err
		}
		order := -1
		if !digest.IsZero() {
			order = bytes.Compare(row.Digest[:], digest[:])
		}
		if order > 0 {
			return nil, nil //nolint:nilnil // the file has no row
		}
		m.page = m.page[1:]
		if order == 0 {
			return row, nil
		}
		if err := m.compare(ctx, row.Digest, row, nil); err != nil {
			return nil, err
		}
	}
}

func (m *merge) peek(ctx context.Context) (*storage.BlobRecord, error) {
	if len(m.page) == 0 && !m.done {
		page, err := m.Records.BlobRecords(ctx, m.tenant, m.after, blobsAtOnce)
		if err != nil {
			return nil, err
		}
		if m.page, m.done = page, len(page) < blobsAtOnce; len(page) > 0 {
			m.after = &page[len(page)-1].Digest
		}
	}
	if len(m.page) == 0 {
		return nil, nil //nolint:nilnil // no row is left
	}
	return &m.page[0], nil
}

// compare holds a row against a file. The two were read at different moments,
// so what looks wrong is looked at once more.
func (m *merge) compare(ctx context.Context, digest bundle.Digest, row *storage.BlobRecord, f *storage.BlobFile) error {
	m.looked.Blobs++
	size := int64(-1)
	if f != nil {
		size = f.Size
	}
	kind, message := m.judge(row, size)
	if kind != nil {
		var err error
		if row, size, err = m.again(ctx, digest); err != nil {
			return err
		}
		kind, message = m.judge(row, size)
	}
	if kind == nil && m.Deep && row != nil && !row.Deleting && size >= 0 {
		var err error
		if message, err = m.hash(ctx, digest); err != nil {
			return err
		}
		if message != "" {
			kind = &blobBytes
		}
	}
	if kind == nil {
		return nil
	}
	of := Divergence{Tenant: m.tenant, Subject: digest.String()}
	if row != nil {
		of.Run = row.Run
	}
	if mend := m.mendBlob(ctx, *kind, row, f, digest); mend != nil {
		return m.tellAndMend(ctx, *kind, of, mend, "%s", message)
	}
	return m.tell(*kind, of, "%s", message)
}

// again reads the row before and after the file. What was wrong with only one
// of the two readings comes or goes just now, and is nobody's fault: then it
// gives neither row nor file.
func (m *merge) again(ctx context.Context, digest bundle.Digest) (*storage.BlobRecord, int64, error) {
	before, err := m.Records.BlobRecord(ctx, m.tenant, digest)
	if err != nil {
		return nil, 0, err
	}
	size, there, err := m.Files.Stat(ctx, m.namespace, digest)
	if err != nil {
		return nil, 0, err
	}
	if !there {
		size = -1
	}
	after, err := m.Records.BlobRecord(ctx, m.tenant, digest)
	if err != nil {
		return nil, 0, err
	}
	if kind, _ := m.judge(before, size); kind == nil {
		return nil, -1, nil
	}
	return after, size, nil
}

// judge says what is wrong with a row (nil: none) and a file of that size (-1: none).
func (m *merge) judge(row *storage.BlobRecord, size int64) (*Kind, string) {
	switch {
	case row == nil && size < 0:
		return nil, ""
	case row == nil:
		return &blobUnrecorded, fmt.Sprintf("the file has %d bytes and no row", size)
	case row.Deleting && m.longAgo(row.Ended):
		return &blobDeleting, "the run that marked it ended at " + row.Ended.Format(time.RFC3339)
	case row.Deleting:
		return nil, ""
	case row.Pins == 0:
		return &blobUnneeded, fmt.Sprintf("the row says %d bytes, and no run keeps them", row.Size)
	case size < 0 && m.mayCome(row):
		return nil, ""
	case size < 0:
		return &blobMissing, fmt.Sprintf("the row says %d bytes, kept by %d runs; there is no file", row.Size, row.Pins)
	case size != row.Size:
		return &blobSize, fmt.Sprintf("the row says %d bytes, the file has %d", row.Size, size)
	}
	return nil, ""
}

// mayCome: a blob is recorded before it is stored. While no bundle has it, a
// run under way may store it yet, and a run that has just ended takes it back.
func (m *merge) mayCome(row *storage.BlobRecord) bool {
	return row.Bundles == 0 && (row.UnderWay > 0 || !m.longAgo(row.Ended))
}

// hash reads a blob and says what is wrong with its bytes.
func (m *merge) hash(ctx context.Context, digest bundle.Digest) (string, error) {
	got, err := m.digestOf(ctx, digest)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err == nil && got == digest {
		return "", nil
	}
	row, rowErr := m.Records.BlobRecord(ctx, m.tenant, digest)
	_, there, fileErr := m.Files.Stat(ctx, m.namespace, digest)
	switch {
	case rowErr != nil || fileErr != nil:
		return "", errors.Join(rowErr, fileErr)
	case row == nil || row.Deleting || !there:
		return "", nil // it was deleted meanwhile
	case err != nil:
		return fmt.Sprintf("the file cannot be read: %v", err), nil
	}
	return fmt.Sprintf("the bytes have the digest %s", got), nil
}

func (m *merge) digestOf(ctx context.Context, digest bundle.Digest) (bundle.Digest, error) {
	blob, err := m.Files.Open(ctx, m.namespace, digest)
	if err != nil {
		return bundle.Digest{}, err
	}
	defer blob.Close() //nolint:errcheck // read only
	sum := sha256.New()
	const part = 8 << 20
	for at := int64(0); at < blob.Size(); at += part {
		if err := ctx.Err(); err != nil {
			return bundle.Digest{}, err
		}
		if _, err := io.Copy(sum, io.NewSectionReader(blob, at, min(part, blob.Size()-at))); err != nil {
			return bundle.Digest{}, err
		}
	}
	return bundle.Digest(sum.Sum(nil)), nil
}

func (l *look) entries(ctx context.Context, tenant string) error {
	return l.Records.LostEntries(ctx, tenant, func(e storage.EntryRecord) error {
		of := Divergence{Tenant: tenant, Run: e.Run, Subject: e.Path}
		if e.Recorded < 0 {
			return l.tell(entryLost, of, "blob %s has no row", e.Digest)
		}
		return l.tell(entryLost, of, "the entry has %d bytes, the row of blob %s says %d", e.Size, e.Digest, e.Recorded)
	})
}
