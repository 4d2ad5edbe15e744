// Package faults runs exports while one of their side effects fails: every
// fault point in every mode, on a real PostgreSQL, a real Temporal, real files
// and the production worker, beside an undisturbed twin; and so it does with what the
// API and the notary write besides runs, over a real server (docs/torture.md).
package faults
