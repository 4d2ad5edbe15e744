package dpop

import (
	"errors"
	"net"
	"net/url"
	"strings"
)

// maxTarget is more than any address of ours has.
const maxTarget = 4 << 10

// Target gives the form in which all spellings of one address are the same
// (RFC 9449 section 4.3, check 9): query and fragment left out, scheme and host in
// lower case, the scheme's own port left out, an empty path "/", and percent
// encoding as RFC 3986 section 6.2.2 has it. What could be read in two ways (user
// information, dot segments, characters that do not belong there) is an error.
func Target(address string) (string, error) {
	if len(address) > maxTarget {
		return "", errors.New("it is too long")
	}
	if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }) {
		return "", errors.New("it has characters that an address cannot have")
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", errors.New("it is not an address")
	}
	scheme := strings.ToLower(u.Scheme)
	if scheme != "http" && scheme != "https" || u.Opaque != "" || u.User != nil || u.Hostname() == "" {
		return "", errors.New("want http(s)://host[:port]/path")
	}
	path, err := normalPath(u.EscapedPath())
	if err != nil {
		return "", err
	}
	return scheme + "://" + hostPort(scheme, u) + path, nil
}

// OnLoopback reports whether an address is of this machine alone: its host is
// "localhost" or a loopback IP.
func OnLoopback(address string) bool {
	if _, err := Target(address); err != nil {
		return false
	}
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return strings.EqualFold(u.Hostname(), "localhost") || ip != nil && ip.IsLoopback()
}

func hostPort(scheme string, u *url.URL) string {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		port = ""
	}
	if port != "" {
		return net.JoinHostPort(host, port)
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// normalPath decodes what needs no encoding, and writes the rest in upper case.
func normalPath(escaped string) (string, error) {
	if escaped == "" {
		return "/", nil
	}
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if c != '%' {
			b.WriteByte(c)
			continue
		}
		if i+2 >= len(escaped) {
			return "", errors.New("its percent encoding is broken")
		}
		high, low := hexValue(escaped[i+1]), hexValue(escaped[i+2])
		if high < 0 || low < 0 {
			return "", errors.New("its percent encoding is broken")
		}
		if decoded := byte(high<<4 | low); unreserved(decoded) {
			b.WriteByte(decoded)
		} else {
			b.WriteString(strings.ToUpper(escaped[i : i+3]))
		}
		i += 2
	}
	for _, segment := range strings.Split(b.String(), "/") {
		if segment == "." || segment == ".." {
			return "", errors.New("its path has dot segments")
		}
	}
	return b.String(), nil
}

func hexValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func unreserved(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-._~", c) >= 0
}
