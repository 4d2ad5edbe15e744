package storage

import (
	"context"

	"github.com/stella-ops/exportcenter/export"
)

// Notices puts events about no run in the outbox.
type Notices interface {
	// Notice records n, once: one with its id that is there already stays.
	Notice(ctx context.Context, n export.Notice) error
}
