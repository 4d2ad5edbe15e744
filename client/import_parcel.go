package client

import (
	"encoding/base64"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
)

// keepParcel bounds the memory that a parcel may keep for the next one.
const keepParcel = 4 * ledger.BatchBytes

// usualParcel is what a full parcel of usual documents takes: growing to it
// would copy it many times, and room that is not used costs nothing.
const usualParcel = ledger.BatchBytes/3*4 + ledger.BatchDocuments*160

// parcel is what one request sends: records that the server takes as one batch.
type parcel struct {
	number int   // of the parcel, from 0
	first  int64 // number of its first record, from 0
	lines  []byte
	ends   []int // where each line ends
	bytes  int   // of the documents
}

func (p *parcel) records() int64 { return int64(len(p.ends)) }

// fits reports whether the server would take r into the same batch.
func (p *parcel) fits(r ImportRecord) bool {
	return len(p.ends) < ledger.BatchDocuments && p.bytes+len(r.Bytes) <= ledger.BatchBytes
}

// after gives the lines behind the first n.
func (p *parcel) after(n int64) []byte {
	if n == 0 {
		return p.lines
	}
	return p.lines[p.ends[n-1]:]
}

// add writes a record's line.
func (p *parcel) add(r ImportRecord) {
	if p.lines == nil {
		p.lines = make([]byte, 0, usualParcel)
	}
	b := append(p.lines, '{')
	for _, m := range [...]struct{ name, value string }{
		{`"source":`, r.Source}, {`"stream":`, r.Stream}, {`"file":`, r.File}, {`"entry":`, r.Entry}, {`"mediaType":`, r.MediaType},
	} {
		if m.value == "" {
			continue
		}
		b = append(b, m.name...)
		b = appendName(b, m.value)
		b = append(b, ',')
	}
	b = append(b, `"bytes":"`...)
	b = base64.StdEncoding.AppendEncode(b, r.Bytes)
	p.lines = append(b, "\"}\n"...)
	p.ends = append(p.ends, len(p.lines))
	p.bytes += len(r.Bytes)
}

// appendName writes a JSON string; what is not UTF-8, as file names may be, is
// replaced.
func appendName(dst []byte, s string) []byte {
	b, err := bundle.AppendText(dst, s)
	if err != nil {
		b, _ = bundle.AppendText(dst, strings.ToValidUTF8(s, "\ufffd")) // cannot fail now
	}
	return b
}

// reset empties the parcel and reports whether it is worth keeping.
func (p *parcel) reset() bool {
	p.lines, p.ends, p.bytes = p.lines[:0], p.ends[:0], 0
	return cap(p.lines) <= keepParcel
}
