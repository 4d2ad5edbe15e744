package frontend_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/detect"
	"github.com/stella-ops/exportcenter/ledger/osv"
)

// largest is an advisory of ledger.MaxDocument bytes that is made while it is
// read. Indented text has a canonical form of its own; members out of order
// are the most that bringing it into that form can cost.
func largest(id string) io.Reader {
	head := fmt.Sprintf("{\n  \"summary\": \"large\",\n  \"modified\": \"2026-01-01T00:00:00Z\",\n  \"id\": %q,\n  \"details\": \"", id)
	const tail = "\",\n  \"affected\": []\n}\n"
	return io.MultiReader(strings.NewReader(head),
		io.LimitReader(&repeating{text: "all work and no play makes Jack a dull boy. "}, int64(ledger.MaxDocument-len(head)-len(tail))), strings.NewReader(tail))
}

// repeating is a text without end.
type repeating struct {
	text string
	at   int
}

func (r *repeating) Read(p []byte) (n int, _ error) {
	for n < len(p) {
		c := copy(p[n:], r.text[r.at:])
		n += c
		r.at = (r.at + c) % len(r.text)
	}
	return n, nil
}

// largeRecords and largeArchive are bodies of count largest documents.
func largeRecords(w io.Writer, count int) {
	for n := range count {
		fmt.Fprintf(w, `{"source":"osv", "entry": "\u00fc %d","bytes":"`, n)
		encoder := base64.NewEncoder(base64.StdEncoding, w)
		_, _ = io.Copy(encoder, largest(fmt.Sprint("L-", n)))
		_ = encoder.Close()
		fmt.Fprintf(w, "\"}\n")
	}
}

func largeArchive(t *testing.T, w io.Writer, count int) {
	for n := range count {
		header := []byte(archive(t, member{name: fmt.Sprint(n, ".json")}))[:512]
		_, _ = w.Write(sized(header, ledger.MaxDocument))
		_, _ = io.Copy(w, largest(fmt.Sprint("L-", n)))
	}
	_, _ = w.Write(make([]byte, 1024))
}

// The memory of documents of the greatest size, one after the other and from
// two importers at once, without the store's share.
func TestMemoryOfLargeDocuments(t *testing.T) {
	if testing.Short() {
		t.Skip("documents of 64 MiB are left out with -short")
	}
	if _, err := os.Stat("/proc/self/clear_refs"); err != nil {
		testkit.Missing(t, "/proc/self/clear_refs, to measure memory with")
	}
	w := frontendtest.New(t, func(c *frontend.Config) {
		c.Ledger, c.Log = checkingLedger{}, slog.New(slog.DiscardHandler)
		c.Parse = detect.Reader(detect.Format{Name: osv.Format, Recognise: osv.Recognise, Parse: osv.Parse})
	})
	// As the api has it; less than the bound, because this is not all there is.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(192 << 20))
	send := func(mediaType string, write func(io.Writer)) <-chan string {
		read, pipe := io.Pipe()
		go func() {
			write(pipe)
			pipe.Close()
		}()
		told := make(chan string, 1)
		go func() {
			req := httptest.NewRequest("POST", documentsPath, read)
			req.Header.Set("Authorization", "Bearer "+w.Token(t, "acme"))
			req.Header.Set("Content-Type", mediaType)
			answer := httptest.NewRecorder()
			w.Server.ServeHTTP(answer, req)
			told <- answer.Body.String()
		}()
		return told
	}
	for name, start := range map[string]func() []<-chan string{
		"records": func() []<-chan string {
			return []<-chan string{send("application/x-ndjson", func(w io.Writer) { largeRecords(w, 3) })}
		},
		"archive": func() []<-chan string {
			return []<-chan string{send("application/x-tar", func(w io.Writer) { largeArchive(t, w, 3) })}
		},
		"both at once": func() []<-chan string {
			return []<-chan string{send("application/x-tar", func(w io.Writer) { largeArchive(t, w, 1) }),
				send("application/x-ndjson", func(w io.Writer) { largeRecords(w, 1) })}
		},
	} {
		t.Run(name, func(t *testing.T) {
			debug.FreeOSMemory()
			before := memory(t, "VmRSS")
			require.NoError(t, os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)) // forget the peak
			began := time.Now()
			for _, told := range start() {
				answer := <-told
				require.Contains(t, answer, `"summary"`)
				require.NotContains(t, answer, `"rejection"`)
			}
			peak := memory(t, "VmHWM") - before
			t.Logf("%d MiB above the %d MiB before, %s", peak>>20, before>>20, time.Since(began))
			require.Less(t, peak, int64(256<<20))
		})
	}
}

// memory reads a line of /proc/self/status, in bytes.
func memory(t *testing.T, line string) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	found := regexp.MustCompile(line + `:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, found)
	kb, err := strconv.ParseInt(string(found[1]), 10, 64)
	require.NoError(t, err)
	return kb << 10
}
