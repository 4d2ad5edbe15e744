package postgres

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/stella-ops/exportcenter/internal/testkit"
)

// Every connection of a pool has the bounds on a vanished server; pgx could
// drop its dialer's name in any release.
func TestConnectionsNoticeAVanishedServer(t *testing.T) {
	pool, err := newPool(t.Context(), testkit.Postgres(t).AdminDSN(), "test", 1, silent)
	require.NoError(t, err)
	defer pool.Close()
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	raw, err := conn.Conn().PgConn().Conn().(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	options := map[int]int{}
	require.NoError(t, raw.Control(func(fd uintptr) {
		for _, name := range []int{unix.TCP_USER_TIMEOUT, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT} {
			options[name], _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, name)
		}
	}))
	require.Equal(t, map[int]int{unix.TCP_USER_TIMEOUT: 25_000, unix.TCP_KEEPIDLE: 10, unix.TCP_KEEPINTVL: 5, unix.TCP_KEEPCNT: 3}, options)
}
