package postgres

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// boundUnacknowledged bounds how long sent bytes may stay unacknowledged; keep-alive
// begins only when there are none (tcp(7), TCP_USER_TIMEOUT). A Unix socket has no
// such bound and needs none.
func boundUnacknowledged(conn net.Conn) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(vanishedAfter.Milliseconds()))
	})
}
