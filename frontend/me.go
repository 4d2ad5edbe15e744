package frontend

import (
	"context"
	"slices"
)

// GetMe says who calls and what they may do.
func (h handlers) GetMe(ctx context.Context, _ GetMeRequestObject) (GetMeResponseObject, error) {
	who := callOf(ctx).principal
	me := Me{
		Subject: who.Subject, Tenant: who.Tenant, Project: who.Project,
		Scopes: append([]string{}, who.Scopes...), Roles: []MeRoles{}, Actions: h.scopes.allowed(who.Scopes),
		ExpiresAt: who.Expires.UTC(), DpopBound: who.Thumbprint != "",
	}
	for _, role := range who.Roles {
		me.Roles = append(me.Roles, MeRoles(role))
	}
	return GetMe200JSONResponse{Body: me, Headers: GetMe200ResponseHeaders{CacheControl: "no-store"}}, nil
}

// allowed lists the operations that the held scopes open, sorted.
func (t scopeTable) allowed(held []string) []string {
	operations := []string{}
	for operation, alternatives := range t {
		if alternatives != nil && checkScopes(held, alternatives) == nil {
			operations = append(operations, operation)
		}
	}
	slices.Sort(operations)
	return operations
}
