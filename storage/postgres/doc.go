// Package postgres keeps the system's state in PostgreSQL: the evidence
// ledger, the runs and their events.
//
// # The tenant wall
//
// Every table with a tenant column has row level security ENABLEd and FORCEd,
// and one policy: a row is visible and writable when its tenant is the
// transaction's app.current_tenant; unset and empty are nobody (CONTRACT ruling
// 10). The service connects as exportcenter_app, which owns nothing, cannot
// bypass row level security and has no TRUNCATE (which ignores it). Unique and
// foreign keys begin with the tenant: otherwise a refused insert would tell
// that another tenant has the same value. Queries repeat the tenant as a
// second defence.
//
// The pools are not exported. WithTenant is the only way to a transaction: it
// sets the tenant transaction-locally, so nothing is left on a connection that
// goes back to the pool.
//
// # Roles
//
// exportcenter_owner owns the tables and runs migrations. exportcenter_app is
// the service. exportcenter_dispatch sees which runs of any tenant wait to be
// started, and nothing else. Bootstrap makes the three.
package postgres
