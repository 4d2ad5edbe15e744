package policy

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
)

// Recorded is what a bundle has: the evidence, and what was decided about it.
// Whoever gives it has verified the bundle.
type Recorded struct {
	Evidence []File
	// Paths are those of all files that decisions are in, sorted: the pack, the
	// snapshot, findings and decision traces.
	Paths []string
	// Open gives the content of one of them: lines uncompressed.
	Open func(ctx context.Context, path string) (io.ReadCloser, error)
}

// Replayed is what came of deciding again.
type Replayed struct {
	Same          bool          `json:"same"`
	SnapshotID    string        `json:"snapshotId"`
	PolicyVersion string        `json:"policyVersion"`
	PackDigest    bundle.Digest `json:"packDigest"`
	InputsHash    bundle.Digest `json:"inputsHash"`
	DecisionTrace bundle.Digest `json:"decisionTrace"`
	Findings      int64         `json:"findings"`
	// Recorded and Now are the engines. They may differ: then the decisions are
	// compared nevertheless.
	Recorded Engine `json:"recordedEngine"`
	Now      Engine `json:"engine"`
	// Difference is the first one; nil when the same came out.
	Difference *Difference `json:"difference,omitempty"`
}

// Difference is the first place where the bundle has other than came out.
type Difference struct {
	Path string `json:"path"`
	// Line counts from 1; 0 when the whole file is meant.
	Line int `json:"line,omitempty"`
	// Finding is the id of the finding that the recorded line is about, else of
	// the replayed one; "" in other files.
	Finding string `json:"finding,omitempty"`
	Message string `json:"message"`
}

// maxDocument bounds pack and snapshot.
const maxDocument = 8 << 20

// Replay decides again, by the pack and about the evidence of a bundle, in an
// empty directory, and compares what comes out with what the bundle has, byte by
// byte. An error means that it could not be decided again or compared.
func Replay(ctx context.Context, r Recorded, scratch string, memory int) (Replayed, error) {
	return replay(ctx, r, scratch, memory, documentReaders())
}

func replay(ctx context.Context, r Recorded, scratch string, memory int, read readers) (Replayed, error) {
	pack, err := r.document(ctx, bundle.PolicyPackPath)
	if err != nil {
		return Replayed{}, err
	}
	raw, err := r.document(ctx, bundle.PolicySnapshotPath)
	if err != nil {
		return Replayed{}, err
	}
	var recorded Snapshot
	if err := bundle.UnmarshalStrict(raw, &recorded); err != nil {
		return Replayed{}, fmt.Errorf("%s: %w", bundle.PolicySnapshotPath, err)
	}
	if recorded.Schema != SnapshotSchema {
		return Replayed{}, fmt.Errorf("%s: schema is %.200q, this program knows %s; take the version that made the bundle (%s)",
			bundle.PolicySnapshotPath, recorded.Schema, SnapshotSchema, recorded.Engine.Evaluator)
	}
	sorting, made := filepath.Join(scratch, "sort"), filepath.Join(scratch, "made")
	for _, dir := range []string{sorting, made} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return Replayed{}, err
		}
	}
	in := Input{Files: r.Evidence, Pack: pack, SnapshotID: recorded.SnapshotID, Name: recorded.Name, Engine: recorded.Engine.Name, Scratch: sorting, Memory: memory}
	out := &folder{dir: made}
	result, err := evaluate(ctx, in, out, read)
	if err != nil {
		return Replayed{}, fmt.Errorf("decide again: %w", err)
	}
	again := result.Snapshot
	report := Replayed{
		SnapshotID: again.SnapshotID, PolicyVersion: again.PolicyVersion, PackDigest: again.PackDigest, InputsHash: again.InputsHash,
		DecisionTrace: again.DecisionTrace, Findings: again.Counts.Findings, Recorded: recorded.Engine, Now: again.Engine,
	}
	report.Difference, err = r.compare(ctx, out, again, raw)
	report.Same = report.Difference == nil
	return report, err
}

// document reads a small file.
func (r Recorded) document(ctx context.Context, path string) (content []byte, err error) {
	file, err := r.Open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	content, err = io.ReadAll(io.LimitReader(file, maxDocument+1))
	if err == nil && len(content) > maxDocument {
		err = fmt.Errorf("%s has more than %d bytes", path, maxDocument)
	}
	return content, err
}

// compare gives the first difference: decisions before their summary, since a
// finding says more than a count.
func (r Recorded) compare(ctx context.Context, out *folder, again Snapshot, snapshot []byte) (*Difference, error) {
	made := out.sorted()
	for _, path := range made {
		if !slices.Contains(r.Paths, path) {
			return &Difference{Path: path, Message: "came out, but the bundle does not have it"}, nil
		}
	}
	for _, path := range r.Paths {
		if path == bundle.PolicySnapshotPath || path == bundle.PolicyPackPath {
			continue // the pack is what was decided by
		}
		if !slices.Contains(made, path) {
			return &Difference{Path: path, Message: "is in the bundle, but did not come out"}, nil
		}
		if d, err := r.compareLines(ctx, out, path); d != nil || err != nil {
			return d, err
		}
	}
	var recorded Snapshot
	if err := bundle.UnmarshalStrict(snapshot, &recorded); err != nil {
		return nil, err
	}
	again.Engine = recorded.Engine // another engine that decides the same is the same
	raw, err := bundle.MarshalCanonical(again)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(raw, snapshot) {
		return &Difference{Path: bundle.PolicySnapshotPath, Message: fmt.Sprintf("is %.2000s in the bundle, but %.2000s came out", snapshot, raw)}, nil
	}
	return nil, nil
}

func (r Recorded) compareLines(ctx context.Context, out *folder, path string) (d *Difference, err error) {
	recorded, err := r.Open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, recorded.Close()) }()
	made, err := os.Open(out.file(path))
	if err != nil {
		return nil, err
	}
	defer made.Close() //nolint:errcheck // read only
	left, right := bufio.NewReaderSize(recorded, 64<<10), bufio.NewReaderSize(made, 64<<10)
	var was, is []byte
	for number := 1; ; number++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var wasEnd, isEnd bool
		if was, wasEnd, err = nextLine(left, was); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, number, err)
		}
		if is, isEnd, err = nextLine(right, is); err != nil {
			return nil, err
		}
		switch {
		case wasEnd && isEnd:
			return nil, nil
		case !bytes.Equal(was, is) || wasEnd != isEnd:
			return &Difference{Path: path, Line: number, Finding: findingOf(was, is), Message: differ(was, is)}, nil
		}
	}
}

func nextLine(r *bufio.Reader, buffer []byte) (line []byte, end bool, err error) {
	line, err = readLine(r, buffer[:0])
	if errors.Is(err, io.EOF) {
		return nil, true, nil
	}
	return line, false, err
}

// findingOf is the id that one of the lines has.
func findingOf(lines ...[]byte) string {
	for _, line := range lines {
		var of struct {
			ID        string `json:"id"`
			FindingID string `json:"findingId"`
		}
		if json.Unmarshal(line, &of) == nil && of.ID+of.FindingID != "" {
			return of.ID + of.FindingID
		}
	}
	return ""
}

// differ says in which part two lines differ, with a little of what is around.
func differ(was, is []byte) string {
	switch {
	case len(was) == 0:
		return fmt.Sprintf("ends in the bundle, where %.300q came out", is)
	case len(is) == 0:
		return fmt.Sprintf("has %.300q in the bundle, where nothing more came out", was)
	}
	at := 0
	for at < min(len(was), len(is)) && was[at] == is[at] {
		at++
	}
	from := max(0, at-60)
	return fmt.Sprintf("differs at byte %d: %.200q in the bundle, %.200q came out", at+1, was[from:], is[from:])
}

// folder is an Output that writes plain files.
type folder struct {
	dir   string
	paths []string
}

// file is where a path's content is. Paths of package bundle have no name twice.
func (f *folder) file(path string) string {
	return filepath.Join(f.dir, strings.ReplaceAll(path, "/", "_"))
}

func (f *folder) sorted() []string {
	slices.Sort(f.paths)
	return f.paths
}

func (f *folder) Document(_ context.Context, path string, content []byte, _ int64) error {
	if err := bundle.CheckPath(path); err != nil {
		return err
	}
	f.paths = append(f.paths, path)
	return os.WriteFile(f.file(path), content, 0o600)
}

func (f *folder) Lines(_ context.Context, path string) (Lines, error) {
	if err := bundle.CheckPath(path); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(f.file(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	f.paths = append(f.paths, path)
	return &folderLines{file: file, out: bufio.NewWriter(file)}, nil
}

type folderLines struct {
	file *os.File
	out  *bufio.Writer
}

func (l *folderLines) WriteLine(parts ...[]byte) error {
	for _, part := range parts {
		if _, err := l.out.Write(part); err != nil {
			return err
		}
	}
	return l.out.WriteByte('\n')
}

func (l *folderLines) Close() error { return errors.Join(l.out.Flush(), l.file.Close()) }
