package box

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

// compose is as much of docker-compose.yml as the tests look at.
type compose struct {
	Services map[string]struct {
		Command     []string
		Ports       []string
		Environment map[string]string
		Healthcheck *struct{ Test []string }
		Restart     string
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	}
	Configs map[string]struct{ Content string }
}

var (
	variable = regexp.MustCompile(`\$\{[^}]*\}`)
	required = regexp.MustCompile(`^\$\{[A-Z]+_PASSWORD:\?run deploy/compose/secrets\.sh first\}$`)
)

// readCompose reads the file the way compose does: variables first.
func readCompose(t *testing.T) (compose, string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(testkit.Root(t), "docker-compose.yml"))
	require.NoError(t, err)
	var c compose
	require.NoError(t, yaml.Unmarshal(variable.ReplaceAll(raw, []byte("s3cret")), &c))
	return c, string(raw)
}

func TestComposeHasNoDefaultPasswords(t *testing.T) {
	_, raw := readCompose(t)
	found := variable.FindAllString(raw, -1)
	require.NotEmpty(t, found)
	for _, v := range found {
		require.Regexp(t, required, v)
	}
}

func TestComposePublishesOnLoopbackOnly(t *testing.T) {
	c, _ := readCompose(t)
	published := 0
	for name, s := range c.Services {
		for _, p := range s.Ports {
			require.True(t, strings.HasPrefix(p, "127.0.0.1:"), "%s publishes %s", name, p)
			published++
		}
	}
	require.Equal(t, 2, published, "the API and Temporal's web page")
}

func TestComposeServicesAreWaitedFor(t *testing.T) {
	c, _ := readCompose(t)
	for name, s := range c.Services {
		if s.Restart != "no" {
			require.NotNil(t, s.Healthcheck, name)
		}
		for on, how := range s.DependsOn {
			want := "service_healthy"
			if c.Services[on].Restart == "no" {
				want = "service_completed_successfully"
			}
			require.Equal(t, want, how.Condition, "%s waits for %s", name, on)
		}
	}
}

func TestComposeConfigurationsAreRead(t *testing.T) {
	c, _ := readCompose(t)
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(c.Configs["exportcenter"].Content), 0o600))
	cfg, err := config.Load(path)
	require.NoError(t, err)
	require.Equal(t, temporalNamespace, cfg.Temporal.Namespace)
	require.Equal(t, taskQueue, cfg.Temporal.TaskQueue)
	require.Contains(t, c.Services["worker"].Healthcheck.Test, cfg.WorkerReady)

	dec := json.NewDecoder(strings.NewReader(c.Configs["temporal"].Content))
	dec.DisallowUnknownFields()
	var tc temporalConfig
	require.NoError(t, dec.Decode(&tc))
	require.Equal(t, temporalNamespace, tc.Namespace)
	require.Equal(t, temporalRole, tc.Postgres.User)
	require.Contains(t, c.Services["temporal"].Healthcheck.Test, tc.ReadyFile)
}
