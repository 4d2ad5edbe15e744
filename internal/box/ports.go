package box

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"
)

// DefaultListen is where the API listens unless told otherwise.
const DefaultListen = "127.0.0.1:8480"

const loopback = "127.0.0.1"

// Free ports are taken from below the range that Linux gives to outgoing
// connections (32768 and up): there, a connection of any program could sit on
// a port in the moment between a child's death and its next start.
const (
	firstPort = 20000
	lastPort  = 32000
)

// lingering bounds the wait for ports that the children of a killed `up` may
// hold for a moment more.
const lingering = 5 * time.Second

// choosePorts settles every port: the same as last time where it is free. A
// taken one is replaced by a free one, and that is said.
func (b *box) choosePorts() error {
	host, wanted, err := splitListen(b.options.Listen)
	if err != nil {
		return err
	}
	if b.lock.resumed {
		b.awaitPorts(host)
	}
	p := &b.state.Ports
	chosen := []int{}
	pick := func(what, host string, wanted int, remembered *int) error {
		if *remembered, err = b.pick(what, host, wanted, *remembered, chosen); err != nil {
			return err
		}
		chosen = append(chosen, *remembered)
		return nil
	}
	err = errors.Join(
		pick("the API", host, wanted, &p.API),
		pick("PostgreSQL", loopback, 0, &p.Postgres),
		pick("Temporal", loopback, 0, &p.Temporal),
		pick("Temporal's web page", loopback, 0, &p.TemporalUI),
	)
	if err != nil {
		return err
	}
	return b.state.save(b.layout)
}

// pick prefers the wanted port, then the remembered one, then any free one.
func (b *box) pick(what, host string, wanted, remembered int, chosen []int) (int, error) {
	taken := 0
	for _, port := range []int{wanted, remembered} {
		if port == 0 {
			continue
		}
		if isFree(host, port) && !slices.Contains(chosen, port) {
			if taken != 0 {
				b.say.line("Port %d is taken; %s uses %d instead.", taken, what, port)
			}
			return port, nil
		}
		if taken == 0 {
			taken = port
		}
	}
	port, err := freePort(host, b.options.Random, chosen)
	if err == nil && taken != 0 {
		b.say.line("Port %d is taken; %s uses %d instead.", taken, what, port)
	}
	return port, err
}

func freePort(host string, random io.Reader, chosen []int) (int, error) {
	for range 200 {
		var draw [4]byte
		if _, err := io.ReadFull(random, draw[:]); err != nil {
			return 0, fmt.Errorf("draw randomness: %w", err)
		}
		port := firstPort + int(binary.BigEndian.Uint32(draw[:])%(lastPort-firstPort))
		if !slices.Contains(chosen, port) && isFree(host, port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("found no free port on %s between %d and %d", host, firstPort, lastPort)
}

func isFree(host string, port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	l.Close() //nolint:errcheck // nothing was accepted
	return true
}

// awaitPorts gives the children of a killed predecessor time to be gone, so
// that the ports stay the same.
func (b *box) awaitPorts(host string) {
	p := b.state.Ports
	for range lingering / (50 * time.Millisecond) {
		free := true
		for _, port := range []int{p.Postgres, p.Temporal, p.TemporalUI} {
			free = free && (port == 0 || isFree(loopback, port))
		}
		if free && (p.API == 0 || isFree(host, p.API)) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// splitListen accepts loopback only: the development token opens everything
// and is not bound to its bearer.
func splitListen(listen string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("--listen %q is not host:port", listen)
	}
	if port, err = strconv.Atoi(text); err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("--listen %q: the port is not a number from 0 to 65535", listen)
	}
	if host == "localhost" {
		host = loopback
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return "", 0, fmt.Errorf("--listen %q: `up` listens on loopback only (127.0.0.1), because its development token "+
			"must not travel; on a network run `exportcenter api` and `worker` with a configuration of your own", listen)
	}
	return host, port, nil
}
