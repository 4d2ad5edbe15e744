package bundle

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// ShardTarget is the mean size of a shard's content in bytes.
const ShardTarget = 1 << 20

const (
	rawDir      = PayloadDir + "raw/"
	tenantsDir  = PayloadDir + "tenants/"
	shardSuffix = ".jsonl.zst"
	firstShard  = "0000000000000000"
)

// CutBefore reports whether a new shard begins with the document that has this
// key and takes size bytes. The answer depends on nothing else, so a changed
// document moves at most its own cut, and a document of ShardTarget bytes or
// more always begins a shard.
//
// The rule: the first 8 bytes of SHA-256(key), read as a big-endian integer,
// are less than 2^64 * size / ShardTarget.
func CutBefore(key []byte, size int64) bool {
	if size <= 0 {
		return false
	}
	if size >= ShardTarget {
		return true
	}
	sum := sha256.Sum256(key)
	// 2^64 * size / 2^20; size < 2^20, so no bit is lost.
	threshold := uint64(size) << (64 - bits.TrailingZeros64(ShardTarget))
	return binary.BigEndian.Uint64(sum[:8]) < threshold
}

// ShardPath names the payload file of the shard that begins with boundaryKey.
// The name follows from that key alone, so nothing is renamed by an insert;
// the first shard of a type has a name of its own.
func ShardPath(payloadType, boundaryKey string, first bool) string {
	return rawDir + shardName(payloadType, boundaryKey, first)
}

// TenantShardPath names the payload file of a shard of another tenant's project
// ("_" = none). Every tenant and project has its own directory, so their shards
// cannot have one name, and whose evidence a file has cannot be doubted.
func TenantShardPath(tenant, project, payloadType, boundaryKey string, first bool) string {
	return tenantsDir + tenant + "/" + project + "/" + shardName(payloadType, boundaryKey, first)
}

func shardName(payloadType, boundaryKey string, first bool) string {
	name := firstShard
	if !first {
		sum := sha256.Sum256([]byte(boundaryKey))
		name = hex.EncodeToString(sum[:8])
	}
	return payloadType + "-" + name + shardSuffix
}
