package faults

import (
	"io"
	"net"
	"sync"
)

// lifeline is all connections of one life of a process to a server: they end
// together when it dies, as the kernel ends those of a process.
type lifeline struct {
	listener net.Listener
	server   string

	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func newLifeline(server string) (*lifeline, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &lifeline{listener: listener, server: server}
	go l.accept()
	return l, nil
}

func (l *lifeline) address() string { return l.listener.Addr().String() }

func (l *lifeline) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.join(near)
	}
}

func (l *lifeline) join(near net.Conn) {
	far, err := net.Dial("tcp", l.server)
	if err != nil {
		near.Close()
		return
	}
	if !l.hold(near, far) {
		return
	}
	var both sync.WaitGroup
	pipe := func(to, from net.Conn) {
		io.Copy(to, from) //nolint:errcheck // either end may be cut at any time
		to.Close()
		from.Close()
	}
	both.Go(func() { pipe(far, near) })
	both.Go(func() { pipe(near, far) })
	both.Wait()
}

func (l *lifeline) hold(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		for _, c := range conns {
			c.Close()
		}
		return false
	}
	l.conns = append(l.conns, conns...)
	return true
}

// sever cuts all connections and lets no other come.
func (l *lifeline) sever() {
	l.listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for _, c := range l.conns {
		c.Close()
	}
	l.conns = nil
}
