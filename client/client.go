package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
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
}

// Tenant names the tenant that the token must belong to; another token is
// refused by the server instead of working somewhere else.
func Tenant(name string) Option { return func(s *settings) { s.tenant = name } }

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
	if token == "" || strings.ContainsAny(token, " \r\n\t") {
		return nil, errors.New("the token is empty or has spaces or line ends in it")
	}
	s := settings{http: defaultHTTP()}
	for _, option := range options {
		option(&s)
	}
	generated, err := NewClient(server, WithHTTPClient(s.http), WithRequestEditorFn(
		func(_ context.Context, req *http.Request) error {
			req.Header.Set("Authorization", "Bearer "+token)
			if s.tenant != "" {
				req.Header.Set("X-Stella-Tenant", s.tenant)
			}
			return nil
		}))
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
