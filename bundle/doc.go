// Package bundle is the format: what an Export Center bundle looks like, byte
// for byte. Whoever writes a bundle and whoever reads one use this same code,
// and docs/formats/bundle.md describes it well enough to write a second reader.
//
// A bundle is a tar archive in exactly one form:
//
//	README.md  VERIFY.md  checksums.txt
//	data/raw/<type>-<shard>.jsonl.zst ...   the payload, one document per line
//	data/tenants/<tenant>/<project>/...     the same of other tenants, and in
//	approvals/<digest>.dsse.json ...        who let their evidence be read
//	manifests/export.json                   what is inside, by digest
//	manifests/provenance.json               where it came from (in-toto, SLSA)
//	signatures/...                          over both manifests
//	signatures/seal.dsse.json               over every byte before it; always last
//
// Entries are ordered bytewise by path, the seal being the one exception.
//
// Two rules make every bit load-bearing. Bytes that a signed digest covers are
// compared by digest and never encoded again, so that a bundle outlives the
// compressor that made it. The layers above - tar headers, JSON, checksums -
// have one encoding each, written by code of this package that depends on no
// library's version; a reader encodes what it understood and compares.
package bundle
