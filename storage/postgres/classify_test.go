package postgres_test

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// severed is a connection whose server dies with the next statement.
type severed struct {
	net.Conn
	armed, dead *atomic.Bool
}

func (s severed) Write(p []byte) (int, error) {
	s.dead.Store(s.armed.Load())
	return s.Conn.Write(p)
}

func (s severed) Read(p []byte) (int, error) {
	if s.dead.Load() {
		return 0, io.EOF
	}
	return s.Conn.Read(p)
}

// A database that dies, that lets nobody in or that may not write is away, not
// an internal error: the phase is tried again, and a client is told 503.
func TestADatabaseThatIsAwayIsWorthARetry(t *testing.T) {
	w := newWorld(t)
	away := func(err error) {
		t.Helper()
		require.Error(t, err)
		require.Equal(t, export.CodeUnavailable, export.CodeOf(postgres.Classify("ask", err)), "%v", err)
		require.Equal(t, export.ClassTransient, export.ClassOf(postgres.Classify("ask", err)))
	}
	cfg, err := pgx.ParseConfig(w.App)
	require.NoError(t, err)
	var armed, dead atomic.Bool
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return severed{conn, &armed, &dead}, err
	}
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	require.NoError(t, err)
	armed.Store(true)
	_, err = conn.Exec(t.Context(), "select 1")
	away(err)

	cfg, err = pgx.ParseConfig(w.App)
	require.NoError(t, err)
	cfg.Password = "of yesterday"
	_, err = pgx.ConnectConfig(t.Context(), cfg)
	away(err)

	for _, state := range []string{"25006", "25P03", "57P01", "53300", "53100", "08006"} {
		away(&pgconn.PgError{Code: state})
	}
	require.Equal(t, export.CodeInternal, export.CodeOf(postgres.Classify("ask", &pgconn.PgError{Code: "42P01"})))
}
