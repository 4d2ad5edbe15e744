package config_test

import (
	"os"
	"path/filepath"
	"strings"
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
		{"no connections", strings.Replace(string(whole), "database:\n", "database:\n    connections: -1\n", 1), "database.connections"},
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

// Tokens that are bound to no key are taken on one machine only.
func TestDPoPIsRequiredAwayFromLoopback(t *testing.T) {
	yes, no := true, false
	tests := []struct {
		listen    string
		publicURL string
		setting   *bool
		required  bool
		err       string
	}{
		{"0.0.0.0:8480", "https://export.example", nil, true, ""},
		{"0.0.0.0:8480", "https://export.example/center", &yes, true, ""},
		{"0.0.0.0:8480", "https://export.example", &no, true, "auth.requireDPoP"},
		{"0.0.0.0:8480", "http://127.0.0.1.example", &no, true, "auth.requireDPoP"},
		{"127.0.0.1:8480", "http://127.0.0.1:8480", nil, false, ""},
		{"[::1]:8480", "http://[::1]:8480", &no, false, ""},
		{"localhost:8480", "http://localhost:8480", &yes, true, ""},
		{"0.0.0.0:8480", "http://127.0.0.1:8480", nil, true, "open to others"},
		{":8480", "http://127.0.0.1:8480", nil, true, "open to others"},
		{"0.0.0.0:8480", "http://127.0.0.1:8480", &no, false, ""},
		{"127.0.0.1:8480", "", &no, true, "publicURL"},
		{"127.0.0.1:8480", "export.example", nil, true, "publicURL"},
		{"127.0.0.1:8480", "https://user:secret@export.example", nil, true, "publicURL"},
	}
	for _, tt := range tests {
		c := config.Config{Listen: tt.listen, PublicURL: tt.publicURL, Auth: config.Auth{RequireDPoP: tt.setting}}
		required, err := c.DPoP()
		require.Equal(t, tt.required, required, tt.publicURL)
		if tt.err == "" {
			require.NoError(t, err, tt.publicURL)
		} else {
			require.ErrorContains(t, err, tt.err, tt.publicURL)
		}
	}
}
