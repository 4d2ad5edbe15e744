package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/devtoken"
	"github.com/stella-ops/exportcenter/signing/dpop"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

const (
	readRequests = 8000 // each with a proof of its own
	readClients  = 16
)

// reads measures GET of a run with a token that is bound to a key and a new proof
// each time, beside a bare handler, in a process of its own like ours, that reads the same row.
func (b *bench) reads(ctx context.Context) (err error) {
	reader, err := b.newReader()
	if err != nil {
		return err
	}
	floor, err := b.serveRows(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, floor.stop()) }()
	var took []measure
	var floors []time.Duration
	for range repeats + 1 { // the first is not counted: connections are made
		bare, err := b.measured(ctx, "", func() (used, error) {
			return used{}, reader.readAll(ctx, floor.url+b.first.id, make([]string, readRequests))
		})
		if err != nil {
			return fmt.Errorf("bare handler: %w", err)
		}
		address := b.house.env["STELLA_SERVER"] + "/api/export/runs/" + b.first.id
		proofs, err := reader.proofs(address)
		if err != nil {
			return err
		}
		m, err := b.measured(ctx, "api", func() (used, error) { return used{}, reader.readAll(ctx, address, proofs) })
		if err != nil {
			return err
		}
		floors, took = append(floors, bare.wall), append(took, m)
	}
	took, floors = took[1:], floors[1:]
	slices.SortFunc(took, func(a, b measure) int { return cmp.Compare(a.wall, b.wall) })
	middle := took[len(took)/2]
	b.add(measuredRow("8,000 reads, DPoP", middle).beside(median(floors)))
	b.note("reads with DPoP: %.0f/s, the bare handler's %.0f/s, %d at once",
		readRequests/middle.wall.Seconds(), readRequests/median(floors).Seconds(), readClients)
	return nil
}

// reader reads as a client whose token is bound to its key.
type reader struct {
	http  *http.Client
	key   *dpop.Key
	token string
	now   clock.Clock
}

func (b *bench) newReader() (*reader, error) {
	key, err := dpop.NewKey()
	if err != nil {
		return nil, err
	}
	issuer, err := devtoken.Open(b.house.config.Auth.Issuer, filepath.Join(b.house.data, "keys", "issuer.jwk"))
	if err != nil {
		return nil, err
	}
	token, err := issuer.Issue(devtoken.Claims{Subject: "bench", Tenant: tenant, Scopes: []string{"export:read"},
		Lifetime: time.Hour, Thumbprint: key.Thumbprint()}, b.now())
	transport := &http.Transport{MaxIdleConnsPerHost: readClients}
	return &reader{http: &http.Client{Transport: transport}, key: key, token: token, now: b.now}, err
}

// proofs are made before the clock starts: they are the client's work.
func (r *reader) proofs(address string) ([]string, error) {
	made := make([]string, readRequests)
	for i := range made {
		proof, err := r.key.Proof(dpop.Claims{Method: http.MethodGet, Address: address, Token: r.token, Now: r.now()})
		if err != nil {
			return nil, err
		}
		made[i] = proof
	}
	return made, nil
}

// readAll reads address once with each proof, "" with none.
func (r *reader) readAll(ctx context.Context, address string, proofs []string) error {
	group, ctx := errgroup.WithContext(ctx)
	for n := range readClients {
		group.Go(func() error {
			for i := n; i < len(proofs); i += readClients {
				if err := r.read(ctx, address, proofs[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func (r *reader) read(ctx context.Context, address, proof string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	if proof != "" {
		req.Header.Set("Authorization", "DPoP "+r.token)
		req.Header.Set("DPoP", proof)
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, resp.Status)
	}
	return nil
}

// serveRows starts the bare handler: Echo and pgx, no identity, no tenant wall.
func (b *bench) serveRows(ctx context.Context) (*bareServer, error) {
	dsn := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", b.house.state.Passwords.Superuser),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(b.house.state.Ports.Postgres)), Path: "/" + postgres.DatabaseName,
		RawQuery: "sslmode=disable&pool_max_conns=16"}
	return b.apart(ctx, bareRows, dsn.String())
}

func rowHandler(pool *pgxpool.Pool) http.Handler {
	e := echo.New()
	e.GET("/:id", func(c echo.Context) error {
		row, run := pool.QueryRow(c.Request().Context(), bareRun, tenant, c.Param("id")), bareRow{}
		if err := row.Scan(&run.ID, &run.Profile, &run.Status, &run.By, &run.At, &run.Records, &run.Bytes, &run.Digest, &run.Selectors, &run.Signatures); err != nil {
			return err
		}
		return c.JSON(http.StatusOK, run)
	})
	return e
}

const bareRun = `select id, profile_id, status, requested_by, requested_at, records, bytes, archive_digest, selectors, signatures
from export_runs where tenant = $1 and id = $2`

type bareRow struct {
	ID         string    `json:"id"`
	Profile    string    `json:"profile"`
	Status     string    `json:"status"`
	By         string    `json:"by"`
	At         time.Time `json:"at"`
	Records    int64     `json:"records"`
	Bytes      int64     `json:"bytes"`
	Digest     string    `json:"digest"`
	Selectors  any       `json:"selectors"`
	Signatures any       `json:"signatures"`
}
