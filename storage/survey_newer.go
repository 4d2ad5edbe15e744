package storage

import (
	"time"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// Misfit is a way in which two tables do not fit.
type Misfit string

// The ways.
const (
	MisfitProfile            Misfit = "profile"             // a run's revision is not there
	MisfitRevisions          Misfit = "revisions"           // a profile's revisions do not count from 1
	MisfitPlan               Misfit = "plan"                // a last plan is of another moment than its run
	MisfitReportMissing      Misfit = "report missing"      // a run that has ended was not reported
	MisfitReport             Misfit = "report"              // a report is about no run, or says another end
	MisfitReportUntold       Misfit = "report untold"       // a report has no event
	MisfitNotice             Misfit = "notice"              // an event about no run differs from its row
	MisfitAttestationMissing Misfit = "attestation missing" // a bundle is not attested
	MisfitAttestation        Misfit = "attestation"         // an attestation is about something else
	MisfitSnapshot           Misfit = "policy snapshot"     // a run's policy snapshot is not there
)

// MisfitRecord is something that one table says of another and that is not so.
type MisfitRecord struct {
	Sort    Misfit
	Run     string // "" when it is about none
	Subject string
	Detail  string
}

// ChainRecord counts an audit record, all at one moment.
type ChainRecord struct {
	Head               audit.Link // where it ends, as its head has it
	Signed             int64      // the last entry with a checkpoint, as the head has it
	Count, First, Last int64      // of the entries
	// Unsigned is when the first entry behind Signed was made; zero without one.
	Unsigned time.Time
}

// DepartureRecord is how far a tenant's offboarding is.
type DepartureRecord struct {
	State export.TenantState
	// Begun and Changed are zero before anything was noted; Changed is when something
	// was last removed.
	Begun, Changed time.Time
	Record         []byte // the signed record, empty before the end
	// Left are tables in which a tenant that is offboarded still has rows.
	Left []string
}

// PackRecord is the pack of a policy snapshot.
type PackRecord struct {
	ID string
	// Digest is what was imported, Stored what is there.
	Digest, Stored bundle.Digest
}
