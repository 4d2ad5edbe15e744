package box

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stella-ops/exportcenter/internal/pgchild"
	"github.com/stella-ops/exportcenter/internal/supervise"
)

// start brings everything up, each as soon as what it needs is there:
//
//	PostgreSQL ─► roles, database ─► migrations ─┬─► api, worker ─► ready
//	                               └─► Temporal ─┘
//
// Children that die meanwhile are started again; ctx bounds the whole. Only
// what no repetition can help ends it early.
func (b *box) start(ctx context.Context) error {
	if err := b.prepareDatabase(ctx); err != nil {
		return err
	}
	b.addPostgres()
	if err := b.setUpDatabase(ctx); err != nil {
		return err
	}
	b.addTemporal()
	group, both := errgroup.WithContext(ctx)
	group.Go(func() error { return b.migrate(both) })
	group.Go(func() error { return b.awaitFile(both, temporalChild) })
	if err := group.Wait(); err != nil {
		return err
	}
	b.addService(workerChild)
	b.addService(apiChild)
	if err := b.awaitFile(ctx, workerChild); err != nil {
		return err
	}
	if err := b.awaitAPI(ctx); err != nil {
		return err
	}
	b.family.ready()
	if err := b.writeEnv(); err != nil {
		return err
	}
	return writeWhole(b.layout.ready(everything), []byte(strconv.Itoa(os.Getpid())+"\n"))
}

// prepareDatabase makes the cluster on first start. It returns when a server
// could be started: that of a killed predecessor may still be on its way out.
func (b *box) prepareDatabase(ctx context.Context) error {
	c := b.postgresConfig()
	if err := pgchild.Init(ctx, c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lingering)
	defer cancel()
	return until(ctx, "PostgreSQL cannot be started", func() error {
		_, err := pgchild.Command(c)
		return err
	})
}

// migrateTries allows for a database that is killed and recovers meanwhile; a
// migration that fails on a healthy one fails every time.
const migrateTries = 4

// migrate runs `exportcenter migrate` to its end.
func (b *box) migrate(ctx context.Context) error {
	log := b.layout.log(migrateStep)
	var err error
	for range migrateTries {
		if err = supervise.Once(ctx, b.service(migrateStep), log); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
	return fmt.Errorf("migrations failed (%w); the end of %s:\n%s", err, log, supervise.Tail(log, tailLines))
}

// awaitFile waits until a child has written its ready file.
func (b *box) awaitFile(ctx context.Context, child string) error {
	return until(ctx, child+" did not become ready", func() error {
		_, err := os.Stat(b.layout.ready(child))
		return err
	})
}

// awaitAPI waits until the API says that it can serve.
func (b *box) awaitAPI(ctx context.Context) error {
	client := &http.Client{Timeout: 5 * time.Second}
	return until(ctx, "the API did not become ready", func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.apiURL()+"/health/ready", nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New("/health/ready answers " + response.Status)
		}
		return nil
	})
}

// until calls try every 25 ms until it succeeds or ctx ends; then the last
// failure is told after what.
func until(ctx context.Context, what string, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, err)
		case <-time.After(25 * time.Millisecond):
		}
	}
}
