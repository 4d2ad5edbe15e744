package oracle

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// Archive gives the bytes that a download of the run delivers. It is held in
// memory: bundles of tests are small.
func Archive(ctx context.Context, db *postgres.DB, from *files.Survey, ref export.Ref) ([]byte, error) {
	entries, err := postgres.NewRuns(db).Files(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("list the bundle's entries: %w", err)
	}
	if len(entries) == 0 {
		return nil, errNoBundle
	}
	members := make([]bundle.Member, len(entries))
	for i, e := range entries {
		members[i] = e.Member()
	}
	namespace := storage.Namespace(ref.Tenant)
	view, err := bundle.NewView(members, func(m bundle.Member) (bundle.Source, error) { return from.Open(ctx, namespace, m.Digest) })
	if err != nil {
		return nil, fmt.Errorf("lay out the archive: %w", err)
	}
	defer view.Close()
	content, err := io.ReadAll(view)
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	return content, nil
}

// verify: our verifier accepts it, with every step, and the row names it.
func (j *judgement) verify(content []byte) error {
	var options []verify.Option
	var kind string
	var asked time.Time
	if err := j.admin.QueryRow(j.ctx, `select kind, requested_at from export_runs where tenant = $1 and id = $2`, j.ref.Tenant, j.ref.RunID).Scan(&kind, &asked); err != nil {
		return fmt.Errorf("read the run's kind: %w", err)
	}
	options = append(options, verify.WithMirror(verify.MirrorPolicy{At: asked})) // mirrors of tests are of any year
	if kind == "json" {                                                          // others hold no evidence
		options = append(options, verify.WithEvidence())
	}
	if j.want.Plain != "" {
		options = append(options, verify.WithKeys(j.Keys))
	}
	report, err := verify.Reader(j.ctx, bytes.NewReader(content), int64(len(content)), j.Trust, options...)
	if err != nil {
		j.say("the archive does not verify: %v", err)
		return nil
	}
	if within := report.Encryption; j.want.Plain != "" && (within == nil || !within.Opened || within.PlainDigest != j.want.Plain) {
		j.say("the archive within is not the twin's: %+v, want %s", within, j.want.Plain)
	}
	var named string
	err = j.admin.QueryRow(j.ctx, `select archive_digest from export_runs where tenant = $1 and id = $2`,
		j.ref.Tenant, j.ref.RunID).Scan(&named)
	if err != nil {
		return fmt.Errorf("read the archive's digest: %w", err)
	}
	if got := bundle.DigestOf(content).String(); got != named || report.ArchiveDigest != named {
		j.say("the row names archive %s, delivered is %s, verified was %s", named, got, report.ArchiveDigest)
	}
	return nil
}
