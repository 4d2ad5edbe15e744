package fsck_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// reading is what was read, or why it was refused.
type reading struct {
	text string
	err  error
}

func wrongBytes(err error) bool {
	return errors.Is(err, storage.ErrCorrupt) || errors.Is(err, storage.ErrNotFound)
}

// readings reads acme's documents in every way that an export, or somebody who
// asks for one, does.
func (w *world) readings(t *testing.T) map[string]reading {
	t.Helper()
	ctx, book := t.Context(), postgres.NewLedger(w.DB)
	all := map[string]reading{}
	for _, d := range documents(t) {
		raw, err := book.Original(ctx, acme, d.Digest)
		all["original "+d.UpstreamID] = reading{string(raw), err}
	}
	for name, chosen := range map[string]export.Selectors{
		"everything": {},
		"ecosystem":  {Ecosystems: []string{"npm"}},
		"products":   {Products: []string{"pkg:npm/p0", "pkg:npm/p1"}},
	} {
		all[name] = readSelected(ctx, book, chosen)
	}
	all["a shard"] = w.readShard(t, book)
	return all
}

// readSelected reads what an export of these selectors would plan and pack.
func readSelected(ctx context.Context, book *postgres.Ledger, chosen export.Selectors) (r reading) {
	var places []ledger.Place
	r.err = book.Current(ctx, acme, "", 5, chosen, ledger.KeyRange{}, func(row ledger.Row) error {
		places = append(places, row.Place)
		return nil
	})
	if r.err != nil {
		return r
	}
	r.err = book.Lines(ctx, acme, places, func(line ledger.Line) error {
		r.text += fmt.Sprintf("%s %s %s %v %v %v %s\n", line.Digest, line.Modified, line.AppendKey(nil),
			line.Ecosystems, line.Products, line.Aliases, line.Canonical)
		return nil
	})
	return r
}

// readShard reads the documents at the places that are kept of the shard, as
// packing does, which compares them with the shard's hash.
func (w *world) readShard(t *testing.T, book *postgres.Ledger) (r reading) {
	t.Helper()
	shard := w.shard(t, acme)
	kept, err := w.exec.Places(t.Context(), w.ended[acme].Ref(), []bundle.Digest{storage.PlacesKey("", shard.Hash)})
	require.NoError(t, err)
	places, err := storage.ReadPlaces(nil, kept[0], shard.Count)
	if err != nil {
		return reading{err: err}
	}
	sum := sha256.New()
	r.err = book.Lines(t.Context(), acme, places, func(line ledger.Line) error {
		key := append(line.AppendKey(nil), '\n')
		sum.Write(append(hex.AppendEncode(key, line.Digest[:]), '\n'))
		r.text += string(line.Canonical)
		return nil
	})
	if r.err == nil && bundle.Digest(sum.Sum(nil)) != shard.Hash {
		r.err = fmt.Errorf("packing would give other documents: %w", storage.ErrCorrupt)
	}
	return r
}
