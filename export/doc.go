// Package export is the vocabulary of Export Center: profiles, runs, phases,
// states, selections and error codes. It does no I/O and imports only the
// standard library, so every room can speak it.
//
// A run walks through seven phases, each one Temporal activity:
//
//	plan → resolve → adapt → manifest → sign → distribute → emitTimeline
//
// Its row in Postgres (export_runs) is the truth about its state; Temporal
// carries its progress. A run that reached a terminal state never leaves it.
package export
