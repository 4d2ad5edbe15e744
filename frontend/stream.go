package frontend

import (
	"io"
	"net/http"
	"time"

	"github.com/stella-ops/exportcenter/internal/clock"
)

// streamPatience is how long a stream may stand still before the connection is
// given up.
const streamPatience = 60 * time.Second

// patientWriter moves the connection's write deadline ahead of each write, so
// that a stream may last as long as it moves. Sockets know the machine's clock
// only, hence clock.System.
type patientWriter struct {
	http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
}

func newPatientWriter(w http.ResponseWriter) *patientWriter {
	return &patientWriter{ResponseWriter: w, control: http.NewResponseController(w), patience: streamPatience}
}

func (p *patientWriter) Write(b []byte) (int, error) {
	// Not every writer has a deadline (tests); then there is none to move.
	_ = p.control.SetWriteDeadline(clock.System().Add(p.patience))
	return p.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find the connection.
func (p *patientWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// patientReader does the same for a request body.
type patientReader struct {
	io.Reader
	control *http.ResponseController
	until   time.Time // the deadline never moves past it; zero = it may
}

func (p *patientReader) Read(b []byte) (int, error) {
	deadline := clock.System().Add(streamPatience)
	if !p.until.IsZero() && p.until.Before(deadline) {
		deadline = p.until
	}
	_ = p.control.SetReadDeadline(deadline)
	return p.Reader.Read(b)
}
