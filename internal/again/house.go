package again

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/mirrorfull"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/pgchild"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// house is a scratch ledger and blob store, which are gone afterwards.
type house struct {
	Options
	*place
	server  *pgchild.Server
	db      *postgres.DB
	objects *files.Store
}

// stopWithin bounds how long the scratch server takes to end.
const stopWithin = 20 * time.Second

func openHouse(ctx context.Context, o Options) (_ *house, err error) {
	h := &house{Options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	if h.place, err = openPlace(o.Scratch, os.Geteuid() == 0); err != nil { // PostgreSQL drops root
		return nil, err
	}
	if err := h.openDatabase(ctx); err != nil {
		return nil, fmt.Errorf("scratch ledger: %w", err)
	}
	h.objects, err = files.Open(filepath.Join(h.dir, "blobs"), clock.System, rand.Reader)
	return h, err
}

func (h *house) openDatabase(ctx context.Context) (err error) {
	password := func() string {
		raw := make([]byte, 16)
		rand.Read(raw) //nolint:errcheck // it never fails
		return hex.EncodeToString(raw)
	}
	c := pgchild.Config{Bin: h.PostgresBin, Data: filepath.Join(h.dir, "pg"), Port: 5432, SocketOnly: true, Volatile: true,
		Superuser: "postgres", Password: password(), Log: filepath.Join(h.dir, "postgres.log"), Settings: map[string]string{"max_connections": "40", "shared_buffers": "64MB"}}
	if h.server, err = pgchild.Start(ctx, c); err != nil {
		return err
	}
	p := postgres.Passwords{Owner: password(), App: password(), Dispatch: password(), Offboard: password()}
	if err := postgres.Bootstrap(ctx, c.AdminDSN(), postgres.DatabaseName, p); err != nil {
		return err
	}
	if err := postgres.Migrate(ctx, c.DSN(postgres.OwnerRole, p.Owner, postgres.DatabaseName)); err != nil {
		return err
	}
	h.db, err = postgres.Open(ctx, postgres.Config{App: c.DSN(postgres.AppRole, p.App, postgres.DatabaseName), Dispatch: c.DSN(postgres.DispatchRole, p.Dispatch, postgres.DatabaseName), MaxConns: 16})
	return err
}

// close removes everything.
func (h *house) close() (err error) {
	if h.objects != nil {
		err = errors.Join(err, h.objects.Close())
	}
	if h.db != nil {
		h.db.Close()
	}
	if h.server != nil {
		ctx, stop := context.WithTimeout(context.Background(), stopWithin)
		defer stop()
		err = errors.Join(err, h.server.Stop(ctx))
	}
	if h.place != nil {
		err = errors.Join(err, h.place.close())
	}
	return err
}

// builds builds the run again, by the code of a worker.
func (h *house) builds(ctx context.Context, run export.Run, mirror, target *archive) ([]storage.File, error) {
	policy, err := mirror.policy()
	if err != nil {
		return nil, err
	}
	if export.HoldsPolicy(run.Kind, run.Variant) && run.Options.PolicySnapshotID != policy.ID {
		return nil, refuse("%s decides by policy snapshot %s, the mirror has %s", target.name, run.Options.PolicySnapshotID, policy.ID)
	}
	book := postgres.NewLedger(h.db)
	head, err := book.Head(ctx, run.Tenant)
	if err != nil {
		return nil, err
	}
	if _, err := postgres.NewRuns(h.db).Restore(ctx, run); err != nil {
		return nil, err
	}
	if len(target.manifest.Keys) != 1 {
		return nil, refuse("%s is signed with %d keys; this program signs with one", target.name, len(target.manifest.Keys))
	}
	m := mirror.manifest
	exporting := &activities.Export{Ledger: book, Execution: postgres.NewExecution(h.db), Objects: h.objects, Adapters: h.Adapters,
		Signer: named{target.manifest.Keys[0]}, Scratch: h.part, Policies: given{policy}, TUF: activities.TUF{None: true},
		MirrorOf: func(context.Context, export.Run) (activities.MirrorRef, error) {
			return activities.MirrorRef{ExportID: m.ExportID, Generation: m.Mirror.Generation, AsOf: head,
				ManifestDigest: bundle.DigestOf(mirror.manifestText), Digest: m.PayloadDigest}, nil
		},
		Clock: clock.System, Log: h.Log, Version: h.Version}
	return exporting.BuildHere(ctx, run.Ref(), h.Workers)
}

// policy is the policy snapshot that a mirror has.
func (a *archive) policy() (p adapters.Policy, err error) {
	text, err := a.document(bundle.PolicyDocumentPath)
	if err != nil {
		return p, err
	}
	var d mirrorfull.PolicyDocument
	if err := bundle.UnmarshalStrict(text, &d); err != nil {
		return p, fmt.Errorf("%s: %s: %w", a.name, bundle.PolicyDocumentPath, err)
	}
	p = adapters.Policy{ID: d.ID, Name: d.Name, Version: d.Version, Digest: d.Digest}
	if p.Pack, err = a.document(bundle.PolicyPackPath); err != nil {
		return p, err
	}
	if there := bundle.DigestOf(p.Pack); there != d.Digest {
		return p, contradicts(bundle.PolicyPackPath, "its digest is %s, and %s names the pack %s", there, bundle.PolicyDocumentPath, d.Digest)
	}
	return p, nil
}

// given decides every run by one policy snapshot.
type given struct{ policy adapters.Policy }

func (g given) PolicyOf(context.Context, export.Run) (adapters.Policy, error) { return g.policy, nil }

// named has the name of a key, and signs nothing.
type named struct{ key bundle.Key }

func (n named) KeyID() string                { return n.key.KeyID }
func (n named) Algorithm() signing.Algorithm { return signing.Algorithm(n.key.Algorithm) }
func (n named) PublicKeyPEM() []byte         { return nil }
func (n named) Sign(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("nothing is signed when a bundle is built again")
}
