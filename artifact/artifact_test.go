package artifact_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/artifact"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/jsonobject"
)

const (
	head = `{"format":"stellaops.gav-list/v1","artifacts":[`
	one  = `{"sha1":"DA39A3EE5E6B4B0D3255BFEF95601890AFD80709","groupId":"org.example","artifactId":"lib","version":"1.0"}`
)

func each(raw []byte) (all []artifact.Artifact, err error) {
	doc, err := jsonobject.Parse("", raw)
	if err != nil {
		return nil, err
	}
	err = artifact.Each(doc, func(a artifact.Artifact) error { all = append(all, a); return nil })
	return all, err
}

func TestEach(t *testing.T) {
	all, err := each([]byte(head + one + `,` + strings.Replace(one, `"version"`, `"archiveType":"aar","version"`, 1) + `]}`))
	require.NoError(t, err)
	want := artifact.Artifact{SHA1: "da39a3ee5e6b4b0d3255bfef95601890afd80709", Coordinates: artifact.Coordinates{GroupID: "org.example", ArtifactID: "lib", Version: "1.0", Type: "jar"}}
	aar := want
	aar.Type = "aar"
	require.Equal(t, []artifact.Artifact{want, aar}, all)
	all, err = each([]byte(head + `]}`))
	require.NoError(t, err)
	require.Empty(t, all)
}

func TestTheMemberAtFaultIsNamed(t *testing.T) {
	for doc, want := range map[string]string{
		`{}`:                                 "format is missing",
		`{"format":"stellaops.gav-list/v2"}`: "format",
		`{"format":"stellaops.gav-list/v1"}`: "artifacts is missing",
		head + `1]}`:                         "artifacts[0] is not an object",
		head + `{}]}`:                        "artifacts[0].sha1 is missing",
		head + one + `,{"sha1":"00"}]}`:      "artifacts[1].sha1",
		head + strings.Replace(one, `"lib"`, `""`, 1) + `]}`:                                "artifacts[0].artifactId is missing",
		head + strings.Replace(one, `"lib"`, `"a\tb"`, 1) + `]}`:                            "artifacts[0].artifactId",
		head + strings.Replace(one, `"lib"`, `"`+strings.Repeat("x", 300)+`"`, 1) + `]}`:    "artifacts[0].artifactId",
		head + strings.Replace(one, `"version"`, `"archiveType":"war","version"`, 1) + `]}`: "artifacts[0].archiveType",
		head + strings.Repeat(one+",", 20_000) + one + `]}`:                                 "at most 20000",
	} {
		_, err := each([]byte(doc))
		require.ErrorContains(t, err, want, "%.200s", doc)
		require.Less(t, len(err.Error()), 300)
	}
}

func FuzzEach(f *testing.F) {
	f.Add([]byte(head + one + `]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _ = each(raw) // whatever it is, it does not panic
		canonical, err := bundle.Canonical(raw)
		if err != nil {
			return
		}
		all, err := each(canonical)
		if err != nil {
			return
		}
		for _, a := range all {
			require.True(t, artifact.IsSHA1(a.SHA1))
			require.True(t, a.Valid())
			require.NotContains(t, a.GroupID+a.ArtifactID+a.Version, "\t")
		}
	})
}
