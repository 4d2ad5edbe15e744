package policy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"time"
)

// BaselineID and BaselineName are those of the built-in policy snapshot, which
// decides when a run names none.
const (
	BaselineID   = "policy-baseline"
	BaselineName = "baseline"
)

//go:embed baseline/.manifest baseline/data.json baseline/decision.rego
var baseline embed.FS

// Baseline is the built-in pack. Its bytes, and so its digest, are the same in
// each build of this version: the entries in one order and form, not compressed.
func Baseline() ([]byte, error) {
	var out bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&out, gzip.NoCompression)
	if err != nil {
		return nil, fmt.Errorf("pack the baseline: %w", err)
	}
	archive := tar.NewWriter(zipped)
	for _, name := range []string{".manifest", "data.json", "decision.rego"} {
		content, err := baseline.ReadFile("baseline/" + name)
		if err != nil {
			return nil, fmt.Errorf("pack the baseline: %w", err)
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("pack the baseline: %w", err)
		}
		if _, err := archive.Write(content); err != nil {
			return nil, fmt.Errorf("pack the baseline: %w", err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("pack the baseline: %w", err)
	}
	if err := zipped.Close(); err != nil {
		return nil, fmt.Errorf("pack the baseline: %w", err)
	}
	return out.Bytes(), nil
}
