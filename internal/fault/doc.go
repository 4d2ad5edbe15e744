// Package fault gives every side effect of a run, and of the API, a name and lets a
// test say what becomes of it: one fault, at the n-th time one point is reached
// (ARCHITECTURE D12).
//
// The decorators stand around the interfaces through which alone a run has
// effects: storage.Execution, Runs, Dispatch and Objects, ledger.Store,
// signing.Signer, and the three calls of Temporal's client that worker makes. And
// around those through which the API and the notary have others: storage.Proofs,
// Audit, Notary, Notices, Profiles, OrchestratorExports and Tenants.
// Each writes out every method and embeds nothing: a method that is added does
// not compile until somebody has decided whether it is an effect, and then which
// point it is, or a read. The outbox has no publisher yet; its rows are written
// inside the transactions of CreateRun, SaveSigned and Finish and have no point
// of their own.
//
// An Injector is one life of a process. When it crashes, everything that goes
// through its decorators afterwards stops for good, as in a process that is no
// more; the test cuts its connections and starts the next life on the same
// database and blobs, with an Injector that has no fault.
package fault
