package cvss_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/cvss"
)

func TestScores(t *testing.T) {
	for vector, want := range map[string]struct {
		version, word string
		score         float64
	}{
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H":                    {"3.1", "critical", 9.8},
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:U/RL:O/RC:U/":     {"3.1", "critical", 9.8},
		"CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N":                    {"3.0", "medium", 6.1},
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N":                    {"3.1", "none", 0},
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N": {"4.0", "critical", 9.3},
		"AV:N/AC:L/Au:N/C:C/I:C/A:C":                                      {"2.0", "high", 10},
		"(AV:N/AC:L/Au:N/C:P/I:N/A:N)":                                    {"2.0", "medium", 5},
		"AV:L/AC:H/Au:N/C:P/I:N/A:N":                                      {"2.0", "low", 1.2},
	} {
		version, score, err := cvss.Score(vector)
		require.NoError(t, err, vector)
		require.Equal(t, want.version, version, vector)
		require.InDelta(t, want.score, score, 0.001, vector)
		require.Equal(t, want.word, cvss.Rate(version, score), vector)
	}
	for _, vector := range []string{"", "high", "7.5", "CVSS:3.1/AV:N", "CVSS:9.9/AV:N/AC:L", strings.Repeat("A", 1<<20)} {
		_, _, err := cvss.Score(vector)
		require.ErrorIs(t, err, cvss.ErrVector, "%.40q", vector)
	}
}

func TestWords(t *testing.T) {
	for word, want := range map[string]string{"HIGH": "high", "Moderate": "medium", "important": "high", "none": "none", "unknown": "", "": "", "critical, or nearly so": ""} {
		require.Equal(t, want, cvss.Word(word), word)
	}
}

func FuzzScore(f *testing.F) {
	for _, vector := range []string{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "CVSS:4.0/AV:N", "(AV:N/AC:L/Au:N/C:P/I:N/A:N)", "CVSS:3.0/"} {
		f.Add(vector)
	}
	f.Fuzz(func(t *testing.T, vector string) {
		version, score, err := cvss.Score(vector)
		if err != nil {
			require.ErrorIs(t, err, cvss.ErrVector)
			return
		}
		require.True(t, score >= 0 && score <= 10, "%s %f", version, score)
		require.Equal(t, cvss.Word(cvss.Rate(version, score)), cvss.Rate(version, score))
	})
}
