package frontend

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/comparison"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

const (
	// diffsAtOnce bounds the comparisons of a process: each reads two lists at once.
	diffsAtOnce = 2
	maxDiffPage = 1000
	// What a page looks at, however few changes it finds.
	diffRows  = 200_000
	diffBytes = 16 << 20
	// planPage is how many shards of a plan are read at once.
	planPage = 5000
)

// GetRunDiff gives a page of what changed from one run to another (docs/diff.md).
func (h handlers) GetRunDiff(ctx context.Context, req GetRunDiffRequestObject) (GetRunDiffResponseObject, error) {
	asked, err := readDiff(req)
	if err != nil {
		return nil, err
	}
	from, err := h.compared(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	to, err := h.compared(ctx, req.Other)
	if err != nil {
		return nil, err
	}
	if err := asked.fits(from.run, to.run); err != nil {
		return nil, err
	}
	done, err := h.diffs.take(ctx, from.run.Tenant)
	if err != nil {
		return nil, err
	}
	defer done()
	c := comparison.Comparison{From: h.side(from), To: h.side(to),
		Lines: func(ctx context.Context, places []ledger.Place, yield func(ledger.Line) error) error {
			return h.cfg.Ledger.Lines(ctx, from.run.Tenant, places, yield)
		}}
	changes, next, err := c.Page(ctx, asked.after, asked.filter, comparison.Bounds{Pairs: asked.limit, Rows: diffRows, Bytes: diffBytes})
	if err != nil {
		return nil, fmt.Errorf("compare runs %s and %s: %w", from.run.ID, to.run.ID, err)
	}
	page := RunDiff{From: from.document(), To: to.document(), ShardsSame: c.Same(), Changes: []DocumentChange{}}
	for _, change := range changes {
		page.Changes = append(page.Changes, changeDocument(change))
	}
	if next != "" {
		page.NextCursor = asked.cursorOf(next)
	}
	return GetRunDiff200JSONResponse(page), nil
}

// askedDiff is a request in its one form.
type askedDiff struct {
	from, to string
	filter   comparison.Filter
	limit    int
	after    string
}

func readDiff(req GetRunDiffRequestObject) (askedDiff, error) {
	asked := askedDiff{from: req.ID, to: req.Other, limit: defaultPage}
	p := req.Params
	if p.Kind != nil {
		kind, err := knownKind(*p.Kind)
		if err != nil {
			return asked, fieldError(export.CodeValidation, "kind", "%v", err)
		}
		asked.filter.Kinds = []string{string(kind)}
	}
	if p.Only != nil {
		if asked.filter.Only = string(*p.Only); !slices.Contains(comparison.OnlyWords, asked.filter.Only) {
			return asked, fieldError(export.CodeValidation, "only", "is not one of %s", strings.Join(comparison.OnlyWords, ", "))
		}
	}
	if p.Limit != nil {
		if asked.limit = *p.Limit; asked.limit < 1 || asked.limit > maxDiffPage {
			return asked, fieldError(export.CodeValidation, "limit", "must be 1 to %d", maxDiffPage)
		}
	}
	if p.Cursor == nil {
		return asked, nil
	}
	var err error
	asked.after, err = parseDiffCursor(*p.Cursor, asked)
	return asked, err
}

// maxDiffCursor bounds a cursor: a mark and a document's key, in base64.
const maxDiffCursor = 4096

// cursorOf continues the answer behind a key. It carries nothing that the client has
// not seen or could not ask for.
func (a askedDiff) cursorOf(key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte("v1." + a.mark(key) + "." + key))
}

// mark keeps a cursor from being taken for that of another comparison, and a part of
// one for one.
func (a askedDiff) mark(key string) string {
	parts := append([]string{key, a.from, a.to, a.filter.Only}, a.filter.Kinds...)
	return bundle.DigestOf([]byte(strings.Join(parts, "\n"))).Hex()[:16]
}

// parseDiffCursor gives the key that cursorOf wrote for the same comparison.
func parseDiffCursor(text string, asked askedDiff) (key string, err error) {
	if len(text) > maxDiffCursor {
		return "", errNotOurCursor()
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return "", errNotOurCursor()
	}
	parts := strings.SplitN(string(raw), ".", 3)
	if len(parts) != 3 || asked.cursorOf(parts[2]) != text {
		return "", errNotOurCursor()
	}
	key = parts[2]
	if strings.Count(key, "\n") != 4 || !plainText(strings.ReplaceAll(key, "\n", "")) {
		return "", errNotOurCursor()
	}
	return key, nil
}

// fits says why two runs cannot be compared.
func (a askedDiff) fits(from, to export.Run) error {
	for _, run := range []export.Run{from, to} {
		switch {
		case export.IsDelta(run.Kind, run.Variant): // its plan is empty: it is made of two bundles
			return export.Errorf(export.CodeValidation, "run %s is a delta: compare the mirrors that it lies between, %s and %s", run.ID, run.Options.BaseRunID, run.Options.TargetRunID)
		case run.Reach != nil:
			return export.Errorf(export.CodeValidation, "run %s reads other tenants' evidence, which only its own approvals let it read; compare runs of the tenant's own evidence", run.ID)
		case run.Options.Redaction != nil:
			return export.Errorf(export.CodeValidation, "run %s leaves fields of its evidence out, and what changed in them is not told; compare runs without a redaction", run.ID)
		}
	}
	takes := func(run export.Run, kind string) bool {
		return len(run.Selectors.Kinds) == 0 || slices.Contains(run.Selectors.Kinds, kind)
	}
	if len(a.filter.Kinds) == 0 && !slices.Equal(slices.Sorted(slices.Values(from.Selectors.Kinds)), slices.Sorted(slices.Values(to.Selectors.Kinds))) {
		return fieldError(export.CodeValidation, "kind", "run %s takes %s and run %s takes %s: name a kind of evidence that both take",
			from.ID, kindsInWords(from), to.ID, kindsInWords(to))
	}
	for _, kind := range a.filter.Kinds {
		for _, run := range []export.Run{from, to} {
			if !takes(run, kind) {
				return fieldError(export.CodeValidation, "kind", "run %s takes %s only", run.ID, kindsInWords(run))
			}
		}
	}
	return nil
}

func kindsInWords(run export.Run) string {
	if len(run.Selectors.Kinds) == 0 {
		return "every kind of evidence"
	}
	return strings.Join(run.Selectors.Kinds, ", ")
}

// comparedRun is a run with its plan.
type comparedRun struct {
	run    export.Run
	shards []comparison.Shard
}

func (c comparedRun) document() ComparedRun {
	return ComparedRun{RunID: c.run.ID, Profile: runDocument(c.run).Profile, AsOf: c.run.AsOf, Shards: len(c.shards)}
}

// compared gives a run that has a plan which stays, or says why it has none.
func (s *Server) compared(ctx context.Context, id string) (c comparedRun, err error) {
	if c.run, err = s.findRun(ctx, id); err != nil {
		return c, err
	}
	switch c.run.State {
	case export.StateSucceeded, export.StatePartial, export.StateExpired:
	default:
		return c, noPlan(c.run)
	}
	for {
		_, shards, err := s.cfg.Runs.Planned(ctx, c.run.Ref(), len(c.shards), planPage)
		if errors.Is(err, storage.ErrNotFound) {
			return c, noPlan(c.run)
		}
		if err != nil {
			return c, fmt.Errorf("plan of run %s: %w", c.run.ID, err)
		}
		for _, shard := range shards {
			c.shards = append(c.shards, comparison.Shard{Kind: shard.Kind, Cursor: shard.Cursor, Hash: shard.Hash})
		}
		if len(shards) < planPage {
			return c, nil
		}
	}
}

// side lets a run's documents be listed as they were at its moment.
func (s *Server) side(c comparedRun) comparison.Side {
	run := c.run
	return comparison.Side{Shards: c.shards,
		List: func(ctx context.Context, keys ledger.KeyRange, yield func(ledger.Row) error) error {
			return s.cfg.Ledger.Current(ctx, run.Tenant, run.Project, run.AsOf, run.Selectors, keys, yield)
		},
		CurrentOf: func(ctx context.Context, rows []ledger.Row, yield func(ledger.Row) error) error {
			return s.cfg.Catalog.CurrentOf(ctx, run.Tenant, run.Project, run.AsOf, rows, yield)
		}}
}
