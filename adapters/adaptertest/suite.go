package adaptertest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/export"
)

// Subject is an adapter and what it is tested with.
type Subject struct {
	Work
	// Read opens the files with the program they are for, or its library, and says
	// how many records of each path that program sees; files that it does not read
	// are left out.
	Read func(t *testing.T, r Result) map[string]int64
	// Refused are options that the adapter cannot follow, by what their error says:
	// an unsupported schema version, a redaction of what cannot be redacted.
	Refused map[string]export.Options
}

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	require.GreaterOrEqual(t, len(s.Documents), 8, "bring some documents")
	want := s.do(t, s.Work)
	t.Run("same input twice", func(t *testing.T) { same(t, want, s.do(t, s.Work)) })
	t.Run("on other machines", func(t *testing.T) { s.elsewhere(t, want) })
	t.Run("in another order", func(t *testing.T) {
		work := s.Work
		work.Backwards = true
		same(t, want, s.do(t, work))
	})
	t.Run("in one shard or many", func(t *testing.T) { s.otherCuts(t) })
	t.Run("cancelled on the way", func(t *testing.T) { s.cancelled(t) })
	t.Run("counts equal the manifest", func(t *testing.T) { s.counts(t, want) })
	t.Run("options it cannot follow", func(t *testing.T) { s.refuses(t) })
	t.Run("has a version", func(t *testing.T) { require.NotEmpty(t, s.Adapter.Version()) })
}

func (s Subject) do(t *testing.T, work Work) Result {
	t.Helper()
	r, err := work.Do(t, t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, r.Payload)
	return r
}

func same(t *testing.T, want, have Result) {
	t.Helper()
	require.Equal(t, len(want.Payload), len(have.Payload))
	for i, f := range want.Payload {
		require.Equal(t, f.Path, have.Payload[i].Path)
		require.Equal(t, f.Info, have.Payload[i].Info, "%s has other bytes", f.Path)
	}
	require.Equal(t, want.Sources, have.Sources)
}

// elsewhere: the number of processors and the time zone of a machine leave no trace.
// (What a process reads at its start, such as the language, the twins of package e2e
// differ in: they are processes of their own.)
func (s Subject) elsewhere(t *testing.T, want Result) {
	processors, zone := runtime.GOMAXPROCS(0), time.Local
	t.Cleanup(func() { runtime.GOMAXPROCS(processors); time.Local = zone })
	for _, n := range []int{1, 2, 8} {
		runtime.GOMAXPROCS(n)
		time.Local = time.FixedZone("elsewhere", 5*3600+1800)
		same(t, want, s.do(t, s.Work))
	}
}

// otherCuts: what is built depends on the documents and not on how they were cut
// into shards. Only where the shards are files of the bundle themselves do they
// and what names them differ.
func (s Subject) otherCuts(t *testing.T) {
	builder, builds := s.Adapter.(adapters.Builder)
	if !builds || builder.Ships() {
		t.Skip("its shards are files of the bundle: their cuts are part of the bytes")
	}
	var first Result
	for i, cut := range []func([]byte, int64) bool{
		func([]byte, int64) bool { return true },
		func([]byte, int64) bool { return false },
		func(key []byte, _ int64) bool { return bundle.DigestOf(key)[0]&1 == 0 },
	} {
		work := s.Work
		work.Cut = cut
		r := s.do(t, work)
		if i == 0 {
			first = r
		}
		same(t, first, r)
	}
}

var errStop = errors.New("stopped by the test")

// cancelled: whenever a run is cancelled the adapter stops with that error, ends
// what it began, and leaves nothing in its scratch directory that it still uses.
func (s Subject) cancelled(t *testing.T) {
	steps := 0
	work := s.Work
	work.Step = func(string) { steps++ }
	s.do(t, work)
	before := runtime.NumGoroutine()
	for at := 1; at <= steps; at = at + 1 + steps/12 {
		ctx, stop := context.WithCancelCause(t.Context())
		n := 0
		work.Step = func(string) {
			if n++; n == at {
				stop(errStop)
			}
		}
		_, err := work.Do(t, ctx)
		require.ErrorIs(t, err, context.Canceled, "step %d of %d", at, steps)
		stop(nil)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, err := s.Do(t, ctx)
	require.ErrorIs(t, err, context.Canceled)
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(deadline); { //nolint:forbidigo // a test's patience
		time.Sleep(time.Millisecond)
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before, "it left goroutines")
	requireNothingOpen(t)
}

// requireNothingOpen wants no file of a scratch directory to be open still.
func requireNothingOpen(t *testing.T) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil {
			require.NotContains(t, target, scratchMark, "it is open still")
		}
	}
}

// counts: what the manifest says of each file is what its reader finds in it, and
// a manifest takes the files.
func (s Subject) counts(t *testing.T, r Result) {
	found := s.Read(t, r)
	require.NotEmpty(t, found, "some program has to read what the adapter writes")
	for path, records := range found {
		var info *bundle.PayloadInfo
		for i := range r.Payload {
			if r.Payload[i].Path == path {
				info = &r.Payload[i].Info
			}
		}
		require.NotNil(t, info, "%s is not there", path)
		require.Equal(t, info.Records, records, "records of %s", path)
	}
	var m bundle.Manifest
	require.NoError(t, m.SetContents(r.Contents()))
	if builder, builds := s.Adapter.(adapters.Builder); builds && builder.Guarded() {
		require.NotEmpty(t, r.Sources, "the guard compares what came of each source")
	}
}

// refuses: what the adapter cannot do it says at once, before anything is packed.
func (s Subject) refuses(t *testing.T) {
	for says, options := range s.Refused {
		work := s.Work
		work.Options = options
		begun := false
		work.Step = func(string) { begun = true }
		_, err := work.Do(t, t.Context())
		require.ErrorContains(t, err, says)
		require.False(t, begun, "it began to build")
	}
}

// Flips holds that in a signed bundle of the adapter's files every bit counts.
func Flips(t *testing.T, s Subject) {
	archive, trust := s.do(t, s.Work).Bundle(t, s.Adapter, bundletest.Key(t, 1))
	RefuseFlips(t, archive, trust, 1)
}
