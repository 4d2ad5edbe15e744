package frontendtest

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Runs is storage.Runs in memory.
type Runs struct {
	// Limits are kept where they say something; there are no defaults.
	Limits storage.Limits
	// Refuse is the answer to a request for a new run when it is set.
	Refuse error
	// PackedAll says that every shard was packed before.
	PackedAll bool

	mu    sync.Mutex
	order []export.Ref
	runs  map[export.Ref]export.Run
	files map[export.Ref][]storage.File
	plans map[export.Ref][]storage.PlannedShard
	keys  map[[2]string]idempotent

	attested map[export.Ref][]storage.StoredSignature
	journals map[export.Ref][]export.Event
	hearers  map[int]func(storage.Notice)
	hearings int
	guarded  map[export.Ref]storage.Guarded
}

type idempotent struct {
	idem storage.Idempotency
	ref  export.Ref
}

var _ storage.Runs = (*Runs)(nil)

// NewRuns makes an empty store.
func NewRuns() *Runs {
	return &Runs{runs: map[export.Ref]export.Run{}, files: map[export.Ref][]storage.File{}, plans: map[export.Ref][]storage.PlannedShard{},
		keys: map[[2]string]idempotent{}, attested: map[export.Ref][]storage.StoredSignature{},
		journals: map[export.Ref][]export.Event{}, hearers: map[int]func(storage.Notice){},
		guarded: map[export.Ref]storage.Guarded{}}
}

// Put sets a run and its files, whatever they were.
func (r *Runs) Put(run export.Run, files []storage.File) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.runs[run.Ref()]; !known {
		r.order = append(r.order, run.Ref())
	}
	r.runs[run.Ref()] = run
	r.files[run.Ref()] = files
}

// Amend changes a run and leaves its files.
func (r *Runs) Amend(run export.Run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs[run.Ref()] = run
}

// CreateRun implements storage.Runs.
func (r *Runs) CreateRun(_ context.Context, run export.Run, idem storage.Idempotency) (export.Run, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := [2]string{run.Tenant, idem.Key}
	if known, ok := r.keys[key]; ok && idem.Key != "" {
		if known.idem != idem {
			return export.Run{}, false, storage.ErrConflict
		}
		return r.runs[known.ref], false, nil
	}
	slot, err := r.place(run.Tenant)
	if r.Refuse != nil {
		err = r.Refuse
	}
	if err != nil {
		return export.Run{}, false, err
	}
	if slot {
		run.DispatchedAt = run.RequestedAt
	}
	if idem.Key != "" {
		r.keys[key] = idempotent{idem, run.Ref()}
	}
	r.order = append(r.order, run.Ref())
	r.runs[run.Ref()] = run
	return run, true, nil
}

// place reports whether a new run of tenant has a slot.
func (r *Runs) place(tenant string) (bool, error) {
	active, waiting := 0, 0
	for _, run := range r.runs {
		switch {
		case run.Tenant != tenant:
		case run.State == export.StateRunning, run.State == export.StatePending && !run.DispatchedAt.IsZero():
			active++
		case run.State == export.StatePending:
			waiting++
		}
	}
	slot := r.Limits.Active == 0 || waiting == 0 && active < r.Limits.Active
	if !slot && r.Limits.Pending > 0 && waiting >= r.Limits.Pending {
		return false, &export.Error{Code: export.CodeConcurrency, Class: export.ClassQuota, Message: "too many runs wait",
			Err: &storage.QueueFull{Limit: r.Limits.Pending}}
	}
	return slot, nil
}

// FindRun implements storage.Runs.
func (r *Runs) FindRun(_ context.Context, tenant string, idem storage.Idempotency) (export.Run, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.keys[[2]string{tenant, idem.Key}]
	if !ok || known.idem != idem {
		return export.Run{}, false, nil
	}
	return r.runs[known.ref], true, nil
}

// GetRun implements storage.Runs.
func (r *Runs) GetRun(_ context.Context, ref export.Ref) (export.Run, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	run, ok := r.runs[ref]
	if !ok {
		return export.Run{}, storage.ErrNotFound
	}
	return run, nil
}

// ListRuns implements storage.Runs; its cursors are positions.
func (r *Runs) ListRuns(_ context.Context, tenant string, f storage.RunFilter) ([]export.Run, string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var matching []export.Run
	for _, ref := range slices.Backward(r.order) {
		run := r.runs[ref]
		if run.Tenant == tenant && wants(f, run) {
			matching = append(matching, run)
		}
	}
	start := 0
	if f.Cursor != "" {
		at, err := strconv.Atoi(f.Cursor)
		if err != nil || at < 0 || at > len(matching) {
			return nil, "", export.Errorf(export.CodeValidation, "cursor: is not the cursor of a page")
		}
		start = at
	}
	end := min(start+f.Limit, len(matching))
	next := ""
	if end < len(matching) {
		next = strconv.Itoa(end)
	}
	return matching[start:end], next, nil
}

// NewestMirror implements storage.Runs.
func (r *Runs) NewestMirror(_ context.Context, base export.Run) (newest export.Run, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, run := range r.runs {
		of := run.Tenant == base.Tenant && run.Project == base.Project && run.ProfileID == base.ProfileID && reflect.DeepEqual(run.Selectors, base.Selectors)
		if of && export.IsFullMirror(run.Kind, run.Variant) && run.State == export.StateSucceeded && run.RebuildOf == "" && run.Generation > newest.Generation {
			newest = run
		}
	}
	if newest.Generation == 0 {
		return newest, storage.ErrNotFound
	}
	return newest, nil
}

func wants(f storage.RunFilter, run export.Run) bool {
	label, labelled := run.Labels[f.Label[0]]
	return (f.State == "" || f.State == run.State) && (f.Profile == "" || f.Profile == run.ProfileID) &&
		(f.Project == "" || f.Project == run.Project) && (f.RequestedBy == "" || f.RequestedBy == run.RequestedBy) &&
		(f.Label[0] == "" || labelled && label == f.Label[1]) &&
		(f.From.IsZero() || !run.RequestedAt.Before(f.From)) && (f.To.IsZero() || run.RequestedAt.Before(f.To))
}

// Planned implements storage.Runs.
func (r *Runs) Planned(_ context.Context, ref export.Ref, from, limit int) (bundle.Digest, []storage.PlannedShard, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	plan, planned := r.plans[ref]
	if !planned {
		return bundle.Digest{}, nil, storage.ErrNotFound
	}
	return bundle.DigestOf([]byte(ref.RunID)), plan[min(from, len(plan)):min(from+limit, len(plan))], nil
}

// Shares implements storage.Runs.
func (r *Runs) Shares(_ context.Context, ref export.Ref) ([]storage.Share, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sums := map[string]storage.Share{}
	for _, s := range r.plans[ref] {
		sum := sums[s.Source]
		sums[s.Source] = storage.Share{Source: s.Source, Shards: sum.Shards + 1, Records: sum.Records + s.Count, Bytes: sum.Bytes + s.Bytes}
	}
	shares := slices.Collect(maps.Values(sums))
	slices.SortFunc(shares, func(a, b storage.Share) int { return strings.Compare(a.Source, b.Source) })
	return shares, nil
}

// Plan gives a run a plan.
func (r *Runs) Plan(ref export.Ref, shards ...storage.PlannedShard) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plans[ref] = shards
}

// PackedBefore implements storage.Runs; see PackedAll.
func (r *Runs) PackedBefore(_ context.Context, _ string, _ bundle.Digest, hashes []bundle.Digest) ([]bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	packed := make([]bool, len(hashes))
	for i := range hashes {
		packed[i] = r.PackedAll
	}
	return packed, nil
}

// RequestCancel implements storage.Runs.
func (r *Runs) RequestCancel(_ context.Context, ref export.Ref, c export.Cancellation) (export.Run, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	run, ok := r.runs[ref]
	if !ok {
		return run, storage.ErrNotFound
	}
	if run.State.Terminal() {
		return run, storage.ErrConflict
	}
	if run.Cancel == nil {
		run.Cancel = &c
		r.runs[ref] = run
	}
	return run, nil
}

// Files implements storage.Runs.
func (r *Runs) Files(_ context.Context, ref export.Ref) ([]storage.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.runs[ref]; !ok {
		return nil, storage.ErrNotFound
	}
	return r.files[ref], nil
}

// Attest keeps a signature of a run with its statement.
func (r *Runs) Attest(ref export.Ref, s storage.StoredSignature) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attested[ref] = append(r.attested[ref], s)
}

// Attestations implements storage.Runs.
func (r *Runs) Attestations(_ context.Context, ref export.Ref) ([]storage.StoredSignature, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.attested[ref], nil
}
