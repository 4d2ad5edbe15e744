package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Bounds of what hostile input may cost. The bounds on documents and archives
// are those of the API (frontend/openapi.yaml).
const (
	maxGrowth   = 256 << 20 // bytes of memory above idle, of the API and of stella each
	maxDocument = 64 << 20
	maxMembers  = 1_000_000
)

// TestHostileInput sends through the real API what is made to hurt. Every case
// ends with a success or a clear reason, within bounds of memory, and nothing is
// written outside the data directory.
func TestHostileInput(t *testing.T) {
	t.Parallel() // a house of its own, which mostly waits
	h := openHouse(t)
	a := &attack{house: h, dir: t.TempDir()}
	a.imports(t, a.write(t, "hello.json", advisory("EXC-WARM", 100)), 0) // everything was loaded once
	a.idle(t)

	for _, c := range []struct {
		name string
		run  func(*testing.T, *attack)
	}{
		{"100,000 levels", deepDocument},
		{"a million members in a tar", manyInTar},
		{"a million members in a zip", manyInZip},
		{"bombs", bombs},
		{"names, links and devices", treacherousNames},
		{"archives that are cut", cutArchives},
		{"records that are none", brokenRecords},
		{"a document of 64 MiB", greatDocument}, // last: what it takes is given back slowly
	} {
		t.Run(c.name, func(t *testing.T) {
			a.begin(t)
			c.run(t, a)
			a.requireBounded(t)
		})
	}
	a.requireNothingOutside(t)
	var last counts
	h.must(t, &last, "ledger", "import", a.write(t, "last.json", advisory("EXC-LAST", 100)))
	require.Equal(t, 1, last.Accepted, "the house still works")
}

// attack is a house under hostile input and what it costs.
type attack struct {
	house  *house
	dir    string // of the hostile files, and the working directory of stella
	api    int64  // resident bytes at rest
	stella int64  // peak of an import of one small document
	worst  int64  // peak of the stella processes of a case
	files  []string
	began  time.Time
}

func (a *attack) idle(t *testing.T) {
	a.worst = 0
	a.imports(t, a.write(t, "hello.json", advisory("EXC-WARM", 100)), 0)
	a.stella = a.worst
	a.api = memory(a.house.child(" api "), "VmRSS")
	require.Positive(t, a.api)
	require.Positive(t, a.stella)
}

// begin forgets the peaks of the case before (proc(5), clear_refs).
func (a *attack) begin(t *testing.T) {
	a.worst, a.began = 0, time.Now()
	require.NoError(t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", a.house.child(" api ")), []byte("5"), 0))
}

func (a *attack) requireBounded(t *testing.T) {
	t.Helper()
	api := memory(a.house.child(" api "), "VmHWM") - a.api
	t.Logf("%.1f s; above idle: api %d MiB, stella %d MiB", time.Since(a.began).Seconds(), api>>20, (a.worst-a.stella)>>20)
	require.LessOrEqual(t, api, int64(maxGrowth), "memory of the API")
	require.LessOrEqual(t, a.worst-a.stella, int64(maxGrowth), "memory of stella")
}

// requireNothingOutside checks that the hostile files are all there is beside
// them, and that the house wrote into its data directory only.
func (a *attack) requireNothingOutside(t *testing.T) {
	var found []string
	require.NoError(t, filepath.WalkDir(a.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, path)
		}
		return err
	}))
	require.Subset(t, a.files, found, "somebody wrote here")
	beside, err := os.ReadDir(filepath.Dir(a.house.dir))
	require.NoError(t, err)
	for _, e := range beside {
		require.Contains(t, []string{"data", "data.log"}, e.Name())
	}
	for _, name := range escapes(a.dir) {
		require.NoFileExists(t, filepath.Clean(filepath.Join(a.dir, name)))
		if filepath.IsAbs(name) {
			require.NoFileExists(t, name)
		}
	}
}

func (a *attack) path(name string) string {
	path := filepath.Join(a.dir, name)
	a.files = append(a.files, path)
	return path
}

func (a *attack) write(t *testing.T, name, content string) string {
	t.Helper()
	path := a.path(name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

// imports runs `stella ledger import`, watches its memory, and gives what it said.
func (a *attack) imports(t *testing.T, path string, code int) counts {
	t.Helper()
	cmd := a.house.command(t, "ledger", "import", path, "--format", "json")
	cmd.Dir = a.dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Start())
	done := make(chan struct{})
	watched := make(chan int64)
	go func() {
		var peak int64
		for {
			peak = max(peak, memory(cmd.Process.Pid, "VmHWM"))
			select {
			case <-done:
				watched <- peak
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	cmd.Wait() //nolint:errcheck // its exit code is looked at
	close(done)
	a.worst = max(a.worst, <-watched)
	require.Equal(t, code, cmd.ProcessState.ExitCode(), "%s\n%.2000s", path, stderr.String())
	var got counts
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &got), "%.300s", stdout.String())
	require.Equal(t, got.Read, got.Accepted+got.Unchanged+got.Superseded+got.Rejected)
	require.Len(t, got.Rejections, got.Rejected)
	return got
}

// posts sends a body to the import and gives the rejections and the last line.
func (a *attack) posts(t *testing.T, mediaType string, body io.Reader) (rejections []string, last map[string]any) {
	t.Helper()
	status, lines := a.answer(t, mediaType, body)
	require.Equal(t, http.StatusOK, status, "%v", lines)
	for _, line := range lines {
		if r, ok := line["rejection"].(map[string]any); ok {
			rejections = append(rejections, fmt.Sprint(r["entry"], ": ", r["reason"]))
		}
	}
	require.NotEmpty(t, lines)
	return rejections, lines[len(lines)-1]
}

func (a *attack) answer(t *testing.T, mediaType string, body io.Reader) (int, []map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		a.house.env["STELLA_SERVER"]+"/api/ledger/documents?"+a.query(mediaType), body)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+a.house.env["STELLA_TOKEN"])
	request.Header.Set("Content-Type", mediaType)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	var lines []map[string]any
	for decode := json.NewDecoder(answer.Body); decode.More(); {
		var line map[string]any
		require.NoError(t, decode.Decode(&line))
		lines = append(lines, line)
	}
	return answer.StatusCode, lines
}

func (a *attack) query(mediaType string) string {
	if mediaType != "application/x-tar" {
		return ""
	}
	return url.Values{"file": {"hostile.tar"}}.Encode()
}

// memory reads a line of /proc/PID/status (proc(5)), in bytes; 0 when the process
// is gone.
func memory(pid int, line string) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(status), line+":")
	var kib int64
	fmt.Sscan(rest, &kib)
	return kib << 10
}

// advisory is an OSV document of about size bytes.
func advisory(id string, size int) string {
	head := `{"id":"` + id + `","modified":"2026-01-01T00:00:00Z","affected":[],"details":"`
	return head + strings.Repeat("x", max(0, size-len(head)-2)) + `"}`
}
