package client

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/stella-ops/exportcenter/signing/dpop"
)

const (
	dialTimeout   = 10 * time.Second
	headerTimeout = 60 * time.Second
)

// Client calls one server as one token holder. It may be used by many
// goroutines at once.
type Client struct {
	api      *api
	patience time.Duration // with an answer that stands still
	imports  importTimes
}

// Option changes a Client.
type Option func(*settings)

type settings struct {
	tenant string
	http   *http.Client
	tokens TokenSource
	key    *dpop.Key
	watch  func(Exchange)
}

// Tokens gets the token from a source instead of the argument of New, which is "" then.
func Tokens(source TokenSource) Option { return func(s *settings) { s.tokens = source } }

// DPoP proves with every request that the caller holds the key to which the token
// is bound (RFC 9449).
func DPoP(key *dpop.Key) Option { return func(s *settings) { s.key = key } }

// Tenant names the tenant that the token must belong to; another token is
// refused by the server instead of working somewhere else.
func Tenant(name string) Option { return func(s *settings) { s.tenant = name } }

// Watch gives every request to seen once it was answered, or was not. All requests of
// the client carry one trace id then (W3C Trace Context), which the server's log has.
// seen is called from whichever goroutine made the request.
func Watch(seen func(Exchange)) Option { return func(s *settings) { s.watch = seen } }

// HTTP replaces the HTTP client. It must not have an overall timeout if
// archives are to be downloaded.
func HTTP(c *http.Client) Option { return func(s *settings) { s.http = c } }

// New makes a client for the server at an http(s) address. It opens no
// connection yet.
func New(server, token string, options ...Option) (*Client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("server address %q: want http(s)://host[:port]", server)
	}
	s := settings{http: defaultHTTP()}
	for _, option := range options {
		option(&s)
	}
	if s.tokens == nil {
		if err := checkToken(token); err != nil {
			return nil, err
		}
		s.tokens = Fixed(token)
	}
	generated, err := NewClient(server, WithHTTPClient(newSender(s)))
	if err != nil {
		return nil, fmt.Errorf("server address %q: %w", server, err)
	}
	return &Client{api: generated, patience: bodyPatience, imports: usualImportTimes}, nil
}

// defaultHTTP follows no redirects: the token is for the server that was named.
func defaultHTTP() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
			TLSHandshakeTimeout:   dialTimeout,
			ResponseHeaderTimeout: headerTimeout,
			IdleConnTimeout:       headerTimeout,
			MaxIdleConnsPerHost:   8,
			ForceAttemptHTTP2:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
