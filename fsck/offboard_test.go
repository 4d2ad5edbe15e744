package fsck_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/offboarding"
	"github.com/stella-ops/exportcenter/offboarding/removal"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// week is when tenants that were suspended now are offboarded.
var week = now.Add(export.OffboardAfter)

// offboard asks for acme to be removed. It also has what crashes leave.
func (w *world) offboard(t *testing.T) {
	t.Helper()
	w.write(t, w.path(acme, bundle.DigestOf([]byte("lost"))), "lost")
	w.write(t, filepath.Join(w.dir, storage.Namespace(acme), "staging", strings.Repeat("b", 32)), "half")
	tenants := postgres.NewTenants(w.DB)
	_, err := tenants.ChangeTenant(t.Context(), acme, export.TenantSuspended, export.TenantChange{At: now, By: "root", Reason: "contract ended"})
	require.NoError(t, err)
	asked, err := tenants.OffboardTenant(t.Context(), acme, export.TenantChange{At: week, By: "root", Reason: "contract ended"}, export.OffboardAfter)
	require.NoError(t, err)
	require.Equal(t, export.TenantOffboarding, asked.State)
}

// remover is a removal of this world, with something between it and its stores.
func (w *world) remover(t *testing.T, between func(storage.Offboarding, removal.Files) (storage.Offboarding, removal.Files)) *removal.Removal {
	t.Helper()
	rows, err := postgres.OpenOffboarding(t.Context(), w.Offboard)
	require.NoError(t, err)
	t.Cleanup(rows.Close)
	blobs, err := files.OpenRemoval(w.dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, blobs.Close()) })
	r := &removal.Removal{Rows: rows, Files: blobs, Signer: signer(t), Clock: clock.Fixed(week), Batch: 2}
	if between != nil {
		r.Rows, r.Files = between(rows, blobs)
	}
	return r
}

// state is all that the world has, but for the installation's own: rows by tenant and
// table, each hashed, and files by path.
func (w *world) state(t *testing.T) (ofAcme, ofOthers map[string]string) {
	t.Helper()
	ofAcme, ofOthers = map[string]string{}, map[string]string{}
	rows, err := w.admin(t).Query(t.Context(), `select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant'
		where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relpersistence = 'p' order by 1`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Greater(t, len(tables), 25)
	for _, table := range tables {
		for into, condition := range map[*map[string]string]string{&ofAcme: "tenant = 'acme'", &ofOthers: "tenant <> 'acme'"} {
			var count int
			var hash string
			require.NoError(t, w.admin(t).QueryRow(t.Context(), fmt.Sprintf(
				`select count(*), md5(coalesce(string_agg(t::text, E'\n' order by t::text), '')) from %s t where %s`, table, condition)).Scan(&count, &hash))
			if count > 0 {
				(*into)[table] = fmt.Sprint(count, " ", hash)
			}
		}
	}
	require.NoError(t, filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == w.dir {
			return err
		}
		name, err := filepath.Rel(w.dir, path)
		into := ofOthers
		if strings.HasPrefix(name, storage.Namespace(acme)) {
			into = ofAcme
		}
		into[name] = d.Type().String()
		if err == nil && d.Type().IsRegular() {
			content, err := os.ReadFile(path)
			into[name] = bundle.DigestOf(content).String()
			return err
		}
		return err
	}))
	return ofAcme, ofOthers
}

// exported is the record of acme as the API gives it.
func (w *world) exported(t *testing.T) string {
	t.Helper()
	tenants := postgres.NewTenants(w.DB)
	var text strings.Builder
	for after := ""; ; {
		lines, last, err := tenants.OffboardedRuns(t.Context(), acme, after, 1)
		require.NoError(t, err)
		if after = last; len(lines) == 0 {
			break
		}
		text.Write(append(lines[0], '\n'))
	}
	record, err := tenants.OffboardingRecord(t.Context(), acme)
	require.NoError(t, err)
	text.Write(append(offboarding.RecordLine(record), '\n'))
	return text.String()
}

// kept are the tables in which an offboarded tenant still has rows.
var kept = []string{"offboarding_runs", "offboardings", "tenants"}

// A tenant is removed whole, the other keeps what it has byte for byte, and the
// record says what was there.
func TestOffboardingRemovesATenant(t *testing.T) {
	w := newWorld(t)
	w.offboard(t)
	before, canary := w.state(t)
	var steps []string
	r := w.remover(t, nil)
	r.Tell = func(p removal.Progress) {
		if !slices.Contains(steps, p.Step) {
			steps = append(steps, p.Step)
		}
	}
	envelope, err := r.Run(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, []string{"blobs", "files"}, steps[:2])
	require.Equal(t, "audit_heads", steps[len(steps)-1])
	after, others := w.state(t)
	require.Equal(t, canary, others)
	require.Equal(t, kept, sortedKeys(after), "nothing else is left")

	report, err := offboarding.Verify(strings.NewReader(w.exported(t)), trusted(t))
	require.NoError(t, err)
	stored, err := postgres.NewTenants(w.DB).OffboardingRecord(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, envelope, stored)
	record := report.Record
	require.Equal(t, "acme root contract ended", record.Tenant+" "+record.RequestedBy+" "+record.Reason)
	require.Equal(t, offboarding.Ledger{Head: 5, Documents: 5}, record.Ledger)
	require.EqualValues(t, 2, record.Runs.Count)
	require.EqualValues(t, 4, record.Audit.Seq)
	for _, table := range record.Tables {
		count, _, _ := strings.Cut(before[table.Table], " ")
		require.Equal(t, max(count, "0"), fmt.Sprint(table.Rows), table.Table)
	}
	for table := range before {
		told := slices.ContainsFunc(record.Tables, func(r offboarding.Table) bool { return r.Table == table })
		require.True(t, told || slices.Contains(kept, table) || strings.HasPrefix(table, storage.Namespace(acme)), table)
	}
	var blobs int64
	for path := range before {
		if strings.Contains(path, "/sha256/") && len(filepath.Base(path)) == 64 {
			blobs++
		}
	}
	require.Equal(t, blobs, record.Blobs.Count)

	tenant, err := postgres.NewTenants(w.DB).GetTenant(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, export.TenantOffboarded, tenant.State)
	require.Equal(t, week, tenant.OffboardedAt)
	w.requireGone(t)
	for range 2 { // again, also when files came back
		again, err := w.remover(t, nil).Run(t.Context(), acme)
		require.NoError(t, err)
		require.Nil(t, again)
		w.write(t, w.path(acme, bundle.DigestOf([]byte("back"))), "back")
	}
	_, err = w.remover(t, nil).Run(t.Context(), acme)
	require.NoError(t, err)
	_, others = w.state(t)
	require.Equal(t, canary, others)
}

// requireGone: nobody writes to a tenant that was offboarded, and nobody has its name again.
func (w *world) requireGone(t *testing.T) {
	t.Helper()
	tenants := postgres.NewTenants(w.DB)
	require.ErrorIs(t, tenants.CreateTenant(t.Context(), export.Tenant{Name: acme, State: export.TenantActive}), storage.ErrConflict)
	_, err := tenants.ChangeTenant(t.Context(), acme, export.TenantActive, export.TenantChange{At: week, By: "x"})
	require.ErrorIs(t, err, storage.ErrConflict)
	_, err = postgres.NewLedger(w.DB).Import(t.Context(), acme, documents(t))
	require.Error(t, err)
	profile, _ := export.BuiltinProfile("json:raw")
	_, _, err = w.runs.CreateRun(t.Context(), export.Run{Tenant: acme, ID: runID(99), ProfileID: profile.ID, ProfileRevision: 1, ProfileName: profile.Name,
		Kind: profile.Kind, Variant: profile.Variant, RequestedBy: "late", RequestedAt: now, State: export.StatePending}, storage.Idempotency{})
	require.Error(t, err)
	after, _ := w.state(t)
	require.Equal(t, kept, sortedKeys(after))
}

func sortedKeys(m map[string]string) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// TestOffboardingIsTakenUp: whatever effect a removal is cut off at, before or
// behind it, the next one goes on, and the end is that of an undisturbed one.
func TestOffboardingIsTakenUp(t *testing.T) {
	twin := newWorld(t)
	twin.offboard(t)
	count := &cut{}
	_, err := twin.remover(t, count.between).Run(t.Context(), acme)
	require.NoError(t, err)
	wantAcme, wantOthers := twin.state(t)
	want := recordIn(t, twin)
	require.Greater(t, count.effects, 60)
	wanted := map[string]bool{}
	for _, point := range count.points {
		wanted[point] = true
	}
	for _, behind := range []bool{false, true} {
		t.Run(fmt.Sprintf("behind an effect %v", behind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.offboard(t)
			lives, points := 0, map[string]bool{}
			for {
				// Each life gets one effect further than the one before got.
				c := &cut{at: lives + 1, behind: behind}
				_, err := w.remover(t, c.between).Run(t.Context(), acme)
				if err == nil {
					break
				}
				require.ErrorIs(t, err, errCut)
				points[c.points[len(c.points)-1]] = true
				lives++
				require.Less(t, lives, 200)
			}
			require.Greater(t, lives, 12)
			t.Logf("%d lives were cut off, at %v", lives, points)
			gotAcme, gotOthers := w.state(t)
			require.Equal(t, wantOthers, gotOthers)
			require.Equal(t, sortedKeys(wantAcme), sortedKeys(gotAcme))
			require.Equal(t, want, recordIn(t, w))
		})
	}
	// Every sort of effect, once, alone.
	for point := range wanted {
		for _, behind := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s behind %v", point, behind), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.offboard(t)
				c := &cut{point: point, behind: behind}
				_, err := w.remover(t, c.between).Run(t.Context(), acme)
				require.ErrorIs(t, err, errCut)
				_, err = w.remover(t, nil).Run(t.Context(), acme)
				require.NoError(t, err)
				gotAcme, gotOthers := w.state(t)
				require.Equal(t, wantOthers, gotOthers)
				require.Equal(t, sortedKeys(wantAcme), sortedKeys(gotAcme))
				require.Equal(t, want, recordIn(t, w))
			})
		}
	}
}

// recordIn is acme's record, but for its signature.
func recordIn(t *testing.T, w *world) offboarding.Record {
	t.Helper()
	report, err := offboarding.Verify(strings.NewReader(w.exported(t)), trusted(t))
	require.NoError(t, err)
	return report.Record
}

// trusted is the installation's public key.
func trusted(t *testing.T) []signing.Verifier {
	t.Helper()
	key, err := signing.ParsePublicKey(signer(t).PublicKeyPEM())
	require.NoError(t, err)
	return []signing.Verifier{key}
}

var errCut = errors.New("cut off")

// cut ends a removal at its at-th effect, or at the first one of a sort: nothing
// happens after it.
type cut struct {
	at      int
	point   string
	behind  bool
	dead    bool
	effects int
	points  []string
	storage.Offboarding
	files removal.Files
}

func (c *cut) between(rows storage.Offboarding, files removal.Files) (storage.Offboarding, removal.Files) {
	c.Offboarding, c.files = rows, files
	return c, cutFiles{c}
}

func (c *cut) effect(point string, do func() error) error {
	if c.dead {
		return errCut
	}
	c.effects++
	c.points = append(c.points, point)
	c.dead = c.effects == c.at || point == c.point
	if c.dead && !c.behind {
		return errCut
	}
	err := do()
	if c.dead && err == nil {
		err = errCut
	}
	return err
}

func (c *cut) Begin(ctx context.Context, tenant string, at time.Time, blobs offboarding.Blobs) error {
	return c.effect("Begin", func() error { return c.Offboarding.Begin(ctx, tenant, at, blobs) })
}

func (c *cut) RemoveBlobs(ctx context.Context, tenant string, limit int, at time.Time, erase func(bundle.Digest, storage.Still) error) (n int, err error) {
	err = c.effect("RemoveBlobs", func() error {
		n, err = c.Offboarding.RemoveBlobs(ctx, tenant, limit, at, erase)
		return err
	})
	return n, err
}

func (c *cut) Hold(ctx context.Context, tenant string, fn func(storage.Still) error) error {
	return c.effect("Hold", func() error { return c.Offboarding.Hold(ctx, tenant, fn) })
}

func (c *cut) RemoveRows(ctx context.Context, tenant, table string, limit int, at time.Time) (n int, err error) {
	point := "RemoveRows"
	if table == "audit_entries" {
		point = "RemoveRows of the audit record"
	}
	err = c.effect(point, func() error {
		n, err = c.Offboarding.RemoveRows(ctx, tenant, table, limit, at)
		return err
	})
	return n, err
}

func (c *cut) End(ctx context.Context, tenant string, at time.Time, sign func(offboarding.Record) ([]byte, error)) (record []byte, err error) {
	err = c.effect("End", func() error {
		record, err = c.Offboarding.End(ctx, tenant, at, func(r offboarding.Record) (e []byte, err error) {
			err = c.effect("Sign", func() error {
				e, err = sign(r)
				return err
			})
			return e, err
		})
		return err
	})
	return record, err
}

type cutFiles struct{ *cut }

func (c cutFiles) Blobs(ctx context.Context, tenant string, yield func(storage.BlobFile) error) error {
	return c.files.Blobs(ctx, tenant, yield)
}

func (c cutFiles) Erase(ctx context.Context, tenant string, digest bundle.Digest, still storage.Still) error {
	return c.effect("Erase", func() error { return c.files.Erase(ctx, tenant, digest, still) })
}

func (c cutFiles) RemoveStaged(ctx context.Context, tenant string, at time.Time) (n int, err error) {
	err = c.effect("RemoveStaged", func() error {
		n, err = c.files.RemoveStaged(ctx, tenant, at)
		return err
	})
	return n, err
}

func (c cutFiles) RemoveDirectories(ctx context.Context, tenant string) error {
	return c.effect("RemoveDirectories", func() error { return c.files.RemoveDirectories(ctx, tenant) })
}
