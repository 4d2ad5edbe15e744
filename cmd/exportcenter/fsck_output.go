package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/stella-ops/exportcenter/fsck"
)

// fsckOutput writes divergences as they are found, so that memory stays the
// same whatever there is to tell.
type fsckOutput interface {
	divergence(d fsck.Divergence) error
	// end comes last; err says why not everything was looked at.
	end(found fsckFound, looked fsck.Looked, err error) error
}

// fsckFound counts divergences.
type fsckFound struct{ all, repaired int }

var fsckFormats = map[string]func(io.Writer) fsckOutput{
	"table": func(w io.Writer) fsckOutput { return fsckTable{w} },
	"json":  func(w io.Writer) fsckOutput { return &fsckJSON{w: w} },
}

// fsckTable writes for people: three lines for each divergence.
type fsckTable struct{ w io.Writer }

func (t fsckTable) divergence(d fsck.Divergence) error {
	action := d.Action
	if d.Repaired {
		action = "repaired"
	}
	_, err := fmt.Fprintf(t.w, "%-20s  %-16s  %-36s  %s\n    %s\n    -> %s\n",
		d.Kind, printable(d.Tenant), printable(d.Run), printable(d.Subject), d.Message, action)
	return err
}

func (t fsckTable) end(found fsckFound, looked fsck.Looked, err error) error {
	what := "no divergence found"
	if found.all == 1 {
		what = "1 divergence found"
	} else if found.all > 1 {
		what = fmt.Sprintf("%d divergences found", found.all)
	}
	if found.repaired > 0 {
		what += fmt.Sprintf(", %d repaired", found.repaired)
	}
	if err != nil {
		what += " so far, but not everything was looked at"
	}
	_, err = fmt.Fprintf(t.w, "%s, %d runs, %d blobs, %d documents looked at\n", what, looked.Runs, looked.Blobs, looked.Documents)
	return err
}

// printable keeps a stranger's file name from speaking to the terminal.
func printable(s string) string {
	switch quoted := strconv.Quote(s); {
	case s == "":
		return "-"
	case quoted != `"`+s+`"`:
		return quoted
	}
	return s
}

// What fsck says in "status".
const (
	fsckClean      = "clean"
	fsckDiverged   = "diverged"
	fsckRepaired   = "repaired"   // something diverged, and nothing does any more
	fsckIncomplete = "incomplete" // it could not look at everything
)

// fsckJSON writes one object {divergences, looked, status}, the list first.
type fsckJSON struct {
	w     io.Writer
	begun bool
}

func (j *fsckJSON) divergence(d fsck.Divergence) error {
	raw, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode divergence: %w", err)
	}
	before := ",\n "
	if !j.begun {
		before = `{"divergences": [` + "\n "
	}
	j.begun = true
	_, err = fmt.Fprintf(j.w, "%s%s", before, raw)
	return err
}

func (j *fsckJSON) end(found fsckFound, looked fsck.Looked, err error) error {
	status := fsckClean
	switch {
	case found.all > found.repaired:
		status = fsckDiverged
	case found.repaired > 0:
		status = fsckRepaired
	}
	said := ""
	if err != nil {
		status = fsckIncomplete
		raw, err := json.Marshal(err.Error())
		if err != nil {
			return fmt.Errorf("encode error: %w", err)
		}
		said = `, "error": ` + string(raw)
	}
	raw, err := json.Marshal(looked)
	if err != nil {
		return fmt.Errorf("encode counts: %w", err)
	}
	begin, end := `{"divergences": [`, "]"
	if j.begun {
		begin, end = "", "\n]"
	}
	_, err = fmt.Fprintf(j.w, "%s%s, \"looked\": %s, \"status\": %q%s}\n", begin, end, raw, status, said)
	return err
}
