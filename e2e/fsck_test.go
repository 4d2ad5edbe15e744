package e2e

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// divergence is what `exportcenter fsck` names; docs/formats/fsck.md.
type divergence struct{ Kind, Tenant, Run, Subject, Message string }

func (d divergence) String() string {
	return fmt.Sprintf("%s: %s %s %s: %s", d.Kind, d.Tenant, d.Run, d.Subject, d.Message)
}

// divergences are what fsck names in a house at rest. It must be able to look at
// everything.
func (h *house) divergences(t testing.TB, more ...string) []divergence {
	t.Helper()
	args := append([]string{"fsck", "--data", h.dir, "--patience", "0s", "--format", "json"}, more...)
	var said strings.Builder
	cmd := exec.CommandContext(t.Context(), program(t, "exportcenter"), args...)
	cmd.Stderr = &said
	out, err := cmd.Output()
	var report struct {
		Status      string
		Divergences []divergence
	}
	require.NoError(t, json.Unmarshal(out, &report), "fsck: %v\n%s%s", err, out, &said)
	require.Contains(t, []string{"clean", "diverged"}, report.Status, "fsck looks at everything: %s", out)
	return report.Divergences
}

// cleanedUp are the kinds that a late attempt makes and cleans up behind itself.
// Nothing mends any other by waiting.
var cleanedUp = []string{"staged-left", "pin-left", "blob-deleting"}

// settles reports whether all that was found may be gone a moment later.
func settles(found []divergence) bool {
	return !slices.ContainsFunc(found, func(d divergence) bool { return !slices.Contains(cleanedUp, d.Kind) })
}

// notarisedWithin is how long the audit entries of a moment ago wait for their
// checkpoint: the notary comes by every 5 s.
const notarisedWithin = 15 * time.Second

// unsigned says that an audit record waits for the notary.
func unsigned(d divergence) bool { return d.Kind == "audit-unsigned" }

// fsck looks at a house at rest and must find nothing. What a late attempt still
// cleans up is given patience, and the notary his time.
func (h *house) fsck(t testing.TB, patience time.Duration, more ...string) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		found := h.divergences(t, more...)
		if len(found) == 0 {
			return
		}
		rest := slices.DeleteFunc(slices.Clone(found), unsigned)
		waiting := time.Since(begun) < patience
		if len(rest) == 0 {
			waiting = time.Since(begun) < max(patience, notarisedWithin)
		}
		if !settles(rest) || !waiting {
			t.Fatalf("fsck of a house at rest names %d divergences:\n%s", len(found), listed(found))
		}
	}
}

func listed(found []divergence) string {
	var lines strings.Builder
	for _, d := range found {
		fmt.Fprintln(&lines, d)
	}
	return lines.String()
}

// TestOnlyWhatIsCleanedUpIsWaitedFor: a divergence that nothing mends is one at
// once, also beside others that go away.
func TestOnlyWhatIsCleanedUpIsWaitedFor(t *testing.T) {
	require.True(t, settles([]divergence{{Kind: "staged-left"}, {Kind: "pin-left"}, {Kind: "blob-deleting"}}))
	require.False(t, settles([]divergence{{Kind: "staged-left"}, {Kind: "blob-unrecorded"}}))
}
