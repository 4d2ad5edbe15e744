package frontend

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/stella-ops/exportcenter/export"
)

// tenantHeaders may repeat the token's tenant; the second is the older name.
var tenantHeaders = []string{"X-Stella-Tenant", "X-StellaOps-Tenant"}

// authorize lets a request through whose token holds one of the alternatives
// completely. It runs before any parameter is read.
func (s *Server) authorize(lane lane, alternatives [][]string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			principal, err := s.authenticate(r, lane)
			if err != nil {
				return err
			}
			callOf(r.Context()).principal = principal // also of one who is refused: who it was is known
			if err := s.closed.check(r.Context(), principal.Tenant); err != nil {
				return err
			}
			if err := checkTenantHeaders(r.Header, principal.Tenant); err != nil {
				return err
			}
			if err := checkScopes(principal.Scopes, alternatives); err != nil {
				return err
			}
			return next(c)
		}
	}
}

// authenticate says who sent r, or why nobody may think so (RFC 6750 section 2.1, RFC
// 9449 section 7): tokens in queries or forms are not looked at.
//
// What only takes a processor comes first: signatures of token and proof. Whoever
// has passed is one of the tenant's, or repeats what one of them sent, and a call of
// the tenant's is counted; only then is the proof written down, which takes a place in
// the database. So a forged token takes nothing from the tenant it names, and a tenant
// that calls too often costs no writes.
func (s *Server) authenticate(r *http.Request, lane lane) (Principal, error) {
	scheme, token, err := credentials(r)
	if err != nil {
		return Principal{}, &challenge{err: err}
	}
	principal, err := s.verifier.Verify(r.Context(), token)
	if err != nil {
		return Principal{}, &challenge{err: err, reason: invalidToken}
	}
	proof, err := s.prove(r, scheme, token, principal)
	if err != nil {
		return Principal{}, err
	}
	if err := s.admission.knock(principal.Tenant, lane, s.clock()); err != nil {
		return Principal{}, err
	}
	if proof != nil {
		if err := s.useProof(r.Context(), *proof); err != nil {
			return Principal{}, err
		}
	}
	return principal, nil
}

// The schemes of an Authorization header. A bound token may come under either, as
// clients exist that write Bearer; it needs its proof all the same.
const (
	bearerScheme = "Bearer"
	dpopScheme   = "DPoP"
)

// credentials takes scheme and token from the one Authorization header.
func credentials(r *http.Request) (scheme, token string, err error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", "", export.Errorf(export.CodeAuth, "send one Authorization header: DPoP <token> or Bearer <token>")
	}
	scheme, token, found := strings.Cut(values[0], " ")
	for _, known := range []string{bearerScheme, dpopScheme} {
		if found && token != "" && strings.EqualFold(scheme, known) {
			return known, token, nil
		}
	}
	return "", "", export.Errorf(export.CodeAuth, "the Authorization header must read: DPoP <token> or Bearer <token>")
}

func checkTenantHeaders(h http.Header, tenant string) error {
	for _, name := range tenantHeaders {
		for _, value := range h.Values(name) {
			if !export.ValidTenant(value) {
				return &export.Error{Code: export.CodeValidation, Class: export.ClassPermanent, Field: name,
					Message: "the header " + name + " is not a tenant name"}
			}
			if value != tenant {
				return export.Errorf(export.CodeCrossTenant, "the header %s names another tenant than the token", name)
			}
		}
	}
	return nil
}

// checkScopes names the first alternative when none is held.
func checkScopes(held []string, alternatives [][]string) error {
	if len(alternatives) == 0 {
		return nil
	}
	for _, wanted := range alternatives {
		if holdsAll(held, wanted) {
			return nil
		}
	}
	var words []string
	for _, wanted := range alternatives {
		words = append(words, strings.Join(wanted, " "))
	}
	return export.Errorf(export.CodeScope, "the token lacks the scope %s", strings.Join(words, " or "))
}

func holdsAll(held, wanted []string) bool {
	for _, scope := range wanted {
		if !slices.Contains(held, scope) {
			return false
		}
	}
	return true
}
