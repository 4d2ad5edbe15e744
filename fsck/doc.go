// Package fsck compares what an installation says with what it has: rows,
// blobs and events (ARCHITECTURE D12). It changes nothing, unless Check.Repairs
// is set: then it mends what can be mended without losing anything.
//
// It may look while runs are under way. What takes two steps in a healthy
// installation - a blob is recorded before it is stored, a run ends before its
// blobs are destroyed - is a divergence only when it has been so for longer
// than Check.Patience, and what looks wrong between two readings is looked at
// once more before it is told.
//
// Memory does not grow with what is looked at: rows come in pages, files a
// directory at a time, both in the order of their digests.
package fsck
