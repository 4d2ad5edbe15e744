package frontendtest

import (
	"context"
	"sync"
	"time"

	"github.com/stella-ops/exportcenter/storage"
)

// Proofs is a memory of used proofs for one test.
type Proofs struct {
	mu    sync.Mutex
	used  map[[32]byte]bool
	fail  error  // what Use answers when it is set
	nonce string // what proofs must carry when it is set
}

// NewProofs makes an empty memory.
func NewProofs() *Proofs { return &Proofs{used: map[[32]byte]bool{}} }

// Use implements storage.Proofs.
func (p *Proofs) Use(_ context.Context, proof storage.Proof, _ time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.fail != nil:
		return p.fail
	case p.nonce != "" && proof.Nonce != p.nonce:
		return &storage.NonceError{Nonce: p.nonce}
	case p.used[proof.ID]:
		return storage.ErrProofUsed
	}
	p.used[proof.ID] = true
	return nil
}

// Set changes what Use answers.
func (p *Proofs) Set(fail error, nonce string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail, p.nonce = fail, nonce
}

// Kept counts the proofs that were kept.
func (p *Proofs) Kept() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.used)
}
