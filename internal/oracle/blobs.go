package oracle

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/fsck"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// blobs holds rows against files, both ways, every file against its name, and
// wants nothing half written. fsck looks at the same again with other eyes.
func (j *judgement) blobs() error {
	var left int // what an attempt has encrypted and another one has not used
	err := j.admin.QueryRow(j.ctx, `select count(*) from blob_pins p where p.tenant = $1 and p.part = 'encrypt'
		and not exists (select from export_files f where f.tenant = p.tenant and f.digest = p.sha256)`, j.ref.Tenant).Scan(&left)
	if err != nil {
		return fmt.Errorf("count its tenant's ciphertexts: %w", err)
	}
	if left > 0 {
		j.say("%d ciphertexts are kept that are in no bundle", left)
	}
	rows, err := j.admin.Query(j.ctx, `select encode(b.sha256, 'hex'), b.size, b.state,
		exists (select from blob_pins p where p.tenant = b.tenant and p.sha256 = b.sha256)
		from blobs b where b.tenant = $1`, j.ref.Tenant)
	if err != nil {
		return fmt.Errorf("read its tenant's blobs: %w", err)
	}
	recorded := map[string]int64{}
	for rows.Next() {
		var digest, state string
		var size int64
		var pinned bool
		if err := rows.Scan(&digest, &size, &state, &pinned); err != nil {
			return fmt.Errorf("read its tenant's blobs: %w", err)
		}
		recorded[digest] = size
		if state != "live" || !pinned {
			j.say("blob %s is %s, kept by a run: %v", digest, state, pinned)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read its tenant's blobs: %w", err)
	}
	namespace := storage.Namespace(j.ref.Tenant)
	err = j.files.Blobs(j.ctx, namespace, func(f storage.BlobFile) error {
		size, there := recorded[f.Digest.Hex()]
		delete(recorded, f.Digest.Hex())
		if !there || size != f.Size {
			j.say("blob %s has %d bytes and a row: %v (of %d bytes)", f.Digest, f.Size, there, size)
		}
		return j.hash(namespace, f.Digest)
	})
	if err != nil {
		return fmt.Errorf("list its tenant's blobs: %w", err)
	}
	for digest := range recorded {
		j.say("blob %s has a row and no file", digest)
	}
	return j.files.Staged(j.ctx, func(f storage.BlobFile) error {
		j.say("left staged: %s, %d bytes", f.Path, f.Size)
		return nil
	})
}

func (j *judgement) hash(namespace string, digest bundle.Digest) error {
	blob, err := j.files.Open(j.ctx, namespace, digest)
	if err != nil {
		return err
	}
	defer blob.Close()
	content, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
	if err != nil {
		return err
	}
	if got := bundle.DigestOf(content); got != digest {
		j.say("blob %s has the bytes of %s", digest, got)
	}
	return nil
}

// divergences: fsck, as at an installation at rest, finds none.
func (j *judgement) divergences() error {
	check := fsck.Check{Records: only{postgres.NewSurvey(j.DB), j.ref.Tenant}, Files: j.files, Clock: clock.System, Deep: true}
	_, err := check.Run(j.ctx, func(d fsck.Divergence) error {
		j.say("fsck: %s %s: %s", d.Kind, d.Subject, d.Message)
		return nil
	})
	if err != nil {
		return fmt.Errorf("fsck: %w", err)
	}
	return nil
}

// only shows fsck one tenant of a database that others use.
type only struct {
	fsck.Records
	tenant string
}

func (o only) Tenants(context.Context) ([]string, error) { return []string{o.tenant}, nil }

// errNoBundle: a run without a bundle must have no entries.
var errNoBundle = errors.New("the run has no bundle")

// archive: what a download would deliver is the twin's, and verifies; a run
// that ended otherwise has no entry left.
func (j *judgement) archive() error {
	content, err := Archive(j.ctx, j.DB, j.files, j.ref)
	switch {
	case errors.Is(err, errNoBundle):
		if j.want.State == export.StateSucceeded && !j.want.Rebuild {
			j.say("the run succeeded and has no bundle entries")
		}
		return nil
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, bundle.ErrShortBlob):
		j.say("the archive cannot be downloaded: %v", err)
		return nil
	case err != nil:
		return err
	case j.want.State != export.StateSucceeded, j.want.Rebuild:
		j.say("the run is %s and has an archive of %d bytes", j.want.State, len(content))
		return nil
	}
	if got := bundle.DigestOf(content).String(); j.want.Archive != "" && got != j.want.Archive {
		j.say("archive %s, the twin has %s", got, j.want.Archive)
	}
	return j.verify(content)
}
