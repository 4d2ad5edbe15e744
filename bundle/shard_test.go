package bundle_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
)

func TestShardVectors(t *testing.T) {
	var v struct {
		Cuts []struct {
			Key   string
			Bytes int64
			Cut   bool
		}
		ManyCuts struct{ Bytes, Count int64 }
		Paths    []struct {
			Type, Key, Path string
			First           bool
		}
	}
	vectors(t, "shards.json", &v)
	require.NotEmpty(t, v.Cuts)
	for _, c := range v.Cuts {
		require.Equal(t, c.Cut, bundle.CutBefore([]byte(c.Key), c.Bytes), "%.40q of %d bytes", c.Key, c.Bytes)
	}
	count := int64(0)
	for i := range 2000 {
		if bundle.CutBefore(fmt.Appendf(nil, "GO-2026-%04d", i), v.ManyCuts.Bytes) {
			count++
		}
	}
	require.Equal(t, v.ManyCuts.Count, count)
	require.NotEmpty(t, v.Paths)
	for _, p := range v.Paths {
		require.Equal(t, p.Path, bundle.ShardPath(p.Type, p.Key, p.First))
		require.NoError(t, bundle.CheckPath(p.Path))
	}
}

// TestCutBeforeMeanSize: shards of documents of any size come out near the target.
func TestCutBeforeMeanSize(t *testing.T) {
	for _, size := range []int64{200, 1600, 50_000, 600_000} {
		cuts, documents := int64(0), 400*bundle.ShardTarget/size
		for i := range documents {
			if bundle.CutBefore(fmt.Appendf(nil, "%d/%d", size, i), size) {
				cuts++
			}
		}
		require.InDelta(t, 400, cuts, 80, "documents of %d bytes", size)
	}
	require.True(t, bundle.CutBefore([]byte("any"), bundle.ShardTarget))
	require.True(t, bundle.CutBefore([]byte("any"), 1<<62))
	require.False(t, bundle.CutBefore([]byte("any"), 0))
	require.False(t, bundle.CutBefore([]byte("any"), -1))
}

func TestDigestVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			Name                     string
			Contents                 []bundle.Content
			PayloadDigest, RerunHash bundle.Digest
		}
	}
	vectors(t, "digests.json", &v)
	require.NotEmpty(t, v.Cases)
	for _, c := range v.Cases {
		t.Run(c.Name, func(t *testing.T) {
			require.Equal(t, c.PayloadDigest.String(), bundle.PayloadDigest(c.Contents).String())
			require.Equal(t, c.RerunHash.String(), bundle.RerunHash(c.Contents).String())
		})
	}
}

func ExamplePayloadDigest() {
	fmt.Println(bundle.PayloadDigest([]bundle.Content{
		{Path: "data/raw/vex-0000000000000000.jsonl.zst", Digest: bundle.DigestOf([]byte("two"))},
		{Path: "data/raw/advisories-0000000000000000.jsonl.zst", Digest: bundle.DigestOf([]byte("one"))},
	}))
	// Output: sha256:fb2194180bf1cd3bedcb919552df50fae73bd1da1c332e292db543ebe64de872
}
