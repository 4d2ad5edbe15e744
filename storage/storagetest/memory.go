package storagetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"sort"
	"sync"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Memory is a blob store in memory.
type Memory struct {
	mu     sync.Mutex
	blobs  map[memoryKey][]byte
	staged int
	// Each holds an element while a blob is erased that has a mark, or has none.
	marked, unmarked fence
}

type memoryKey struct {
	namespace string
	digest    bundle.Digest
}

var _ storage.Objects = (*Memory)(nil)

// NewObjects makes an empty store in memory.
func NewObjects() *Memory {
	return &Memory{blobs: map[memoryKey][]byte{}, marked: make(fence, 1), unmarked: make(fence, 1)}
}

// Stage begins a blob.
func (m *Memory) Stage(ctx context.Context, tenant string) (storage.Staged, error) {
	if err := begin(ctx, tenant); err != nil {
		return nil, fmt.Errorf("stage blob: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.staged++
	return &memoryStaged{store: m, namespace: storage.Namespace(tenant), hash: sha256.New()}, nil
}

// Open opens a published blob.
func (m *Memory) Open(ctx context.Context, tenant string, digest bundle.Digest) (storage.Blob, error) {
	if err := begin(ctx, tenant); err != nil {
		return nil, fmt.Errorf("open blob %s: %w", digest, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	content, ok := m.blobs[memoryKey{storage.Namespace(tenant), digest}]
	if !ok {
		return nil, fmt.Errorf("open blob %s: %w", digest, storage.ErrNotFound)
	}
	return memoryBlob{bytes.NewReader(content)}, nil
}

// Stored reports whether a blob of that size is there.
func (m *Memory) Stored(ctx context.Context, tenant string, digest bundle.Digest, size int64) (bool, error) {
	err := begin(ctx, tenant)
	if err == nil {
		err = m.unmarked.pass(ctx)
	}
	if err != nil {
		return false, fmt.Errorf("look for blob %s: %w", digest, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	content, ok := m.blobs[memoryKey{storage.Namespace(tenant), digest}]
	return ok && int64(len(content)) == size, nil
}

// Delete removes a blob that is marked.
func (m *Memory) Delete(ctx context.Context, tenant string, digest bundle.Digest, still storage.Still) error {
	return m.erase(ctx, tenant, digest, m.marked, still)
}

// DeleteUnmarked removes a blob that has no mark.
func (m *Memory) DeleteUnmarked(ctx context.Context, tenant string, digest bundle.Digest, still storage.Still) error {
	return m.erase(ctx, tenant, digest, m.unmarked, still)
}

func (m *Memory) erase(ctx context.Context, tenant string, digest bundle.Digest, f fence, still storage.Still) error {
	err := begin(ctx, tenant)
	if err == nil {
		err = f.enter(ctx)
	}
	if err != nil {
		return fmt.Errorf("delete blob %s: %w", digest, err)
	}
	defer f.leave()
	if err := still(ctx); err != nil {
		return fmt.Errorf("delete blob %s: %w", digest, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.blobs, memoryKey{storage.Namespace(tenant), digest})
	return nil
}

// fence lets one in at a time.
type fence chan struct{}

func (f fence) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case f <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f fence) leave() { <-f }

// pass returns once nobody is inside.
func (f fence) pass(ctx context.Context) error {
	if err := f.enter(ctx); err != nil {
		return err
	}
	f.leave()
	return nil
}

// Check always succeeds: memory is there.
func (m *Memory) Check(ctx context.Context) error { return ctx.Err() }

// Digests lists a tenant's blobs, sorted; for asserting what is left.
func (m *Memory) Digests(tenant string) []bundle.Digest {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []bundle.Digest
	for key := range m.blobs {
		if key.namespace == storage.Namespace(tenant) {
			found = append(found, key.digest)
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Hex() < found[j].Hex() })
	return found
}

// Staging counts blobs that were staged and neither published nor discarded.
func (m *Memory) Staging() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.staged
}

// Damage replaces a blob's stored bytes, as a bad disk would.
func (m *Memory) Damage(tenant string, digest bundle.Digest, content []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[memoryKey{storage.Namespace(tenant), digest}] = bytes.Clone(content)
}

type memoryStaged struct {
	store     *Memory
	namespace string
	content   bytes.Buffer
	hash      hash.Hash
	ended     bool
}

var errEnded = errors.New("the staged blob has ended")

func (b *memoryStaged) Write(p []byte) (int, error) {
	if b.ended {
		return 0, fmt.Errorf("write blob: %w", errEnded)
	}
	b.hash.Write(p) //nolint:errcheck // never fails (hash.Hash)
	return b.content.Write(p)
}

func (b *memoryStaged) Digest() (bundle.Digest, int64) {
	return bundle.Digest(b.hash.Sum(nil)), int64(b.content.Len())
}

func (b *memoryStaged) Publish(ctx context.Context) error {
	digest, _ := b.Digest()
	if b.ended {
		return fmt.Errorf("publish blob %s: %w", digest, errEnded)
	}
	if err := b.store.unmarked.pass(ctx); err != nil {
		return fmt.Errorf("publish blob %s: %w", digest, err)
	}
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	key := memoryKey{b.namespace, digest}
	if old, ok := b.store.blobs[key]; !ok || len(old) != b.content.Len() {
		b.store.blobs[key] = bytes.Clone(b.content.Bytes())
	}
	b.ended = true
	b.store.staged--
	return nil
}

func (b *memoryStaged) Discard() error {
	if b.ended {
		return nil
	}
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	b.ended = true
	b.store.staged--
	return nil
}

type memoryBlob struct{ *bytes.Reader }

func (memoryBlob) Close() error { return nil }

func begin(ctx context.Context, tenant string) error {
	if !export.ValidTenant(tenant) {
		return export.Errorf(export.CodeTenantRequired, "tenant %.80q is not a tenant name", tenant)
	}
	return ctx.Err()
}
