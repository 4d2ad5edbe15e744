package trivyjavadb

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSQLiteSortsInTheScratchDirectory looks at the files that are open while
// SQLite sorts more than it keeps in memory.
func TestSQLiteSortsInTheScratchDirectory(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("missing: /proc/self/fd")
	}
	db, err := sql.Open("sqlite", ":memory:")
	require.NoError(t, err)
	defer db.Close() //nolint:errcheck // in memory
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close() //nolint:errcheck // in memory
	for _, name := range []string{"one", "it's another"} {
		dir := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.Mkdir(dir, 0o700))
		require.NoError(t, sortIn(t.Context(), conn, dir))
		require.NoError(t, sortIn(t.Context(), conn, dir), "again")
		require.NoError(t, execute(t.Context(), conn, "PRAGMA cache_size = -64"))
		rows, err := conn.QueryContext(t.Context(), "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) SELECT i, hex(zeroblob(50)) AS z FROM n ORDER BY i * 7919 % 60000, z")
		require.NoError(t, err)
		some, count := rows.Next(), openIn(t, dir)
		require.NoError(t, rows.Close()) // first, or a failure would wait for it
		require.True(t, some)
		require.Positive(t, count)
		require.Zero(t, openIn(t, dir))
	}
}

func openIn(t *testing.T, dir string) (count int) {
	files, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	for _, file := range files {
		if name, err := os.Readlink(file); err == nil && strings.HasPrefix(name, dir+"/") {
			count++
		}
	}
	return count
}
