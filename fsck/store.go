package fsck

import (
	"context"
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/storage"
)

// store looks at what belongs to no row.
func (l *look) store(ctx context.Context) error {
	owners, err := l.owners(ctx)
	if err != nil {
		return err
	}
	if err := l.namespaces(ctx, owners); err != nil {
		return err
	}
	err = l.Files.Staged(ctx, func(f storage.BlobFile) error {
		if !l.longAgo(f.Modified) {
			return nil
		}
		of := Divergence{Tenant: ownerOf(owners, f.Path), Subject: f.Path}
		remove := func() (bool, error) { return l.Repairs.RemoveStaged(ctx, f.Path, l.Clock().Add(-l.Patience)) }
		return l.tellAndMend(ctx, stagedLeft, of, remove, "%d bytes, last written at %s", f.Size, f.Modified.Format(time.RFC3339))
	})
	if err != nil {
		return err
	}
	return l.Files.Foreign(ctx, func(f storage.BlobFile) error {
		return l.tell(fileForeign, Divergence{Tenant: ownerOf(owners, f.Path), Subject: f.Path}, "the store makes no such name")
	})
}

// namespaces tells of files that belong to no tenant. A tenant that came while
// we looked at the others is in owners, which was read after them.
func (l *look) namespaces(ctx context.Context, owners map[string]string) error {
	found, err := l.Files.Namespaces(ctx)
	if err != nil {
		return err
	}
	var unknown []string
	for _, n := range found {
		if owners[n] == "" {
			unknown = append(unknown, n)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	if owners, err = l.owners(ctx); err != nil { // once more: one may have come since
		return err
	}
	for _, n := range unknown {
		if owners[n] != "" {
			continue
		}
		var blobs, size int64
		err := l.Files.Blobs(ctx, n, func(f storage.BlobFile) error {
			l.looked.Blobs++
			blobs, size = blobs+1, size+f.Size
			return nil
		})
		if err != nil {
			return err
		}
		if blobs == 0 {
			continue
		}
		if err := l.tell(namespaceUnknown, Divergence{Subject: n}, "it has %d blobs of %d bytes", blobs, size); err != nil {
			return err
		}
	}
	return nil
}

// owners gives the tenant of each namespace.
func (l *look) owners(ctx context.Context) (map[string]string, error) {
	tenants, err := l.Records.Tenants(ctx)
	if err != nil {
		return nil, fmt.Errorf("list tenants again: %w", err)
	}
	owners := make(map[string]string, len(tenants))
	for _, t := range tenants {
		owners[storage.Namespace(t)] = t
	}
	return owners, nil
}

// ownerOf gives the tenant in whose namespace a path is, "" for none.
func ownerOf(owners map[string]string, path string) string {
	const length = 64
	if len(path) < length {
		return ""
	}
	return owners[path[:length]]
}
