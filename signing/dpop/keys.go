package dpop

import "sync"

// maxKeys bounds what Keys remembers: 4 MiB of the largest headers.
const maxKeys = 1024

// Keys remembers the headers of proofs that passed, which are the same in all proofs
// of a client: reading one strictly costs half of what verifying a signature does. The
// zero value remembers none yet; it may be used by many at once.
type Keys struct {
	mu    sync.Mutex
	known map[string]publicKey // by the header as it was sent
}

func (k *Keys) find(header string) (publicKey, bool) {
	if k == nil {
		return publicKey{}, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.known[header]
	return key, ok
}

// keep remembers a header; when there are too many, the others are forgotten.
func (k *Keys) keep(header string, key publicKey) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil || len(k.known) >= maxKeys {
		k.known = map[string]publicKey{}
	}
	k.known[header] = key
}
