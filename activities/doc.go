// Package activities holds the side effects of a run: one short method per
// phase on Export, a struct that carries what the phase needs as interfaces.
//
// Every activity may run more than once, and two attempts of the same one may
// overlap (a worker that was stopped and wakes up late). So each begins by
// claiming its phase, and every write carries that claim: a store refuses the
// write when a newer attempt owns the phase or the run has ended
// (ARCHITECTURE D5). Inputs and results are ids, digests and counts; what a
// phase needs to know about the run it reads from the run's own rows.
package activities
