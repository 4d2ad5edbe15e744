// Package rebuild compares a bundle that was built again with the one that is there,
// entry by entry and byte by byte, and says where they part and what that means
// (docs/rebuild.md).
//
// Bundles may be larger than memory: entries are streamed, and of lines one is held.
package rebuild

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// Entry is an entry of a bundle, or a segment of entries.
type Entry struct {
	Path   string
	Digest bundle.Digest // of the stored bytes
	Size   int64
	// ContentDigest is of a payload file's content; zero of other entries.
	ContentDigest bundle.Digest
	Payload       bool
	// Segment: the bytes are many entries, as they stand in an archive; Path is the first.
	Segment bool
	// Open gives the stored bytes; nil where they are gone.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// Side is a bundle.
type Side struct {
	Entries []Entry
	// Manifest is the bundle's, encoded; nil where its bytes are gone.
	Manifest []byte
}

// Compare compares what is recorded with what was built again. Signatures are compared
// as far as both sides have them: leave them out of both to compare none.
func Compare(ctx context.Context, recorded, again Side) (export.Rebuilt, error) {
	report := export.Rebuilt{Verdict: export.RebuildIdentical}
	pairs := pairsOf(recorded.Entries, again.Entries)
	var first *pair
	for i := range pairs {
		p := &pairs[i]
		if p.recorded != nil {
			report.Files++
			report.Bytes += p.recorded.Size
		}
		if !p.same() && first == nil {
			first = p
		}
	}
	if err := tools(&report, recorded.Manifest, again.Manifest); err != nil {
		return report, err
	}
	if first == nil {
		return report, nil
	}
	verdict, err := verdictOf(ctx, pairs, recorded.Manifest, again.Manifest)
	if err != nil {
		return report, err
	}
	report.Verdict = verdict
	where, err := first.difference(ctx)
	report.First = &where
	return report, err
}

// pair is an entry on both sides; nil where one has none.
type pair struct{ recorded, again *Entry }

func (p pair) path() string {
	if p.recorded != nil {
		return p.recorded.Path
	}
	return p.again.Path
}

func (p pair) same() bool {
	return p.recorded != nil && p.again != nil && p.recorded.Digest == p.again.Digest && p.recorded.Size == p.again.Size
}

// pairsOf puts what others follow from first: the payload, then what describes it, each
// in archive order. README.md and checksums.txt, which stand in front of an archive,
// only repeat what is said behind them.
func pairsOf(recorded, again []Entry) []pair {
	at := map[string]int{}
	var pairs []pair
	for i := range recorded {
		at[recorded[i].Path] = len(pairs)
		pairs = append(pairs, pair{recorded: &recorded[i]})
	}
	for i := range again {
		if n, there := at[again[i].Path]; there {
			pairs[n].again = &again[i]
		} else {
			pairs = append(pairs, pair{again: &again[i]})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		x, y := rank(a), rank(b)
		switch {
		case x != y:
			return x - y
		case bundle.PathBefore(a.path(), b.path()):
			return -1
		case a.path() == b.path():
			return 0
		}
		return 1
	})
	return pairs
}

// What else follows from an entry: from a payload file all, from checksums nothing.
const (
	rankPayload = iota
	rankManifest
	rankOther
	rankPage
	rankSignature
	rankChecksums
)

// rank is how much else follows from an entry.
func rank(p pair) int {
	switch {
	case p.recorded != nil && p.recorded.Payload, p.again != nil && p.again.Payload, bundle.IsOriginal(p.path()):
		return rankPayload
	case p.path() == bundle.ManifestPath:
		return rankManifest
	case p.path() == bundle.ReadmePath, p.path() == bundle.GuidePath:
		return rankPage
	case p.path() == bundle.ChecksumsPath:
		return rankChecksums
	case bundle.IsSignature(p.path()):
		return rankSignature
	}
	return rankOther
}

// tools reads what built each side.
func tools(report *export.Rebuilt, recorded, again []byte) error {
	for _, side := range []struct {
		raw []byte
		to  *export.RebuildTool
	}{{recorded, &report.Recorded}, {again, &report.Now}} {
		if side.raw == nil {
			continue
		}
		m, err := bundle.ParseManifest(side.raw)
		if err != nil {
			return fmt.Errorf("compare bundles: %w", err)
		}
		c := m.Compression
		*side.to = export.RebuildTool{Version: m.Tool.Version, Encoder: c.Encoder + ", level " + c.Level + ", " + c.Frames}
	}
	return nil
}

// verdictOf says what the differences of two bundles mean, of which there are some.
func verdictOf(ctx context.Context, pairs []pair, recorded, again []byte) (export.RebuildVerdict, error) {
	verdict := export.RebuildVersion
	for _, p := range pairs {
		if rank(p) > rankPayload || p.same() {
			continue
		}
		if p.recorded == nil || p.again == nil || p.recorded.ContentDigest != p.again.ContentDigest || p.recorded.ContentDigest.IsZero() {
			return export.RebuildDiffers, nil
		}
		verdict = export.RebuildEncoder
	}
	if recorded == nil || again == nil {
		return export.RebuildDiffers, nil
	}
	same, err := sameButTools(recorded, again)
	if err != nil {
		return "", err
	}
	if !same {
		return export.RebuildDiffers, nil
	}
	there, err1 := bundle.ParseManifest(recorded)
	here, err2 := bundle.ParseManifest(again)
	if err := errors.Join(err1, err2); err != nil {
		return "", fmt.Errorf("compare manifests: %w", err)
	}
	for _, p := range pairs {
		if rank(p) == rankPayload || p.same() {
			continue
		}
		if same, err := p.describesTheSame(ctx, there, here); err != nil || !same {
			return export.RebuildDiffers, err
		}
	}
	return verdict, nil
}

// sameButTools reports whether two manifests differ in nothing but what follows from
// the programs that wrote them: their versions, the encoder, and the digests and sizes
// of compressed files. Two that do not differ at all are not: then it is something else.
func sameButTools(recorded, again []byte) (bool, error) {
	if bytes.Equal(recorded, again) {
		return false, nil
	}
	var plain [2][]byte
	for i, raw := range [][]byte{recorded, again} {
		m, err := bundle.ParseManifest(raw)
		if err != nil {
			return false, fmt.Errorf("compare manifests: %w", err)
		}
		m.Tool, m.Compression = bundle.Tool{}, bundle.Compression{}
		m.PayloadDigest, m.RerunHash, m.Counts.Bytes = bundle.Digest{}, bundle.Digest{}, 0
		m.Contents = slices.Clone(m.Contents)
		for n := range m.Contents {
			c := &m.Contents[n]
			c.Digest, c.Bytes, c.Encoder = bundle.Digest{}, 0, ""
		}
		if plain[i], err = bundle.MarshalCanonical(m); err != nil {
			return false, fmt.Errorf("compare manifests: %w", err)
		}
	}
	return bytes.Equal(plain[0], plain[1]), nil
}
