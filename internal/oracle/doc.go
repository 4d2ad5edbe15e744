// Package oracle judges a run after whatever was done to it: rows, events,
// outbox, blobs, counters and the archive must be those of a run that nobody
// disturbed (TRUST 3.1). It reads behind everybody's back, as the database's
// superuser and from the blob store's directory, and never through what it judges.
//
// Its answers are violations, each a sentence with got and want; none is the
// answer of a run in order.
package oracle
