//go:build !linux

package postgres

import "net"

// boundUnacknowledged does nothing where we do not know how.
func boundUnacknowledged(net.Conn) {}
