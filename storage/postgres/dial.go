package postgres

import (
	"context"
	"net"
	"time"
)

// How soon a connection whose other end has vanished (a machine without power, a
// firewall that forgot it) is given up: at the latest after vanishedAfter. The
// kernel's own answer is a quarter of an hour for bytes on their way, and two
// hours for a silence (tcp(7)); activities and locks would wait as long.
const (
	keepAliveIdle     = 10 * time.Second
	keepAliveInterval = 5 * time.Second
	keepAliveCount    = 3
	vanishedAfter     = keepAliveIdle + keepAliveCount*keepAliveInterval
)

// dial is pgx's way to the server, with the bounds above.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveCount,
	}}
	conn, err := dialer.DialContext(ctx, network, address)
	if err == nil {
		boundUnacknowledged(conn)
	}
	return conn, err
}
