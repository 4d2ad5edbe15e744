package frontend

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/profiles"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

// Starter brings recorded requests to the workers. Both calls are best effort:
// the dispatcher finds whatever could not be delivered.
type Starter interface {
	StartRun(ctx context.Context, run export.Run) error
	CancelRun(ctx context.Context, ref export.Ref) error
	// DecideRun tells a run that waits that its row has a decision.
	DecideRun(ctx context.Context, ref export.Ref) error
}

// Ledger is what the API needs of the evidence ledger.
type Ledger interface {
	Listing
	Import(ctx context.Context, tenant string, batch []ledger.Observation) (ledger.Counts, error)
	Remove(ctx context.Context, tenant string, batch []ledger.Removal) (ledger.RemovalCounts, error)
	Original(ctx context.Context, tenant string, digest bundle.Digest) ([]byte, error)
	Lines(ctx context.Context, tenant string, places []ledger.Place, yield func(ledger.Line) error) error
}

// Objects is what the API needs of the blob store.
type Objects interface {
	Open(ctx context.Context, tenant string, digest bundle.Digest) (storage.Blob, error)
}

// Parse turns an entry into an observation. Its error is the reason of a
// rejection and is shown to the client, so it speaks of the document only.
type Parse func(ledger.Entry) (ledger.Observation, error)

// Verifier decides who an access token speaks for. Its errors are *export.Error
// with CodeAuth, CodeTenantRequired or CodeUnavailable.
type Verifier interface {
	Verify(ctx context.Context, token string) (Principal, error)
}

// Principal is the caller of a request, as the token says.
type Principal struct {
	Subject string
	Tenant  string // export.Installation for whoever manages tenants
	Project string // "" = none
	// Scopes are what the caller may do, those of the roles included.
	Scopes  []string
	Roles   []export.Role
	Expires time.Time // when the token does; streams end then. Zero = never
	// Thumbprint is the key the token is bound to (RFC 9449); "" = to none.
	Thumbprint string
}

// Check is one reason why the process could not serve; see /health/ready.
type Check struct {
	Name string
	Run  func(ctx context.Context) error
}

// Config is everything the frontend needs, all of it required except KeyService, Ready, Streams, Rates, Trust, Orchestrators,
// PublicURL and Development.
type Config struct {
	// KeyService says that workers wrap the keys of encrypted bundles by keys of kms://.
	KeyService bool

	Runs     storage.Runs
	Journal  storage.Journal
	Profiles storage.Profiles
	// Policies has the built-in policy snapshot too (storage.WithBaseline).
	Policies storage.PolicySnapshots
	// CheckPack says why a policy pack is refused, or gives its version.
	CheckPack func(pack []byte) (version string, err error)
	Objects   Objects
	Records   storage.OrchestratorExports
	Ledger    Ledger
	Catalog   ledger.Catalog
	// CrossTenant is off as its zero value. Neighbours looks at tenants that it lets be read.
	CrossTenant profiles.CrossTenant
	Neighbours  storage.Neighbours
	// Adapters are those of the workers: a dry run asks what they would pack anew.
	Adapters *adapters.Registry
	Parse    Parse
	Starter  Starter
	Verifier Verifier
	Tenants  storage.Tenants
	// Offboardings are the records of tenants that were removed.
	Offboardings storage.OffboardingRecords
	// OffboardAfter is how long a tenant must have been suspended before it may be
	// offboarded.
	OffboardAfter time.Duration
	Audit         storage.Audit
	Notices       storage.Notices
	// Proofs remembers used DPoP proofs.
	Proofs storage.Proofs
	// RequireDPoP refuses tokens that are bound to no key.
	RequireDPoP bool
	// PublicURL is where clients reach the API: what their DPoP proofs name. Without
	// it, or when it is on loopback, they may name the loopback address they called.
	PublicURL string
	// Development answers everything below /oauth/: the token issuer of an installation
	// on one machine (internal/devissuer). Elsewhere there is nothing.
	Development http.Handler
	Ready       []Check
	Streams     StreamLimits
	// Orchestrators are the keys whose signatures on records of exports are
	// believed; none = signed records are refused.
	Orchestrators []signing.Verifier
	Trust         verify.Trust // keys by which stored bundles are verified; none = they are not
	TUFRoot       []byte       // that stored mirrors are compared with; nil = with none
	Rates         Rates
	Clock         clock.Clock
	IDs           clock.IDs
	Log           *slog.Logger
}

func (c Config) validate() error {
	switch {
	case c.Runs == nil:
		return errors.New("frontend: Runs is not set")
	case c.Journal == nil:
		return errors.New("frontend: Journal is not set")
	case c.Profiles == nil:
		return errors.New("frontend: Profiles is not set")
	case c.Policies == nil || c.CheckPack == nil:
		return errors.New("frontend: Policies or CheckPack is not set")
	case c.Objects == nil:
		return errors.New("frontend: Objects is not set")
	case c.Records == nil:
		return errors.New("frontend: Records is not set")
	case c.Ledger == nil:
		return errors.New("frontend: Ledger is not set")
	case c.Catalog == nil:
		return errors.New("frontend: Catalog is not set")
	case c.Neighbours == nil:
		return errors.New("frontend: Neighbours is not set")
	case c.Adapters == nil:
		return errors.New("frontend: Adapters is not set")
	case c.Parse == nil:
		return errors.New("frontend: Parse is not set")
	case c.Starter == nil:
		return errors.New("frontend: Starter is not set")
	case c.Verifier == nil:
		return errors.New("frontend: Verifier is not set")
	case c.Tenants == nil:
		return errors.New("frontend: Tenants is not set")
	case c.Offboardings == nil:
		return errors.New("frontend: Offboardings is not set")
	case c.OffboardAfter < 0:
		return errors.New("frontend: OffboardAfter is negative")
	case c.Audit == nil:
		return errors.New("frontend: Audit is not set")
	case c.Notices == nil:
		return errors.New("frontend: Notices is not set")
	case c.Proofs == nil:
		return errors.New("frontend: Proofs is not set")
	case c.PublicURL == "" && c.RequireDPoP:
		return errors.New("frontend: PublicURL is not set: DPoP proofs name the address that clients call")
	case c.Clock == nil || c.IDs == nil:
		return errors.New("frontend: Clock or IDs is not set")
	case c.Log == nil:
		return errors.New("frontend: Log is not set")
	}
	return nil
}
