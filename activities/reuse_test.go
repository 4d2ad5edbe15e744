package activities

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// newer is an adapter whose lines have another form.
type newer struct{ adapters.Adapter }

func (newer) Version() string { return "another" }

type otherKind struct{ adapters.Adapter }

func (otherKind) Profile() (kind, variant string) { return "json", "other" }

// What was packed under other rules is not taken over: whatever a shard's bytes
// depend on besides its documents is in the recipe.
func TestARecipeNamesAllThatShardsDependOn(t *testing.T) {
	plain := export.Run{Kind: "json", Variant: "raw"}
	redacted, redactedOther, project := plain, plain, plain
	redacted.Options.Redaction = &export.Redaction{PolicyID: "p", Allow: map[string][]string{"advisory": {"id"}}}
	redactedOther.Options.Redaction = &export.Redaction{PolicyID: "p", Allow: map[string][]string{"advisory": {"id", "summary"}}}
	project.Project = "alpha"
	seen := map[bundle.Digest]bool{}
	for _, run := range []export.Run{plain, redacted, redactedOther, project} {
		for _, adapter := range []adapters.Adapter{jsonraw.Adapter{}, newer{jsonraw.Adapter{}}, otherKind{jsonraw.Adapter{}}} {
			recipe, err := recipeOf(run, adapter)
			require.NoError(t, err)
			require.False(t, seen[recipe], "%+v of version %s", run, adapter.Version())
			seen[recipe] = true
			again, err := recipeOf(run, adapter)
			require.NoError(t, err)
			require.Equal(t, recipe, again)
		}
	}
	later := plain
	later.ID, later.AsOf = "0190c0de-0000-7000-8000-000000000002", 7
	first, err := recipeOf(plain, jsonraw.Adapter{})
	require.NoError(t, err)
	second, err := recipeOf(later, jsonraw.Adapter{})
	require.NoError(t, err)
	require.Equal(t, first, second, "which run it is does not matter")
}
