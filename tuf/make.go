package tuf

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/stella-ops/exportcenter/signing"
)

// SignatureBy makes a document's signature of what a signer gave for its message.
func SignatureBy(publicPEM, value []byte) (Signature, error) {
	key, err := KeyOf(publicPEM)
	if err != nil {
		return Signature{}, err
	}
	id, err := key.ID()
	return Signature{id, hex.EncodeToString(value)}, err
}

// Sign makes a document, signed by each of the signers once.
func Sign[T part](ctx context.Context, signed T, signers ...signing.Signer) (Document[T], error) {
	message, err := Message(signed)
	if err != nil {
		return Document[T]{}, err
	}
	var list []Signature
	for _, signer := range signers {
		value, err := signer.Sign(ctx, message)
		if err != nil {
			return Document[T]{}, faulty(signed.path(), fmt.Errorf("%w", err))
		}
		s, err := SignatureBy(signer.PublicKeyPEM(), value)
		if err != nil {
			return Document[T]{}, err
		}
		if !slices.ContainsFunc(list, func(other Signature) bool { return other.KeyID == s.KeyID }) {
			list = append(list, s)
		}
	}
	return Encode(signed, list...)
}

// Add makes the root that follows: the chain with it at its end. It is refused when
// its signatures are not those that it needs.
func (c Chain) Add(root Document[Root]) (Chain, error) {
	documents := make([][]byte, 0, len(c)+1)
	for _, before := range c {
		documents = append(documents, before.Raw)
	}
	return ReadChain(append(documents, root.Raw))
}

// MaySign checks that one signature by a key makes the targets, snapshot and
// timestamp of a mirror.
func (r Root) MaySign(key Key) error {
	id, err := key.ID()
	if err != nil {
		return err
	}
	for _, of := range []struct {
		name string
		role Role
	}{{roleTargets, r.Roles.Targets}, {roleSnapshot, r.Roles.Snapshot}, {roleTimestamp, r.Roles.Timestamp}} {
		if !slices.Contains(of.role.KeyIDs, id) {
			return faulty(r.path(), fmt.Errorf("%w: role %s is not given to that key", ErrSignature, of.name))
		}
		if of.role.Threshold != 1 {
			return faulty(r.path(), fmt.Errorf("%w: role %s wants %d signatures, a mirror has one", ErrSignature, of.name, of.role.Threshold))
		}
	}
	return nil
}
