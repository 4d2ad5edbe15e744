package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/config"
)

func valid() config.Config {
	return config.Config{Listen: "127.0.0.1:0", PublicURL: "http://x", Database: config.Database{App: "a", Dispatch: "d"},
		Temporal: config.Temporal{Address: "t", Namespace: "n", TaskQueue: "q"}, Blobs: config.Blobs{Dir: "b"},
		Signing: config.Signing{Key: "k"}, Auth: config.Auth{Issuer: "i", Audience: "u", JWKS: "j"}}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	want := valid()
	require.NoError(t, want.Write(path))
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, tt := range []struct{ name, text, problem string }{
		{"what was written", string(whole), ""},
		{"a comment after it", string(whole) + "# the end\n", ""},
		{"marked as one document", "---\n" + string(whole) + "...\n", ""},
		{"a second document", string(whole) + "---\nblobs:\n  dir: elsewhere\n", "more than one YAML document"},
		{"the same again", string(whole) + "---\n" + string(whole), "more than one YAML document"},
		{"an empty second document", string(whole) + "---\n", "more than one YAML document"},
		{"a second document that is not YAML", string(whole) + "---\n\tx", "yaml:"},
		{"an unknown setting", string(whole) + "listne: x\n", "listne"},
		{"a setting given twice", string(whole) + "listen: x\n", "listen"},
		{"nothing", "", "listen is not set"},
		{"no slots", string(whole) + "exports:\n  activeRuns: -1\n", "exports.activeRuns"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(path, []byte(tt.text), 0o600))
			got, err := config.Load(path)
			if tt.problem == "" {
				require.NoError(t, err)
				require.Equal(t, want, got)
				return
			}
			require.ErrorContains(t, err, tt.problem)
			require.ErrorContains(t, err, path)
		})
	}
}
