package fault

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/testkit"
)

// ways are imports by which a side effect could go around the interfaces that
// the decorators stand around. Prefixes of import paths.
var ways = []string{"os", "os/exec", "io/ioutil", "syscall", "net", "net/http", "golang.org/x/sys/", "database/sql", "github.com/jackc/",
	"github.com/minio/", "go.temporal.io/sdk/client", "google.golang.org/grpc",
	"github.com/stella-ops/exportcenter/storage/", "github.com/stella-ops/exportcenter/signing/"}

// excused are files that have such an import, with a reason.
var excused = map[string]string{
	"worker/worker.go   go.temporal.io/sdk/client": "connects; the dispatcher's calls go through worker.Temporal",
	"worker/dispatch.go go.temporal.io/sdk/client": "types of worker.Temporal, through which its calls go",

	"frontend/keyset.go        net/http":                                    "reads the keys that tokens are checked with",
	"frontend/keyset.go        net":                                         "tells loopback addresses from others",
	"frontend/keyset.go        os":                                          "reads the keys that tokens are checked with",
	"frontend/server.go        net":                                         "serves",
	"frontend/challenge.go github.com/stella-ops/exportcenter/signing/dpop": "words and checks of proofs; no effect",
	"frontend/proof.go     github.com/stella-ops/exportcenter/signing/dpop": "words and checks of proofs; no effect",
	"frontend/server.go    github.com/stella-ops/exportcenter/signing/dpop": "words and checks of proofs; no effect",
	"frontend/token.go     github.com/stella-ops/exportcenter/signing/dpop": "words and checks of proofs; no effect",
	"frontend/unsent_linux.go  golang.org/x/sys/unix":                       "an option of the connection of a reader",
	"frontend/unsent_linux.go  net":                                         "an option of the connection of a reader",
	"frontend/unsent_linux.go  syscall":                                     "an option of the connection of a reader",
	"frontend/unsent_other.go  net":                                         "an option of the connection of a reader",
}

// TestNothingGoesAround: rooms that make a run happen import nothing through
// which a side effect could have no fault point. A server answers through
// net/http; what is wrong there is to ask others, so frontend's answers are
// looked at by name.
func TestNothingGoesAround(t *testing.T) {
	used := map[string]bool{}
	for _, room := range []string{"activities", "workflows", "worker", "frontend"} {
		for _, file := range sourcesOf(t, room) {
			for _, imported := range importsOf(t, file) {
				if !isWay(imported) || room == "frontend" && imported == "net/http" && !asksOthers(t, file) {
					continue
				}
				name := room + "/" + filepath.Base(file) + " " + imported
				if !excuse(name, used) {
					t.Errorf("%s imports %s: give the effect an interface and a fault point, or say here why it is none", room+"/"+filepath.Base(file), imported)
				}
			}
		}
	}
	for name := range excused {
		if key := strings.Join(strings.Fields(name), " "); !used[key] {
			t.Errorf("%s is excused and does not exist any more", key)
		}
	}
}

func excuse(name string, used map[string]bool) bool {
	for excuse := range excused {
		if strings.Join(strings.Fields(excuse), " ") == name {
			used[name] = true
			return true
		}
	}
	return false
}

func isWay(imported string) bool {
	return slices.ContainsFunc(ways, func(way string) bool {
		return imported == way || strings.HasSuffix(way, "/") && strings.HasPrefix(imported, way)
	})
}

func sourcesOf(t *testing.T, room string) (sources []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(testkit.Root(t), room, "*.go"))
	require.NoError(t, err)
	for _, file := range all {
		if !strings.HasSuffix(file, "_test.go") {
			sources = append(sources, file)
		}
	}
	require.NotEmpty(t, sources, room)
	return sources
}

func importsOf(t *testing.T, file string) (paths []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	require.NoError(t, err)
	for _, i := range parsed.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		require.NoError(t, err)
		paths = append(paths, path)
	}
	return paths
}

// asksOthers reports whether a file uses the client half of net/http.
func asksOthers(t *testing.T, file string) (asks bool) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	ast.Inspect(parsed, func(n ast.Node) bool {
		if use, ok := n.(*ast.SelectorExpr); ok {
			if from, ok := use.X.(*ast.Ident); ok && from.Name == "http" {
				asks = asks || slices.Contains([]string{"Client", "DefaultClient", "Transport", "DefaultTransport", "Get", "Post",
					"PostForm", "Head", "NewRequest", "NewRequestWithContext"}, use.Sel.Name)
			}
		}
		return true
	})
	return asks
}

// The names of points stand in documents and logs: none is there twice.
func TestPointsHaveNames(t *testing.T) {
	seen := map[Point]bool{}
	for _, p := range Points() {
		require.False(t, seen[p], p)
		require.Regexp(t, `^[a-z]+\.[A-Z][A-Za-z]+$`, string(p))
		require.NotEmpty(t, p.Modes())
		seen[p] = true
	}
	text, err := os.ReadFile("points.go")
	require.NoError(t, err)
	require.Len(t, seen, strings.Count(string(text), ` Point = "`), "Points lists every point that is declared")
}
