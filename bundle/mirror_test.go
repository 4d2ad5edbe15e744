package bundle

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What a delta says that it changes is what it holds.
func TestADeltaCountsItsDocuments(t *testing.T) {
	end := func(generation int64) DeltaEnd {
		d := DigestOf([]byte{byte(generation)})
		return DeltaEnd{ExportID: "0195f000-0000-7000-8000-000000000001", Generation: generation, ManifestDigest: d, PayloadDigest: d, ContentRoot: d, ArchiveDigest: d, ArchiveBytes: 1}
	}
	said := Delta{Base: end(1), Target: end(2), Added: 1, Changed: 2, Removed: 3}
	m := Manifest{Mirror: &Mirror{Generation: 2}, Delta: &said, Contents: []Content{
		{Path: ShardPath("advisories", "", true), Records: 2}, {Path: ShardPath("vex", "", true), Records: 1},
		{Path: RemovedShardPath("advisories", "", true), Records: 3}, {Path: DeltaPath},
	}}
	m.Profile.Kind, m.Profile.Variant = "mirror", "delta"
	require.NoError(t, checkMirror(m))
	for name, spoil := range map[string]func(){
		"delta.added and delta.changed: 2 and 2": func() { said.Added++ },
		"delta.added and delta.changed: 1 and 1": func() { said.Changed-- },
		"delta.removed: 4":                       func() { said.Removed++ },
	} {
		before := said
		spoil()
		require.ErrorContains(t, checkMirror(m), name)
		said = before
	}
	said.Added, said.Changed = 2, 1
	require.NoError(t, checkMirror(m), "which is which only the base tells")
}
