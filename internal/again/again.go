// Package again builds bundles again from a mirror alone: it verifies the mirror, imports
// its originals into a scratch ledger, has the very code of a worker build the bundle, and
// compares every byte (docs/rebuild.md).
//
// Nothing of it is kept and nothing is connected to: the scratch ledger is a private
// PostgreSQL that listens on a Unix socket in a temporary directory. Both go when it
// ends; after a crash the server ends with its parent, and the next start removes the
// directory.
package again

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// Options say what is built again, and of what.
type Options struct {
	// Mirror is the file of a full mirror, Other that of a bundle that belongs to it, or
	// "": then the mirror itself is built again.
	Mirror, Other string
	Trust         verify.Trust
	// Mirrored is what is asked of the mirror's TUF metadata: as of when it must be good.
	Mirrored verify.MirrorPolicy
	// Scratch is where a directory is made, "": in the system's for temporary files. PostgresBin has initdb and postgres, "" looks for them.
	Scratch, PostgresBin string
	Adapters             *adapters.Registry
	// Parse reads evidence of any format, as the import does.
	Parse   func(ledger.Entry) (ledger.Observation, error)
	Version string // of this program
	// Workers pack at once.
	Workers int
	Log     *slog.Logger
	// Say tells how far it is.
	Say func(format string, args ...any)
}

// Result is what came of it.
type Result struct {
	export.Rebuilt
	// ExportID and Profile are of the bundle that was built again, Mirror the id of the
	// mirror it was built from, Generation that one's.
	ExportID   string `json:"exportId"`
	Profile    string `json:"profile"`
	Mirror     string `json:"mirror"`
	Generation int64  `json:"generation"`
	// Documents were imported from Originals.
	Documents int64 `json:"documents"`
	Originals int64 `json:"originals"`
}

// Refused is why a bundle cannot be built again from a mirror: it lacks something, and no
// verdict about its bytes.
type Refused struct{ reason string }

func (r *Refused) Error() string { return r.reason }

func refuse(format string, args ...any) error { return &Refused{fmt.Sprintf(format, args...)} }

// Run builds a bundle again, and compares.
func Run(ctx context.Context, o Options) (result Result, err error) {
	o.Say("verifying %s", o.Mirror)
	mirror, err := openVerified(ctx, o.Mirror, o.Trust, o.Mirrored)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, mirror.Close()) }()
	if mirror.manifest.Mirror == nil || mirror.manifest.Delta != nil {
		return result, refuse("%s is of profile %s:%s: only a full mirror (mirror:full) has the originals that a bundle is built of",
			o.Mirror, mirror.manifest.Profile.Kind, mirror.manifest.Profile.Variant)
	}
	target := mirror
	if o.Other != "" {
		o.Say("verifying %s", o.Other)
		if target, err = openVerified(ctx, o.Other, o.Trust, o.Mirrored); err != nil {
			return result, err
		}
		defer func() { err = errors.Join(err, target.Close()) }()
		if err := target.belongsTo(mirror); err != nil {
			return result, err
		}
	}
	run, err := target.run()
	if err != nil {
		return result, err
	}
	house, err := openHouse(ctx, o)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, house.close()) }()
	m := target.manifest
	result = Result{ExportID: m.ExportID, Profile: m.Profile.Kind + ":" + m.Profile.Variant, Mirror: mirror.manifest.ExportID, Generation: mirror.manifest.Mirror.Generation}
	o.Say("importing %d originals into a scratch ledger", mirror.manifest.Mirror.Originals.Count)
	if result.Documents, result.Originals, err = house.imports(ctx, mirror); err != nil {
		return result, err
	}
	o.Say("building %s %s again", result.Profile, m.ExportID)
	built, err := house.builds(ctx, run, mirror, target)
	if err != nil {
		return result, fmt.Errorf("build again: %w", err)
	}
	o.Say("comparing")
	result.Rebuilt, err = house.compares(ctx, target, built)
	return result, err
}
