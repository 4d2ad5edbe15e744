package offboarding

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// MaxLine is the most bytes a run's line may have; one has about 300.
const MaxLine = 4 << 10

// Run is what is kept of a run: enough to tell whether a bundle that somebody has
// came from this tenant.
type Run struct {
	ID          string       `json:"id"`
	State       export.State `json:"state"`
	RequestedAt time.Time    `json:"requestedAt"`
	// Manifest and Archive are digests "sha256:<hex>", absent without a bundle.
	Manifest string `json:"manifest,omitempty"`
	Archive  string `json:"archive,omitempty"`
}

// Line is the run as canonical JSON, without a line feed.
func (r Run) Line() ([]byte, error) {
	r.RequestedAt = r.RequestedAt.UTC().Truncate(time.Second)
	line, err := bundle.MarshalCanonical(r)
	if err != nil {
		return nil, fmt.Errorf("write run %s: %w", r.ID, err)
	}
	return line, nil
}

// parseRun reads what Line writes and nothing else.
func parseRun(line []byte) (Run, error) {
	var r Run
	if err := bundle.UnmarshalStrict(line, &r); err != nil {
		return r, err
	}
	if again, err := r.Line(); err != nil || !bytes.Equal(again, line) {
		return r, errors.Join(errNotCanonical, err)
	}
	if !export.ValidRunID(r.ID) {
		return r, fmt.Errorf("%.80q is not a run id", r.ID)
	}
	return r, nil
}
