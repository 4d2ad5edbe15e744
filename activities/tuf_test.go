package activities

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/tuf"
)

// A mirror that waited until its metadata was over is not published; one that is built
// again is compared, however old it is.
func TestMetadataThatIsOverIsNotPublished(t *testing.T) {
	asked := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now := asked
	end := func(after time.Duration) string { return asked.Add(after).Format(time.RFC3339) }
	v := tuf.Verified{Chain: tuf.Chain{{Signed: tuf.Root{Expires: end(1000 * time.Hour)}}}}
	v.Targets.Signed.Expires, v.Snapshot.Signed.Expires, v.Timestamp.Signed.Expires = end(300*time.Hour), end(300*time.Hour), end(24*time.Hour)
	s := &sealing{Export: &Export{Clock: func() time.Time { return now }}}
	require.NoError(t, s.stillGood(v))
	now = asked.Add(25 * time.Hour)
	err := s.stillGood(v)
	require.ErrorIs(t, err, tuf.ErrExpired)
	require.Equal(t, export.CodeSigning, export.CodeOf(err))
	require.False(t, export.ClassOf(err).Retryable())
	require.ErrorContains(t, err, "ask for a new mirror")
	s.again = true
	require.NoError(t, s.stillGood(v))
}

// A run of a mirror replaces nothing that was published, and is held against nothing.
func TestTheRunOfAMirrorIsHeldAgainstNothing(t *testing.T) {
	run := export.Run{}
	run.Options.MirrorRunID = "m"
	last := export.Run{ID: "before"}
	e := &Export{Execution: &guardHouse{last: &last}}
	_, err := e.published(t.Context(), run)
	require.Error(t, err)
	run.Options.MirrorRunID = ""
	got, err := e.published(t.Context(), run)
	require.NoError(t, err)
	require.Equal(t, last, got)
}
