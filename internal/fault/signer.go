package fault

import (
	"context"

	"github.com/stella-ops/exportcenter/signing"
)

// Signer passes signatures to inner through their point.
func (i *Injector) Signer(inner signing.Signer) signing.Signer { return &signer{i, inner} }

type signer struct {
	injector *Injector
	inner    signing.Signer
}

func (s *signer) KeyID() string                { return s.inner.KeyID() }
func (s *signer) Algorithm() signing.Algorithm { return s.inner.Algorithm() }
func (s *signer) PublicKeyPEM() []byte         { return s.inner.PublicKeyPEM() }

func (s *signer) Repeats() bool { return signing.Repeats(s.inner) }

func (s *signer) Sign(ctx context.Context, message []byte) ([]byte, error) {
	return answer(ctx, s.injector, Sign, func(ctx context.Context) ([]byte, error) { return s.inner.Sign(ctx, message) })
}
