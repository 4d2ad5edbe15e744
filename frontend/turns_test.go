package frontend

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// However many calls a tenant makes, another one gets a place at once.
func TestTurnsAreSharedByTenants(t *testing.T) {
	turns := newTurns(2)
	noisy, err := turns.take(t.Context(), "noisy")
	require.NoError(t, err)
	waited := make(chan func())
	for range 5 {
		go func() {
			done, err := turns.take(t.Context(), "noisy")
			if err != nil {
				t.Error(err)
			}
			waited <- done
		}()
	}
	brief, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = turns.take(brief, "noisy")
	require.Error(t, err)
	quiet, err := turns.take(t.Context(), "quiet")
	require.NoError(t, err)
	brief, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = turns.take(brief, "third")
	require.Error(t, err, "there are two places")
	quiet()
	noisy()
	for range 5 {
		(<-waited)()
	}
	require.Empty(t, turns.tenants)
	require.Empty(t, turns.places)
}
