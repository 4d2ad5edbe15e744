package fault

import (
	"context"
	"time"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Proofs passes used proofs to inner through their point.
func (i *Injector) Proofs(inner storage.Proofs) storage.Proofs { return &proofs{i, inner} }

type proofs struct {
	injector *Injector
	inner    storage.Proofs
}

func (p *proofs) Use(ctx context.Context, proof storage.Proof, now time.Time) error {
	return p.injector.At(ctx, UseProof, func(ctx context.Context) error { return p.inner.Use(ctx, proof, now) })
}

// Notices passes notices to inner through their point.
func (i *Injector) Notices(inner storage.Notices) storage.Notices { return &notices{i, inner} }

type notices struct {
	injector *Injector
	inner    storage.Notices
}

func (n *notices) Notice(ctx context.Context, notice export.Notice) error {
	return n.injector.At(ctx, GiveNotice, func(ctx context.Context) error { return n.inner.Notice(ctx, notice) })
}
