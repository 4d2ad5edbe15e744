package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/ledger"
)

// journalFormat is the first line's "journal".
const journalFormat = "stella ledger import 1"

// maxJournal bounds a journal that is read. Most of it are rejections.
const maxJournal = 256 << 20

// journalHead says which import a journal belongs to. It is its first line.
type journalHead struct {
	Journal string   `json:"journal"`
	Server  string   `json:"server"`
	Tenant  string   `json:"tenant"`
	Source  string   `json:"source"`
	Stream  string   `json:"stream"`
	Paths   []string `json:"paths"`
}

// journalNote is one further line: what became of the next documents. Sum is
// the running digest of all documents up to there, so that a journal never
// vouches for other documents than those that were sent.
type journalNote struct {
	Through int64         `json:"through"` // documents since the beginning
	Sum     bundle.Digest `json:"sum"`
	client.Settled
}

// journal notes what the server acknowledged, in a file that only grows. Its
// last line may be torn by whatever ended the process; the others count. All
// methods of a nil journal do nothing.
type journal struct {
	path string
	file *os.File

	mu      sync.Mutex
	known   journalNote // what earlier runs had acknowledged, in one
	through int64       // documents noted
	read    int64       // documents passed
	sum     hash.Hash
	last    bundle.Digest
	ahead   []bundle.Digest // running digests of documents through+1 to read
}

// openJournal begins a journal, or takes up one of the same import.
func openJournal(path string, head journalHead) (*journal, error) {
	head.Journal = journalFormat
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, inputErrorf("--resume: %w", err)
	}
	j := &journal{path: path, file: file, sum: sha256.New()}
	if err := j.load(head); err != nil {
		file.Close()
		return nil, inputErrorf("--resume %s: %w", path, err)
	}
	return j, nil
}

// load reads what is there, cuts a torn last line off, and writes the head of
// a new journal.
func (j *journal) load(head journalHead) error {
	raw, err := io.ReadAll(io.LimitReader(j.file, maxJournal+1))
	if err != nil {
		return err
	}
	if len(raw) > maxJournal {
		return fmt.Errorf("it is larger than %d MiB; remove it to send everything again", maxJournal>>20)
	}
	whole := raw[:bytes.LastIndexByte(raw, '\n')+1]
	if err := j.take(whole, head); err != nil {
		return err
	}
	if err := j.file.Truncate(int64(len(whole))); err != nil {
		return err
	}
	if _, err := j.file.Seek(int64(len(whole)), io.SeekStart); err != nil {
		return err
	}
	if len(whole) == 0 {
		return j.append(head)
	}
	return nil
}

// take reads the lines of a journal.
func (j *journal) take(lines []byte, want journalHead) error {
	first := true
	for line := range bytes.Lines(lines) {
		if first {
			first = false
			if err := checkHead(line, want); err != nil {
				return err
			}
			continue
		}
		var note journalNote
		if err := bundle.UnmarshalStrict(line, &note); err != nil {
			return fmt.Errorf("it is damaged: %w; remove it to send everything again", err)
		}
		s := note.Summary
		if s.Read < 1 || note.Through != j.known.Through+s.Read || s.Accepted < 0 || s.Unchanged < 0 || s.Superseded < 0 ||
			s.Accepted+s.Unchanged+s.Superseded+s.Rejected != s.Read || s.Rejected != int64(len(note.Rejections)) {
			return errors.New("it is damaged: its numbers do not add up; remove it to send everything again")
		}
		j.known.add(note)
	}
	j.through = j.known.Through
	return nil
}

func checkHead(line []byte, want journalHead) error {
	var head journalHead
	if err := bundle.UnmarshalStrict(line, &head); err != nil || head.Journal != journalFormat {
		return errors.New("it is not the journal of an import; name another file")
	}
	for _, differs := range []struct {
		what string
		yes  bool
	}{
		{"server " + head.Server, head.Server != want.Server}, {"tenant " + head.Tenant, head.Tenant != want.Tenant},
		{"source " + head.Source, head.Source != want.Source}, {"stream " + head.Stream, head.Stream != want.Stream},
		{fmt.Sprintf("paths %q", head.Paths), !slices.Equal(head.Paths, want.Paths)},
	} {
		if differs.yes {
			return fmt.Errorf("it belongs to an import with the %s; run that command again, or name another file", differs.what)
		}
	}
	return nil
}

func (n *journalNote) add(other journalNote) {
	n.Through, n.Sum = other.Through, other.Sum
	n.Summary.Read += other.Summary.Read
	n.Summary.Accepted += other.Summary.Accepted
	n.Summary.Unchanged += other.Summary.Unchanged
	n.Summary.Superseded += other.Summary.Superseded
	n.Summary.Rejected += other.Summary.Rejected
	n.Resent += other.Resent
	n.Rejections = append(n.Rejections, other.Rejections...)
}

// earlier is what earlier runs had acknowledged.
func (j *journal) earlier() client.Settled {
	if j == nil {
		return client.Settled{}
	}
	return j.known.Settled
}

// pass takes the next document that was read, and reports whether it was
// acknowledged to an earlier run.
func (j *journal) pass(e ledger.Entry) (known bool, err error) {
	if j == nil {
		return false, nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.read++
	j.last = j.digest(e)
	switch {
	case j.read < j.known.Through:
		return true, nil
	case j.read == j.known.Through:
		if j.last != j.known.Sum {
			return true, j.otherDocuments()
		}
		return true, nil
	}
	j.ahead = append(j.ahead, j.last)
	return false, nil
}

// digest is the running digest with e added.
func (j *journal) digest(e ledger.Entry) (d bundle.Digest) {
	j.sum.Reset()
	j.sum.Write(j.last[:])
	for _, part := range []string{e.Source, e.Stream, e.File, e.Name} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		j.sum.Write(length[:])
		io.WriteString(j.sum, part) //nolint:errcheck // a hash takes everything
	}
	j.sum.Write(e.Bytes)
	j.sum.Sum(d[:0])
	return d
}

func (j *journal) otherDocuments() error {
	return inputErrorf("--resume %s: the paths do not hold the documents any more that were sent first; remove the file to send everything again", j.path)
}

// passedAll is called when everything was read.
func (j *journal) passedAll() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.read < j.known.Through {
		return j.otherDocuments()
	}
	return nil
}

// note writes what became of the next documents, to the disk.
func (j *journal) note(s client.Settled) error {
	if j == nil || s.Summary.Read == 0 {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if s.Summary.Read > int64(len(j.ahead)) {
		return fmt.Errorf("%d documents are acknowledged, %d were sent", s.Summary.Read, len(j.ahead))
	}
	sum := j.ahead[s.Summary.Read-1]
	j.ahead = slices.Delete(j.ahead, 0, int(s.Summary.Read))
	j.through += s.Summary.Read
	if err := j.append(journalNote{Through: j.through, Sum: sum, Settled: s}); err != nil {
		return fmt.Errorf("--resume %s: %w", j.path, err)
	}
	return nil
}

func (j *journal) append(line any) error {
	raw, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if _, err := j.file.Write(append(raw, '\n')); err != nil {
		return err
	}
	return j.file.Sync()
}

// explain says how to go on after err.
func (j *journal) explain(err error) error {
	var own *exitError
	if j == nil || errors.As(err, &own) {
		return err
	}
	return fmt.Errorf("%w; %d documents are acknowledged, run the same command again to go on", err, j.through)
}

// remove ends a journal whose import is complete.
func (j *journal) remove() error {
	if j == nil {
		return nil
	}
	if err := os.Remove(j.path); err != nil {
		return fmt.Errorf("everything is imported, but its journal remains: %w", err)
	}
	return nil
}

// close leaves the journal for a later run.
func (j *journal) close() {
	if j != nil {
		j.file.Close()
	}
}
