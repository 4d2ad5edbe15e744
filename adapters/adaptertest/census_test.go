package adaptertest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/adaptertest"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// The adapter of docs/howto/add-a-profile.md: it counts documents by ecosystem.
// The page shows the code between the marks; a test compares.

// howto: adapter

// census is the adapter of a profile that counts documents by ecosystem.
type census struct{}

func (census) Profile() (kind, variant string) { return "census", "ecosystems" }

// Version changes whenever the bytes it writes can change.
func (census) Version() string { return "1" }

// Packer packs the documents of a run.
func (census) Packer(options export.Options) (adapters.Packer, error) {
	if options.Redaction != nil {
		return nil, export.Errorf(export.CodeValidation, "options.redaction: a census shows no fields; leave it out")
	}
	return censusPacker{}, nil
}

// howto: end

// howto: packer

type censusPacker struct{}

// Write writes one line per ecosystem of doc.
func (censusPacker) Write(w adapters.LineWriter, doc ledger.Line) (adapters.Written, error) {
	for _, ecosystem := range doc.Ecosystems {
		if err := w.WriteLine([]byte(ecosystem)); err != nil {
			return adapters.Written{}, err
		}
	}
	if len(doc.Ecosystems) == 0 { // a shard has lines, or it is none
		return adapters.Written{}, w.WriteLine([]byte("none"))
	}
	return adapters.Written{}, nil
}

// howto: end

// howto: builder

// PackedAs says that the lines of the shards are the census's own.
func (census) PackedAs() string { return "census:ecosystems" }

// Ships keeps these lines out of the bundle.
func (census) Ships() bool { return false }

// Guarded would let a census that shrank wait for an approval.
func (census) Guarded() bool { return false }

// Build adds up the shards.
func (census) Build(ctx context.Context, in adapters.Input, out adapters.Output) (adapters.Built, error) {
	counts := map[string]int64{}
	for i, shard := range in.Shards {
		if err := count(ctx, shard, counts); err != nil {
			return adapters.Built{}, fmt.Errorf("%s: %w", shard.Path, err)
		}
		in.Progress(i + 1)
	}
	text, err := bundle.MarshalCanonical(map[string]any{"schema": 1, "documents": counts})
	if err != nil {
		return adapters.Built{}, err
	}
	return adapters.Built{}, out.Document(ctx, bundle.TrivySummaryPath, text, int64(len(counts)))
}

func count(ctx context.Context, shard adapters.Shard, counts map[string]int64) error {
	lines, err := shard.Open(ctx)
	if err != nil {
		return err
	}
	defer lines.Close()
	scanner := bufio.NewScanner(lines)
	for scanner.Scan() {
		counts[scanner.Text()]++
	}
	return scanner.Err() // also when the bytes are not those that were packed
}

// howto: end

// howto: suite

func TestCensus(t *testing.T) {
	adaptertest.Run(t, adaptertest.Subject{
		Work: adaptertest.Work{Adapter: census{}, Documents: adaptertest.Lines(t, adaptertest.Sample(t)...)},
		Read: func(t *testing.T, r adaptertest.Result) map[string]int64 {
			var read struct{ Documents map[string]int64 }
			require.NoError(t, json.Unmarshal(r.At(t, bundle.TrivySummaryPath), &read))
			return map[string]int64{bundle.TrivySummaryPath: int64(len(read.Documents))}
		},
		Refused: map[string]export.Options{"a census shows no fields": {Redaction: &export.Redaction{PolicyID: "p"}}},
	})
}

// howto: end

// TestHowtoShowsThisAdapter holds the page to the code that is tested.
func TestHowtoShowsThisAdapter(t *testing.T) {
	page, err := os.ReadFile("../../docs/howto/add-a-profile.md")
	require.NoError(t, err)
	code, err := os.ReadFile("census_test.go")
	require.NoError(t, err)
	parts := regexp.MustCompile(`(?s)// howto: (\w+)\n\n(.*?)\n\n// howto: end`).FindAllStringSubmatch(string(code), -1)
	require.Len(t, parts, 4)
	for _, part := range parts {
		require.Contains(t, string(page), "```go\n"+part[2]+"\n```", "the page shows another %s", part[1])
	}
}

// broken spoils one promise of an adapter: the suite must notice.
type broken struct {
	census
	build func(ctx context.Context, in adapters.Input, out adapters.Output) (adapters.Built, error)
}

func (b broken) Build(ctx context.Context, in adapters.Input, out adapters.Output) (adapters.Built, error) {
	return b.build(ctx, in, out)
}

// TestTheSuiteNotices runs it, in a process of its own, on adapters that break a
// promise each.
func TestTheSuiteNotices(t *testing.T) {
	calls := 0
	spoilt := map[string]broken{
		"bytes_change": {build: func(ctx context.Context, in adapters.Input, out adapters.Output) (adapters.Built, error) {
			calls++
			return adapters.Built{}, out.Document(ctx, bundle.TrivySummaryPath, fmt.Appendf(nil, `{"Documents":{"%d":1}}`, calls), 1)
		}},
		"knows_its_shards": {build: func(ctx context.Context, in adapters.Input, out adapters.Output) (adapters.Built, error) {
			return adapters.Built{}, out.Document(ctx, bundle.TrivySummaryPath, fmt.Appendf(nil, `{"Documents":{"%d":1}}`, len(in.Shards)), 1)
		}},
		"goes_on_when_cancelled": {build: func(ctx context.Context, in adapters.Input, out adapters.Output) (adapters.Built, error) {
			return census{}.Build(context.WithoutCancel(ctx), in, out)
		}},
		"counts_wrong": {build: func(ctx context.Context, in adapters.Input, out adapters.Output) (adapters.Built, error) {
			return adapters.Built{}, out.Document(ctx, bundle.TrivySummaryPath, []byte(`{"Documents":{"npm":1}}`), 2)
		}},
		"leaves_a_file_open": {build: func(ctx context.Context, in adapters.Input, out adapters.Output) (adapters.Built, error) {
			if _, err := os.Create(in.Scratch + "/left"); err != nil {
				return adapters.Built{}, err
			}
			return census{}.Build(ctx, in, out)
		}},
	}
	name := os.Getenv("SPOILT_ADAPTER")
	if name == "" {
		for _, name := range slices.Sorted(maps.Keys(spoilt)) {
			requireFails(t, name)
		}
		return
	}
	adaptertest.Run(t, adaptertest.Subject{
		Work: adaptertest.Work{Adapter: spoilt[name], Documents: adaptertest.Lines(t, adaptertest.Sample(t)...)},
		Read: func(t *testing.T, r adaptertest.Result) map[string]int64 {
			var read struct{ Documents map[string]int64 }
			require.NoError(t, json.Unmarshal(r.At(t, bundle.TrivySummaryPath), &read))
			return map[string]int64{bundle.TrivySummaryPath: int64(len(read.Documents))}
		},
	})
	if t.Failed() {
		fmt.Println("noticed", name)
	}
}

func requireFails(t *testing.T, name string) {
	t.Helper()
	out, err := again(t, "^TestTheSuiteNotices$", "SPOILT_ADAPTER="+name)
	require.Error(t, err, "the suite lets an adapter pass that %s", strings.ReplaceAll(name, "_", " "))
	require.Contains(t, out, "--- FAIL: TestTheSuiteNotices/", "%s", out)
}
