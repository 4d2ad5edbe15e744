package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/export"
)

// TestNoKeyOfEncryptionIsLeftBehind: the data key of an encrypted bundle is nowhere but
// wrapped: in no table, no blob of the bundle, no log line and no word of the run, which
// is all that an activity could tell a history of.
func TestNoKeyOfEncryptionIsLeftBehind(t *testing.T) {
	t.Parallel()
	alice := bundletest.Identity(t, 0)
	w := openWorkshop(t)
	w.ageless = true
	w.encryption = &export.Encryption{Enabled: true, Mode: export.EncryptionGCM, RecipientKeys: []string{alice.Recipient().String()}}
	var lines bytes.Buffer
	drawn := &drawing{}
	w.exporting.Log = slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.exporting.Random = drawn
	w.take(t, evidenceOfDay(t, 1))
	profile, _ := export.BuiltinProfile("mirror:full")
	run := w.run(t, profile, 0)
	archive := w.archive(t, run)

	var said struct {
		Keys []struct{ WrappedKey string }
	}
	require.NoError(t, json.Unmarshal(entryOf(t, archive, bundle.EncryptionPath), &said))
	require.Len(t, said.Keys, 1)
	wrapped, err := base64.StdEncoding.DecodeString(said.Keys[0].WrappedKey)
	require.NoError(t, err)
	opened, err := age.Decrypt(bytes.NewReader(wrapped), alice)
	require.NoError(t, err)
	key, err := io.ReadAll(opened)
	require.NoError(t, err)
	require.Len(t, key, 32)
	require.True(t, drawn.has(key), "the data key is drawn from the randomness that the test knows")

	canaries := map[string][]byte{"the recipient's identity": []byte(alice.String())}
	for form, text := range map[string][]byte{"raw": key, "hex": []byte(hex.EncodeToString(key)), "HEX": []byte(strings.ToUpper(hex.EncodeToString(key))),
		"base64": []byte(base64.RawStdEncoding.EncodeToString(key)), "base64url": []byte(base64.RawURLEncoding.EncodeToString(key))} {
		canaries["the data key, "+form] = text
	}
	word, err := json.Marshal(run)
	require.NoError(t, err)
	places := w.tables(t)
	places["the log"], places["the run"], places["the bundle"] = lines.Bytes(), word, archive
	for _, f := range bundleFiles(t, w, run) {
		places["blob of "+f.path] = f.content
	}
	seen := false
	for where, in := range places {
		for name, text := range canaries {
			require.False(t, bytes.Contains(in, text), "%s is in %s", name, where)
		}
		seen = seen || strings.HasPrefix(where, "table") && bytes.Contains(in, []byte(alice.Recipient().String()))
	}
	require.True(t, seen, "the search finds what is there: for whom the run is encrypted")
	require.Greater(t, len(places), 40)
	t.Logf("%d canaries, %d places, %d bytes of log", len(canaries), len(places), lines.Len())
}

// drawing gives random bytes and remembers them.
type drawing struct {
	mu  sync.Mutex
	all []byte
}

func (d *drawing) Read(p []byte) (int, error) {
	n, err := rand.Read(p)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, p[:n]...)
	return n, err
}

func (d *drawing) has(text []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return bytes.Contains(d.all, text)
}

// tables gives every table as text, in which bytes are hexadecimal digits.
func (w *workshop) tables(t *testing.T) map[string][]byte {
	t.Helper()
	db, err := pgx.Connect(t.Context(), w.db.Admin)
	require.NoError(t, err)
	defer db.Close(context.Background()) //nolint:errcheck // it was read
	rows, err := db.Query(t.Context(), "select relname from pg_class where relkind in ('r', 'p', 'm') and relnamespace = 'public'::regnamespace")
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	found := map[string][]byte{}
	for _, name := range names {
		rows, err := db.Query(t.Context(), "select t::text from "+pgx.Identifier{name}.Sanitize()+" t")
		require.NoError(t, err)
		texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		found["table "+name] = []byte(strings.Join(texts, "\n"))
	}
	return found
}

// storedEntry is an entry of a bundle as the blob store has it.
type storedEntry struct {
	path    string
	content []byte
}

func bundleFiles(t *testing.T, w *workshop, run export.Run) (all []storedEntry) {
	t.Helper()
	files, err := w.runs.Files(t.Context(), run.Ref())
	require.NoError(t, err)
	for _, f := range files {
		blob, err := w.objects.Open(t.Context(), run.Tenant, f.Digest)
		require.NoError(t, err)
		content, err := io.ReadAll(io.NewSectionReader(blob, 0, f.Size))
		require.NoError(t, err)
		require.NoError(t, blob.Close())
		all = append(all, storedEntry{f.Path, content})
	}
	return all
}
