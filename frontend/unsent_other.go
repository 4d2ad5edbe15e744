//go:build !linux

package frontend

import "net"

// boundUnsent does nothing where we do not know how.
func boundUnsent(net.Conn) {}
