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
func (s *Server) authorize(alternatives [][]string) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			token, err := bearerToken(r)
			if err != nil {
				return err
			}
			principal, err := s.verifier.Verify(r.Context(), token)
			if err != nil {
				return err
			}
			if err := checkTenantHeaders(r.Header, principal.Tenant); err != nil {
				return err
			}
			if err := checkScopes(principal.Scopes, alternatives); err != nil {
				return err
			}
			callOf(r.Context()).principal = principal
			return next(c)
		}
	}
}

// bearerToken takes the token from the one Authorization header (RFC 6750
// section 2.1); tokens in queries or forms are not looked at.
func bearerToken(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", export.Errorf(export.CodeAuth, "send one Authorization header: Bearer <token>")
	}
	scheme, token, found := strings.Cut(values[0], " ")
	if !found || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", export.Errorf(export.CodeAuth, "the Authorization header must read: Bearer <token>")
	}
	return token, nil
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
