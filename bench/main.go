// Command bench measures a whole run against the machine's own limit: the
// programs that users run, on documents like theirs, beside what PostgreSQL,
// zstd and sha256sum alone need for the same bytes on the same machine at the
// same time. docs/benchmarks.md says what each row means.
//
// It runs the built programs (`make build`), on a temporary directory that it
// removes, and ends by their process id what it started.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/stella-ops/exportcenter/internal/clock"
)

// options of one measurement.
type options struct {
	documents int    // how many
	seed      uint64 // which
	bin       string // where the built programs are
	corpus    string // real advisories, when they are there
	sample    string // else these are replicated
	out       string // the JSON file
	strict    bool   // fail when a limit is missed or was not measured
	databases bool   // measure them alone
	mirrors   bool   // measure them alone
}

func main() {
	// The kernel ends what we start when the thread that started it ends:
	// that is this thread, for the life of the program.
	runtime.LockOSThread()
	var o options
	flag.IntVar(&o.documents, "docs", 100000, "how many documents")
	flag.Uint64Var(&o.seed, "seed", 1, "which documents")
	flag.StringVar(&o.bin, "bin", "bin", "directory of the built programs")
	flag.StringVar(&o.corpus, "corpus", "../shared/data/osv", "directory of real advisories (.jsonl.zst)")
	flag.StringVar(&o.sample, "sample", "ledger/sample/osv", "directory of advisories used without -corpus")
	flag.StringVar(&o.out, "out", "build/bench.json", "the table as JSON")
	flag.BoolVar(&o.strict, "strict", false, "exit with 1 when a limit is missed or could not be measured")
	bare := flag.String("bare", "", "be a bare server, for a measurement that began it")
	advisories := flag.String("trivydb", "", "build a database of the advisories below this directory into -out, for a measurement that began it")
	flag.BoolVar(&o.databases, "databases", false, "measure the databases alone")
	flag.BoolVar(&o.mirrors, "mirrors", false, "measure mirrors alone")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	switch {
	case *bare != "":
		err = serveBare(ctx, *bare)
	case *advisories != "":
		err = buildTrivyDB(ctx, *advisories, o.out)
	case o.databases:
		err = runDatabases(ctx, o)
	case o.mirrors:
		err = runMirrors(ctx, o)
	default:
		err = run(ctx, o)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	return inHouse(ctx, o, func(b *bench, machine string) error {
		var err error
		if b.temporal, err = b.house.dialTemporal(ctx); err != nil {
			return err
		}
		defer b.temporal.Close()
		b.tools = findTools()
		if err := b.measure(ctx); err != nil {
			return fmt.Errorf("%w\n%s", err, b.house.lastWords())
		}
		if err := writeJSON(o.out, b.rows); err != nil {
			return err
		}
		if err := b.print(os.Stdout, machine); err != nil {
			return err
		}
		if missed := missed(b.rows); o.strict && len(missed) > 0 {
			return fmt.Errorf("limits missed or not measured: %s", strings.Join(missed, "; "))
		}
		return nil
	})
}

// inHouse runs do beside a house of its own and documents that are written first; both
// are gone afterwards. machine was described before we load it ourselves.
func inHouse(ctx context.Context, o options, do func(b *bench, machine string) error) (err error) {
	if o.documents < 1 {
		return errors.New("-docs must be at least 1")
	}
	machine := describeMachine()
	dir, err := os.MkdirTemp("", "exportcenter-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL drops root and must get in
		return err
	}
	docs, err := writeDocuments(dir, o)
	if err != nil {
		return fmt.Errorf("write documents: %w", err)
	}
	h, err := startHouse(ctx, o.bin, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.stop()) }()
	return do(&bench{house: h, docs: docs, dir: dir, seed: o.seed, now: clock.System}, machine)
}
