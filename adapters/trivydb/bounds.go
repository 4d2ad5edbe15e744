package trivydb

import (
	"fmt"
	"slices"
	"strings"
)

// What one document may make. Its records are each of its packages under each of
// its ids, so a small document could ask for a great many: what is beyond these
// bounds is left out and named. Ubuntu's notices of a kernel have some hundreds
// of ids.
const (
	maxIDs       = 1000
	maxVendorIDs = 100
	maxLine      = 4 << 20  // bytes of one line
	maxLines     = 64 << 20 // bytes of all; half of it is for details
	maxVersions  = 1 << 20  // bytes of conditions beyond which no listed version is added
)

// Bounds of what is said of an id, in bytes.
const (
	maxTitle       = 1 << 10
	maxDescription = 64 << 10
	maxURL         = 2 << 10
	maxNote        = 400
)

// add adds a line, or counts it when there is no room.
func (p *packing) add(kind byte, fields ...string) bool {
	size := 1
	for _, f := range fields {
		size += len(f) + 1
	}
	room := maxLines/2 - p.size
	switch kind {
	case sourceLine:
		room = maxLine // no more than its package's records
	case detailLine:
		room += maxLines / 2
	}
	if size > min(maxLine, room) {
		p.full = p.full || size <= maxLine && kind != detailLine
		p.skipped++
		return false
	}
	p.size += size
	p.lines = append(p.lines, line(kind, fields...))
	return true
}

// addDetail adds what is said of an id; without its texts when there is no room
// for them: the last of it is for severities, which count most.
func (p *packing) addDetail(id, rank string, about detail, whole string) {
	if p.size+len(whole) < maxLines-maxLine && p.add(detailLine, id, rank, p.identity(), about.Severity, whole) {
		return
	}
	about.Description, about.References = "", nil
	p.add(detailLine, id, rank, p.identity(), about.Severity, string(encode(about)))
}

// boundIDs leaves the first of many ids.
func (p *packing) boundIDs() {
	if len(p.ids) > maxIDs {
		p.leave("%d ids: the records go under the first %d", len(p.ids), maxIDs)
		p.ids = p.ids[:maxIDs]
	}
	p.others = p.others[:min(len(p.others), maxVendorIDs)]
}

// leave notes what is left out or said less exactly.
func (p *packing) leave(format string, args ...any) {
	if len(p.note.Left) < maxLeft {
		p.note.Left = append(p.note.Left, beginOf(fmt.Sprintf(format, args...), maxNote))
	}
}

// maxLeft bounds what is said of one document.
const maxLeft = 20

// leaveLines notes that there was no room for lines, whatever else is noted.
func (p *packing) leaveLines() {
	if p.skipped > 0 {
		p.note.Left = append(p.note.Left[:min(len(p.note.Left), maxLeft-1)],
			fmt.Sprintf("too many ids and packages, or too many of their versions: there is room for %d records and not for the others", p.records))
	}
}

// beginOf is text, or its begin of at most size bytes.
func beginOf(text string, size int) string {
	if len(text) <= size {
		return text
	}
	return strings.ToValidUTF8(text[:size], "") + "..."
}

// shortURLs are the first references, without those that no page has.
func shortURLs(urls []string) []string {
	urls = slices.DeleteFunc(slices.Clone(urls), func(url string) bool { return len(url) > maxURL })
	return urls[:min(len(urls), maxReferences)]
}
