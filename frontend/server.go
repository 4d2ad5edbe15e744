package frontend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/signing/dpop"
	"github.com/stella-ops/exportcenter/storage"
)

// Limits of the HTTP server. Streams extend the two timeouts as they move.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 60 * time.Second
	idleTimeout   = 2 * time.Minute
	drainTimeout  = 20 * time.Second
	maxHeader     = 32 << 10
)

// Server answers the API. Between requests it keeps the issuer's keys and what
// follows from bytes that never change (outlines, verified tokens), so any number
// of them can run beside each other.
type Server struct {
	cfg      Config
	echo     *echo.Echo
	verifier Verifier
	clock    clock.Clock
	ids      clock.IDs
	log      *slog.Logger
	outlines *outlines
	imports  *importGate
	events   *eventHub
	verifies *verifyGate
	// checkpoints are of blobs that were compared as a whole.
	checkpoints  *recent[blobName, storage.Checkpoints]
	shared       *sharing
	proofKeys    dpop.Keys
	prices       *turns
	diffs        *turns
	packs        *turns
	pen          *auditPen
	notices      daily
	refusals     *refusals
	admission    *admission
	descriptions descriptions
	corrupt      atomic.Int64 // reads that were refused since the start: stored bytes were wrong
	stopping     atomic.Bool

	scopes     scopeTable
	closed     *closedTenants
	onLoopback bool // clients call an address of this machine
}

var _ StrictServerInterface = handlers{}

// handlers are the operations; a type of its own, so that they are not
// methods of what callers hold.
type handlers struct{ *Server }

// New makes a server. It fails when something it needs is missing, or when the
// OpenAPI document leaves an operation without a scope.
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	spec, err := specified()
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, verifier: cfg.Verifier, clock: cfg.Clock, ids: cfg.IDs, log: cfg.Log,
		outlines: newOutlines(outlineFiles, cfg.Runs.Files),
		imports:  newImportGate(),
		verifies: newVerifyGate(),

		checkpoints: newRecent[blobName, storage.Checkpoints](checkpointBytes),
		shared:      newSharing(),
		events:      newEventHub(cfg.Journal, cfg.Streams, cfg.Log),
		prices:      newTurns(pricesAtOnce),
		diffs:       newTurns(diffsAtOnce),
		packs:       newTurns(packsAtOnce),
		pen:         newAuditPen(cfg.Audit),
		admission:   newAdmission(cfg.Rates),
		closed:      &closedTenants{read: cfg.Tenants.ClosedTenants, clock: cfg.Clock},
		scopes:      spec.scopes, onLoopback: cfg.PublicURL == "" || dpop.OnLoopback(cfg.PublicURL),
		descriptions: spec.descriptions}
	s.refusals = newRefusals(s.pen, s.log)
	s.echo = s.routes(spec)
	return s, nil
}

func (s *Server) routes(spec specification) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Binder = strictBinder{}
	e.HTTPErrorHandler = s.fail
	e.IPExtractor = echo.ExtractIPDirect()
	e.Use(s.begin, s.observe)

	doors := map[string][]echo.MiddlewareFunc{}
	for operation, alternatives := range spec.scopes {
		if alternatives != nil {
			doors[operation] = []echo.MiddlewareFunc{s.audited(operation, laneOf(operation, spec.streams[operation]), alternatives)}
			if d, ok := spec.retired[operation]; ok {
				doors[operation] = append(doors[operation], s.deprecated(operation, d))
			}
		}
	}
	RegisterHandlersWithOptions(e, NewStrictHandler(handlers{s}, []StrictMiddlewareFunc{bounded}), RegisterHandlersOptions{OperationMiddlewares: doors})
	if s.cfg.Development != nil {
		e.Any("/oauth/*", echo.WrapHandler(s.cfg.Development))
	}
	for _, prefix := range guardedPaths {
		e.RouteNotFound(prefix+"*", nothingHere(e), s.audited("", plainLane, nil))
	}
	return e
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, headAsGet(r)) }

// Serve answers requests on ln until ctx ends. Then it reports not ready,
// takes no new connections, ends the event streams, and lets what else is under
// way finish for 20 seconds.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	base, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			boundUnsent(c)
			return ctx
		},
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	defer s.events.start(ctx)()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	s.stopping.Store(true)
	defer s.refusals.flush()
	s.events.drain()
	drain, cancel := context.WithTimeout(base, drainTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		abandon()
		return errors.Join(fmt.Errorf("drain HTTP connections: %w", err), server.Close())
	}
	return nil
}
