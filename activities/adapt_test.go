package activities

import (
	"context"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// shelf is a ledger of rows whose documents are all {}.
type shelf struct {
	ledger.Store
	rows []ledger.Row
}

func (s shelf) Lines(_ context.Context, _ string, seqs []int64, yield func(ledger.Line) error) error {
	for _, seq := range seqs {
		i := slices.IndexFunc(s.rows, func(r ledger.Row) bool { return r.Seq == seq })
		if err := yield(ledger.Line{Row: s.rows[i], Format: "osv", Canonical: []byte("{}")}); err != nil {
			return err
		}
	}
	return nil
}

// void takes blobs and pins and keeps nothing.
type void struct {
	storage.Objects
	storage.Execution
	storage.Staged
}

func (void) Stage(context.Context, string) (storage.Staged, error)          { return void{}, nil }
func (void) Write(p []byte) (int, error)                                    { return len(p), nil }
func (void) Digest() (bundle.Digest, int64)                                 { return bundle.Digest{}, 0 }
func (void) Publish(context.Context) error                                  { return nil }
func (void) Discard() error                                                 { return nil }
func (void) Pin(context.Context, storage.Claim, bundle.Digest, int64) error { return nil }

// A plan blob that was damaged on disk, but still reads, names other documents
// than the run's rows: they must not be signed in place of the right ones.
func TestADamagedPlanPacksNothing(t *testing.T) {
	all := rows(10, 100)
	shards, lines := plan(t, all[:9])
	p := &packing{Export: &Export{Ledger: shelf{rows: all}, Objects: void{}, Execution: void{}}, adapter: jsonraw.Adapter{},
		claim: storage.Claim{Ref: export.Ref{Tenant: "demo"}}}
	_, _, err := p.packShard(t.Context(), shards[0], lines[0].Seqs)
	require.NoError(t, err)

	other := slices.Clone(lines[0].Seqs)
	other[3] = all[9].Seq
	_, _, err = p.packShard(t.Context(), shards[0], other)
	require.ErrorIs(t, err, storage.ErrCorrupt, "another document, the same number of them")
	_, _, err = p.packShard(t.Context(), shards[0], lines[0].Seqs[1:])
	require.ErrorIs(t, err, storage.ErrCorrupt, "one fewer")
}
