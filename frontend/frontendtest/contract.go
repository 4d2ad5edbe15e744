package frontendtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend"
)

// Contract is an HTTP transport that fails the test when an answer does not
// fit the OpenAPI document: its status, headers, media type or body.
type Contract struct {
	t      testing.TB
	router routers.Router
	doc    *openapi3.T
	next   http.RoundTripper

	mu   sync.Mutex
	seen map[string]bool
}

// answered are the "operation status" pairs of all contracts of this process.
var answered sync.Map

// NewContract makes a Contract over the default transport.
func NewContract(t testing.TB) *Contract {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(frontend.Spec)
	require.NoError(t, err)
	router, err := gorillamux.NewRouter(doc)
	require.NoError(t, err)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return &Contract{t: t, router: router, doc: doc, next: transport, seen: map[string]bool{}}
}

// Client is an HTTP client that keeps to the contract.
func (w *World) Client(t testing.TB) *http.Client { return &http.Client{Transport: NewContract(t)} }

// Seen lists "operation status" pairs that were answered.
func (c *Contract) Seen() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen
}

// RoundTrip implements http.RoundTripper.
func (c *Contract) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		return resp, nil // not a path of the document
	}
	c.mu.Lock()
	c.seen[route.Operation.OperationID+" "+strconv.Itoa(resp.StatusCode)] = true
	c.mu.Unlock()
	answered.Store(route.Operation.OperationID+" "+strconv.Itoa(resp.StatusCode), true)
	if err := c.check(req, resp, route, params); err != nil {
		c.t.Errorf("%s %s answered %d against the OpenAPI document: %v", req.Method, req.URL.Path, resp.StatusCode, err)
	}
	return resp, nil
}

func (c *Contract) check(req *http.Request, resp *http.Response, route *routers.Route, params map[string]string) error {
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 resp.StatusCode, Header: resp.Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	mediaType := resp.Header.Get("Content-Type")
	described := route.Operation.Responses.Status(resp.StatusCode)
	switch {
	case strings.Contains(mediaType, "json") && mediaType != "application/x-ndjson":
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
		input.Body = io.NopCloser(bytes.NewReader(body))
	default:
		input.Options.ExcludeResponseBody = true
		if described != nil && described.Value.Content.Get(mediaType) == nil && len(described.Value.Content) > 0 {
			return fmt.Errorf("media type %q is not described", mediaType)
		}
	}
	if mediaType == "application/x-ndjson" {
		schema := described.Value.Content.Get(mediaType).Schema
		resp.Body = &lineChecker{ReadCloser: resp.Body, check: func(line []byte) error { return checkLine(schema.Value, line) }, t: c.t}
	}
	return openapi3filter.ValidateResponse(req.Context(), input)
}

func checkLine(schema *openapi3.Schema, line []byte) error {
	var value any
	if err := json.Unmarshal(line, &value); err != nil {
		return err
	}
	return schema.VisitJSON(value, openapi3.EnableJSONSchema2020())
}

// lineChecker checks each line of a body once the body was read.
type lineChecker struct {
	io.ReadCloser
	read  bytes.Buffer
	check func([]byte) error
	t     testing.TB
}

func (l *lineChecker) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	l.read.Write(p[:n])
	if err == io.EOF {
		lines := bufio.NewScanner(&l.read)
		for lines.Scan() {
			if err := l.check(lines.Bytes()); err != nil {
				l.t.Errorf("line %.200q against the OpenAPI document: %v", lines.Text(), err)
			}
		}
	}
	return n, err
}

// Unanswered lists the "operation status" pairs of the OpenAPI document that no
// server of this process has answered with, sorted.
func Unanswered() (missing []string, err error) {
	doc, err := openapi3.NewLoader().LoadFromData(frontend.Spec)
	if err != nil {
		return nil, err
	}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			for status := range op.Responses.Map() {
				pair := op.OperationID + " " + status
				if _, seen := answered.Load(pair); !seen {
					missing = append(missing, pair)
				}
			}
		}
	}
	slices.Sort(missing)
	return missing, nil
}
