package oracle

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/sealed"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// World is where runs live.
type World struct {
	DB    *postgres.DB // with the dispatcher's role; fsck reads through it
	Admin string       // connection string of the superuser: row level security holds back everybody else
	Blobs string       // directory of the blob store
	Trust verify.Trust
	Keys  sealed.Keys // open bundles that are encrypted
}

// Expect is what a run must have become.
type Expect struct {
	State export.State
	// Events are the types of its journal, in order. With Journal nil they are
	// compared exactly; else Journal judges them.
	Events  []export.EventType
	Journal func([]export.EventType) error
	// Payload and Archive are the twin's digests, of a run that succeeded.
	Payload, Archive string
	// Plain is the digest of the twin's archive within, of a run that is encrypted; its
	// Archive is "", as no two are the same.
	Plain string
	// Waited is what the timeline was told of its wait for an approval; nil without one.
	Waited []export.Transition
	// Rebuild: it builds another run again. Nobody is told of it, and it has no bundle.
	Rebuild bool
}

// told are the transitions that the timeline hears of, by how a run ended.
func told(state export.State, signed bool, waited []export.Transition) []export.Transition {
	all := append([]export.Transition{export.TransitionRequested}, waited...)
	if signed {
		all = append(all, export.TransitionBuilt)
	}
	if state == export.StateSucceeded {
		return append(all, export.TransitionDistributed)
	}
	return append(all, export.TransitionFailed)
}

// judgement collects violations.
type judgement struct {
	World
	ctx   context.Context
	admin *pgx.Conn
	files *files.Survey
	ref   export.Ref
	want  Expect
	found []string
}

func (j *judgement) say(format string, args ...any) {
	j.found = append(j.found, fmt.Sprintf(format, args...))
}

// Judge gives the violations of a run that is at rest. It looks at everything
// its tenant has: give a tenant no other run meanwhile. An error means that it
// could not look.
func (w World) Judge(ctx context.Context, ref export.Ref, want Expect) ([]string, error) {
	admin, err := pgx.Connect(ctx, w.Admin)
	if err != nil {
		return nil, fmt.Errorf("judge run %s: %w", ref.RunID, err)
	}
	defer admin.Close(context.WithoutCancel(ctx)) //nolint:errcheck // only read
	survey, err := files.OpenSurvey(w.Blobs)
	if err != nil {
		return nil, fmt.Errorf("judge run %s: %w", ref.RunID, err)
	}
	defer survey.Close() //nolint:errcheck // only read
	j := &judgement{World: w, ctx: ctx, admin: admin, files: survey, ref: ref, want: want}
	for _, look := range []func() error{j.run, j.journal, j.outbox, j.report, j.slots, j.blobs, j.divergences, j.archive} {
		if err := look(); err != nil {
			return nil, fmt.Errorf("judge run %s: %w", ref.RunID, err)
		}
	}
	return j.found, nil
}
