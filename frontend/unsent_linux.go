package frontend

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxUnsent is how many bytes of an answer wait in the kernel for a reader that has
// not taken what is before them. Without it that is up to 4 MB (tcp_wmem): a reader
// that wants a few bytes would have the server hash all those for nobody, and on a
// busy machine wait for its first byte meanwhile. What is sent and under way is not
// counted, so that far readers are as fast as before (tcp(7), TCP_NOTSENT_LOWAT).
const maxUnsent = 128 << 10

// boundUnsent keeps the answers on a connection at most maxUnsent ahead of what the
// reader takes. It is an economy: a connection that has no such bound works.
func boundUnsent(c net.Conn) {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
	})
}
