package main

import (
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/internal/clock"
)

// pace is how fast an import goes.
type pace struct {
	began     time.Time
	documents int64 // read and handed to the sender
	bytes     int64
	waits     bool // for a server that broke off
}

func (p *pace) begin() { p.began = clock.System() }

// count counts a document that is sent.
func (i *documentImport) count(size int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.pace.documents++
	i.pace.bytes += int64(size)
	if i.pace.documents%256 == 0 || size > 1<<20 {
		i.show()
	}
}

// show puts the progress on the terminal. The caller has the lock.
func (i *documentImport) show() {
	if i.shown.visible() {
		i.shown.say("%s", i.pace.text(i.result, clock.System()))
	}
}

// text is like "120400 of 125000 documents recorded, 201.3 MB, 8123/s, 4 rejected".
// The rate is that of documents recorded in this run.
func (p pace) text(r importResult, now time.Time) string {
	settled := r.Accepted + r.Unchanged + r.Superseded
	text := fmt.Sprintf("%d of %d documents recorded, %.1f MB", settled, max(settled, p.documents+r.Resumed), float64(p.bytes)/1e6)
	if seconds := now.Sub(p.began).Seconds(); seconds >= 1 {
		text += fmt.Sprintf(", %.0f/s", float64(r.Read-r.Resumed)/seconds)
	}
	text += fmt.Sprintf(", %d rejected", r.Rejected)
	if p.waits {
		text += "; waiting for the server"
	}
	return text
}
