package frontend

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
)

// importAnswer writes the lines of an answer: the request is read by one
// goroutine and recorded by another, and both have something to tell.
type importAnswer struct {
	mu      sync.Mutex
	out     *json.Encoder
	control *http.ResponseController
}

func newImportAnswer(w http.ResponseWriter, control *http.ResponseController) *importAnswer {
	a := &importAnswer{out: json.NewEncoder(newPatientWriter(w)), control: control}
	a.out.SetEscapeHTML(false)
	return a
}

// line writes a line and sends it.
func (a *importAnswer) line(l ImportLine) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.out.Encode(l); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return a.flush()
}

// flush sends what was written. The caller has the lock, or is alone.
func (a *importAnswer) flush() error {
	if err := a.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}
