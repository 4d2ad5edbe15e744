package storage

import (
	"context"
	"errors"
	"time"
)

// ErrProofUsed is wrapped when a proof was used before.
var ErrProofUsed = errors.New("the proof was used before")

// ProofKept is how long a used proof is remembered. It can be sent again for two
// minutes at most: it counts from 60 s before its iat until 60 s after it. The rest
// is for API processes whose clocks differ, by up to three minutes.
const ProofKept = 5 * time.Minute

// ProofAmnesia is how long after the memory was lost a proof must carry the nonce
// that was made then: any proof from before it has expired by its end, whatever
// its client's clock said.
const ProofAmnesia = 3 * time.Minute

// Proof is a DPoP proof (RFC 9449) as the memory of used ones sees it.
type Proof struct {
	// ID stands for the proof among those of all clients: a hash of its key's
	// thumbprint and its jti.
	ID [32]byte
	// Nonce is the server's nonce that it carries; "" = none.
	Nonce string
}

// NonceError is the answer to a proof that does not carry the nonce that is wanted
// now, because the memory of used proofs was lost: nothing else tells it from one
// that was used before. It was not recorded; a new one with Nonce will be taken.
type NonceError struct{ Nonce string }

func (e *NonceError) Error() string { return "the proof must carry the server's nonce" }

// Proofs remembers which proofs were used, for all API processes of an
// installation and over their restarts.
type Proofs interface {
	// Use records p at now, the caller's clock. It gives ErrProofUsed when p was
	// recorded before, by whatever process, and a *NonceError. After any other error
	// nobody knows: the request must be refused.
	Use(ctx context.Context, p Proof, now time.Time) error
}
