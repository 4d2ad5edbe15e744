package faults

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/fault"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/signing/dpop"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
	"github.com/stella-ops/exportcenter/worker"
)

// publicURL is what proofs name, whichever process they are sent to.
const publicURL = "https://exports.test"

// front is what all cases of TestFrontFaultPoints share: one database, one issuer,
// and one server without a fault, the next life of whatever dies.
type front struct {
	db       *pgtest.Database
	looks    *pgxpool.Pool // sees every row
	issuer   *frontendtest.Issuer
	verifier frontend.Verifier
	key      *dpop.Key // of the clients
	signer   signing.Signer
	keys     []signing.Verifier
	next     *process
	stateSQL string
	before   string   // the rows before it
	twin     []string // the rows behind each step of the undisturbed story
}

func now() time.Time { return frontendtest.Start }

func openFront(t *testing.T) *front {
	t.Helper()
	f := &front{db: pgtest.New(t), issuer: frontendtest.NewIssuer(t, now)}
	keys, err := frontend.NewKeySet(f.issuer.JWKS, now)
	require.NoError(t, err)
	f.verifier, err = frontend.NewJWTVerifier(frontend.JWTConfig{Issuer: frontendtest.IssuerName, Audience: frontendtest.Audience, Keys: keys, Clock: now})
	require.NoError(t, err)
	f.key, err = dpop.NewKey()
	require.NoError(t, err)
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	f.signer, err = signing.NewSigner(private)
	require.NoError(t, err)
	public, err := signing.ParsePublicKey(f.signer.PublicKeyPEM())
	require.NoError(t, err)
	f.keys = []signing.Verifier{public}
	f.looks, err = pgxpool.New(t.Context(), f.db.Admin)
	require.NoError(t, err)
	t.Cleanup(f.looks.Close)
	f.prepareState(t)

	f.next = f.begin(t, fault.New(fault.Fault{}, nil), func(n storage.Notary) storage.Notary { return n })
	return f
}

// process is one life: a server and a notary on the database, with an injector
// around all that has effects.
type process struct {
	injector *fault.Injector
	world    *frontendtest.World
	url      string
	client   *http.Client
	notary   worker.Notary

	mu   sync.Mutex
	open int        // requests that are being answered, also those nobody waits for
	idle *sync.Cond // of mu, when open is 0
}

func (f *front) begin(t testing.TB, injector *fault.Injector, chains func(storage.Notary) storage.Notary) *process {
	t.Helper()
	p := &process{injector: injector, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}}
	p.idle = sync.NewCond(&p.mu)
	db := f.db.DB
	runs, tenants := postgres.NewRuns(db), postgres.NewTenants(db)
	p.world = frontendtest.New(t, func(cfg *frontend.Config) {
		cfg.Runs, cfg.Journal = injector.Runs(runs), runs
		cfg.Ledger = injector.Ledger(postgres.NewLedger(db))
		cfg.Profiles = injector.Profiles(postgres.NewProfiles(db))
		cfg.Policies = storage.WithBaseline(injector.Policies(postgres.NewPolicySnapshots(db)), frontendtest.Baseline())
		cfg.Records = injector.OrchestratorExports(postgres.NewOrchestratorExports(db))
		cfg.Tenants, cfg.Offboardings, cfg.OffboardAfter = injector.Tenants(tenants), tenants, 0
		cfg.Audit = injector.Audit(postgres.NewAudit(db))
		cfg.Notices = injector.Notices(postgres.NewNotices(db))
		cfg.Proofs = injector.Proofs(postgres.NewProofs(db))
		cfg.Verifier, cfg.RequireDPoP, cfg.PublicURL, cfg.IDs = f.verifier, true, publicURL, clock.NewID
	})
	p.notary = worker.Notary{Chains: chains(injector.Notary(postgres.NewNotary(db))), Signer: f.signer, Clock: now}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.opened(+1)
		defer p.opened(-1)
		p.world.Server.ServeHTTP(w, r)
	}))
	p.url = server.URL
	t.Cleanup(server.Close)
	t.Cleanup(p.client.CloseIdleConnections)
	t.Cleanup(injector.Release) // first: what stands still in a dead process goes
	return p
}

func (p *process) opened(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open += n; p.open == 0 {
		p.idle.Broadcast()
	}
}

// rest waits until nothing is under way in a process that lives.
func (p *process) rest() {
	if p.dead() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.open > 0 && !p.dead() {
		p.idle.Wait()
	}
	p.injector.Rest()
}

func (p *process) dead() bool {
	select {
	case <-p.injector.Dead():
		return true
	default:
		return false
	}
}

// errGone is what a client hears of a process that has died, or takes too long.
var errGone = errors.New("no answer")

// while does something that a dead process does not end, for as long as atMost.
func (p *process) while(ctx context.Context, atMost time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- do(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-p.injector.Dead():
	case <-ctx.Done():
	}
	return errGone
}

// chainOf shows a notary one chain: the other cases' are not its.
type chainOf struct {
	storage.Notary
	tenant string
}

func (c chainOf) Unsigned(ctx context.Context, after string, _ int) ([]string, error) {
	if after >= c.tenant {
		return nil, nil
	}
	found, err := c.Notary.Unsigned(ctx, c.tenant[:len(c.tenant)-1], 1)
	if err != nil || len(found) == 0 || found[0] != c.tenant {
		return nil, err
	}
	return found, nil
}

// bound makes a token of the clients' key.
func (f *front) bound(t testing.TB, tenant, subject string) string {
	claims := f.issuer.Claims(tenant, export.Scopes...)
	claims["sub"], claims["cnf"] = subject, map[string]any{"jkt": f.key.Thumbprint()}
	return frontendtest.Sign(t, jwa.ES256(), f.issuer.Key, map[string]any{"kid": frontendtest.KeyID, "typ": "at+jwt"}, claims)
}
