package storage

import (
	"context"
	"strings"
	"time"
)

// Neighbours is what a run that reads other tenants' evidence has to know of each.
type Neighbours interface {
	// Look looks at a tenant, in one transaction of that tenant's. ErrNotFound when
	// the installation has no such tenant.
	Look(ctx context.Context, tenant string) (Outlook, error)
}

// Outlook is a tenant at a moment.
type Outlook struct {
	Now    time.Time // by the database's clock, which all processes share
	Active bool      // it may be used: not suspended
	Head   int64     // the last sequence of its ledger
	// Projects are those that have documents up to Head, "_" for documents without one; sorted.
	Projects []string
}

// ownSource is the source of shards of a run's own evidence; those of other
// tenants name tenant and project behind it.
const ownSource = "ledger"

// OwnSource is Shard.Source of a run's own evidence.
func OwnSource() string { return ownSource }

// ForeignSource is Shard.Source of the evidence of another tenant's project
// ("_" = none).
func ForeignSource(tenant, project string) string {
	return ownSource + "/" + tenant + "/" + project
}

// Holder is whose evidence a source is of; foreign is false for the run's own.
// Neither name can hold a slash.
func Holder(source string) (tenant, project string, foreign bool) {
	rest, foreign := strings.CutPrefix(source, ownSource+"/")
	if !foreign {
		return "", "", false
	}
	tenant, project, _ = strings.Cut(rest, "/")
	return tenant, project, true
}

// ListPrefix comes before the lines of documents in the hash of a shard of this
// source: nothing for a run's own, and else a line that no document has. So a shard
// of one tenant is never taken for a shard of another with the same documents.
func ListPrefix(source string) string {
	tenant, project, foreign := Holder(source)
	if !foreign {
		return ""
	}
	return tenant + "/" + project + "\n"
}
