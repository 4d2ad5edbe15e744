package fsck_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/s2"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/osv"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// revise records a greater revision of a tenant's first document.
func (w *world) revise(t *testing.T, tenant string) {
	t.Helper()
	newer := documents(t)[0]
	raw := bytes.Replace(newer.Raw, []byte("2026-01-01"), []byte("2026-02-01"), 1)
	o, err := osv.Parse(ledger.Entry{Stream: "s", File: "f", Name: "n", Bytes: raw})
	require.NoError(t, err)
	_, err = postgres.NewLedger(w.DB).Import(t.Context(), tenant, []ledger.Observation{o})
	require.NoError(t, err)
	_, found := w.look(t, true)
	require.Empty(t, found, "a second revision is no divergence")
}

// remove says that a tenant's first document is gone.
func (w *world) remove(t *testing.T, tenant string) {
	t.Helper()
	counts, err := postgres.NewLedger(w.DB).Remove(t.Context(), tenant, []ledger.Removal{{Identity: documents(t)[0].Identity()}})
	require.NoError(t, err)
	require.EqualValues(t, 1, counts.Removed)
	_, found := w.look(t, true)
	require.Empty(t, found, "a removal is no divergence")
}

// shard gives the one shard of a tenant's bundle.
func (w *world) shard(t *testing.T, tenant string) storage.Shard {
	t.Helper()
	_, shards, err := w.exec.Plan(t.Context(), w.ended[tenant].Ref())
	require.NoError(t, err)
	require.Len(t, shards, 1)
	return shards[0]
}

// places changes the places that are kept of acme's documents.
func (w *world) places(t *testing.T, change func([]ledger.Place)) {
	t.Helper()
	shard := w.shard(t, acme)
	key := storage.PlacesKey("", shard.Hash)
	kept, err := w.exec.Places(t.Context(), w.ended[acme].Ref(), []bundle.Digest{key})
	require.NoError(t, err)
	places, err := storage.ReadPlaces(nil, kept[0], shard.Count)
	require.NoError(t, err)
	change(places)
	var changed []byte
	var last ledger.Place
	for _, p := range places {
		changed, last = storage.AppendPlace(changed, last, p), p
	}
	w.sql(t, "update export_shards set places = $2 where tenant = 'acme' and hash = $1", key[:], changed)
}

// rewriteBlocks changes the tenant's blocks of records (0) or of originals (1)
// and gives them the checksum of what they then hold.
func (w *world) rewriteBlocks(t *testing.T, of int64, change func(content []byte)) {
	t.Helper()
	const head = 5 // form and checksum, as storage/postgres writes them
	var block int64
	var stored []byte
	conn, err := pgx.Connect(t.Context(), w.Admin)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // test
	require.NoError(t, conn.QueryRow(t.Context(),
		"select block, data from ledger_blocks where tenant = 'acme' and block % 2 = $1", of).Scan(&block, &stored))
	content, err := s2.Decode(nil, stored[head:])
	require.NoError(t, err)
	change(content)
	changed := binary.BigEndian.AppendUint32([]byte{stored[0]}, crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli)))
	w.sql(t, "update ledger_blocks set data = $2 where tenant = 'acme' and block = $1", block, append(changed, s2.Encode(nil, content)...))
}

// replaceIn changes a letter of document where it stands in content.
func replaceIn(t *testing.T, content, document []byte) {
	t.Helper()
	at := bytes.Index(content, document)
	require.GreaterOrEqual(t, at, 0)
	letter := at + bytes.Index(document, []byte("id")) + 1
	require.Equal(t, byte('d'), content[letter])
	content[letter] = 'e'
}
