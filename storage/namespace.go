package storage

import (
	"crypto/sha256"
	"encoding/hex"
)

// Namespace is the name under which a store keeps a tenant's blobs: 64
// lower-case hex digits, the SHA-256 of the tenant id. Two tenants never have
// the same one, and whatever a tenant id contains, its namespace cannot leave
// its place in a path or an object key (ARCHITECTURE D7).
func Namespace(tenant string) string {
	sum := sha256.Sum256([]byte("exportcenter blobs\n" + tenant))
	return hex.EncodeToString(sum[:])
}
