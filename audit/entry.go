package audit

import (
	"bytes"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// EntrySchema names the form of an entry.
const EntrySchema = "https://stellaops.io/export-center/audit/v1"

// MaxLine is the most bytes an entry may have.
const MaxLine = 32 << 10

// Installation is whose chain has what belongs to no tenant: what those did who
// manage tenants, and the calls of strangers.
const Installation = export.Installation

// Event says what an entry is about.
type Event string

// A call that changes something has two entries: it is begun before anything is
// changed, and ended with what came of it. One that is begun and never ended
// was cut off with its process; what came of it is in the runs themselves.
const (
	CallBegun   Event = "call.begun"
	CallEnded   Event = "call.ended"
	CallRefused Event = "call.refused" // it was not let in, and changed nothing
	// TenantRead is in the records of both tenants, before a run of one of them reads
	// the evidence of the other.
	TenantRead Event = "tenant.read"
)

// Valid reports whether e is one of the events.
func (e Event) Valid() bool {
	return e == CallBegun || e == CallEnded || e == CallRefused || e == TenantRead
}

// Entry is one line of a tenant's record.
type Entry struct {
	Schema string `json:"schema"`
	Tenant string `json:"tenant"` // or Installation
	// Seq counts the tenant's entries from 1, without a gap.
	Seq int64 `json:"seq"`
	// Previous is the hash of the entry before (Hash), or Genesis.
	Previous bundle.Digest `json:"previous"`
	At       time.Time     `json:"at"` // of the server that took the call, in UTC, microseconds
	Event    Event         `json:"event"`
	// RequestID is the same in the two entries of one call.
	RequestID string `json:"requestId"`
	TraceID   string `json:"traceId"`
	Subject   string `json:"subject"` // of the token, "" when there was no valid one
	// Of is, in the installation's record, the offboarded tenant of the token: its own
	// record is gone.
	Of        string `json:"of,omitempty"`
	Project   string `json:"project,omitempty"`
	Operation string `json:"operation"` // operationId of the API's document, "" for an unknown path
	Method    string `json:"method"`
	// Path is the address without its query, "" when nobody had proved who asked.
	Path string `json:"path,omitempty"`
	// Reason and Ticket are what the caller gave as X-Stella-Reason and -Ticket.
	Reason string `json:"reason,omitempty"`
	Ticket string `json:"ticket,omitempty"`
	// Status and Code are the answer: 0 and "" in an entry that has begun.
	Status int    `json:"status,omitempty"`
	Code   string `json:"code,omitempty"`
	// Count is how many calls an entry stands for that nobody had proved to be
	// his: those are counted together, or a stranger could fill the disk.
	Count int64 `json:"count,omitempty"`
	// Reading is of an entry TenantRead.
	Reading *Reading `json:"reading,omitempty"`
}

// Reading is who reads whose evidence, and what lets him.
type Reading struct {
	Reader  string `json:"reader"`            // the tenant whose run it is
	Tenant  string `json:"tenant"`            // the tenant whose evidence is read
	Project string `json:"project,omitempty"` // of it, "_" = documents without one; "" = all
	Profile string `json:"profile"`           // of the reader's, by name
	RunID   string `json:"runId,omitempty"`
	// Approver let it be read until ExpiresAt, by an envelope with the digest Approval.
	Approver  string        `json:"approver"`
	ExpiresAt time.Time     `json:"expiresAt"`
	Approval  bundle.Digest `json:"approval"`
	DryRun    bool          `json:"dryRun,omitempty"` // it was only counted
}

// Genesis is what the first entry of a tenant names as the one before it.
func Genesis(tenant string) bundle.Digest {
	return bundle.DigestOf([]byte("stellaops.audit.v1\n" + tenant))
}

// Encode gives the line of e: canonical JSON (RFC 8785) without a line feed.
func (e Entry) Encode() ([]byte, error) {
	e.At = e.At.UTC().Truncate(time.Microsecond)
	line, err := bundle.MarshalCanonical(e)
	if err != nil {
		return nil, fmt.Errorf("write audit entry: %w", err)
	}
	if len(line) > MaxLine {
		return nil, fmt.Errorf("write audit entry: %d bytes, at most %d are allowed", len(line), MaxLine)
	}
	return line, nil
}

// Hash is what the next entry names as the one before it: SHA-256 of the line.
func Hash(line []byte) bundle.Digest { return bundle.DigestOf(line) }

// errNotCanonical: somebody else would hash other bytes.
var errNotCanonical = errors.New("it is not in canonical form")

// Decode reads the line of an entry. It accepts what Encode writes and nothing
// else.
func Decode(line []byte) (Entry, error) {
	var e Entry
	if len(line) > MaxLine {
		return e, fmt.Errorf("it has more than %d bytes", MaxLine)
	}
	if err := bundle.UnmarshalStrict(line, &e); err != nil {
		return e, err
	}
	if again, err := e.Encode(); err != nil || !bytes.Equal(again, line) {
		return e, errors.Join(errNotCanonical, err)
	}
	return e, e.check()
}

func (e Entry) check() error {
	switch {
	case e.Schema != EntrySchema:
		return fmt.Errorf("its schema is %.80q, want %s", e.Schema, EntrySchema)
	case !ValidChain(e.Tenant):
		return fmt.Errorf("%.80q is not a tenant", e.Tenant)
	case e.Seq < 1:
		return fmt.Errorf("its number is %d", e.Seq)
	case !e.Event.Valid():
		return fmt.Errorf("%.40q is not an event", e.Event)
	case (e.Event == TenantRead) != (e.Reading != nil):
		return fmt.Errorf("an entry %s, and no other, says who reads whom", TenantRead)
	case e.At.IsZero():
		return errors.New("it has no time")
	}
	return nil
}

// ValidChain reports whether name has a chain: a tenant's name, or Installation.
func ValidChain(name string) bool { return name == Installation || export.ValidTenant(name) }

// Clip makes text of a caller's fit into an entry: valid UTF-8 of at most limit bytes.
func Clip(text string, limit int) string {
	if !utf8.ValidString(text) {
		text = string(bytes.ToValidUTF8([]byte(text), []byte("?")))
	}
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
