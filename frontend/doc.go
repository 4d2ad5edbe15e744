// Package frontend is the HTTP side of Export Center: authentication, strict
// reading of requests, and the answers. It decides nothing about exports; it
// records what was asked, tells the workers, and reads the state of runs from
// their own rows, never from the engine.
//
// openapi.yaml is the source of the routes, of the types in api_gen.go and of
// the scopes each operation demands. Handlers return errors; problem.go is the
// one place where an error becomes a status and a body.
package frontend

//go:generate ../.tools/bin/oapi-codegen --config api.cfg.yaml openapi.yaml
