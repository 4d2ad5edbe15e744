package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/stella-ops/exportcenter/signing"
)

// An export of a chain is text: a line for each entry, and as the last line a
// checkpoint over the last entry, {"checkpoint":<DSSE envelope>}. Every line
// ends in a line feed.
const (
	checkpointBegin = `{"checkpoint":`
	checkpointEnd   = `}`
	// maxCheckpoint bounds the last line; one has about 500 bytes.
	maxCheckpoint = 8 << 10
)

// CheckpointLine is the last line of an export, without its line feed.
func CheckpointLine(envelope []byte) []byte {
	return append(append([]byte(checkpointBegin), envelope...), checkpointEnd...)
}

// Report is what reading an export has shown.
type Report struct {
	Tenant     string     `json:"tenant"`
	First      int64      `json:"first"`
	Last       int64      `json:"last"`
	Checkpoint Checkpoint `json:"checkpoint"`
	KeyID      string     `json:"keyId"`
	// Unfinished are the requests that have begun and not ended, by the number of
	// their entry: their process ended, or they were under way.
	Unfinished []int64 `json:"unfinished,omitempty"`
	// UnfinishedMore are those beyond the first maxUnfinished; they are not looked
	// for in what follows.
	UnfinishedMore int64 `json:"unfinishedMore,omitempty"`
}

// Earlier is what an earlier export of the same chain has shown: a later one
// must contain its end.
type Earlier struct{ Checkpoint Checkpoint }

// maxUnfinished bounds what is remembered of calls that have not ended.
const maxUnfinished = 1 << 16

// Verify reads an export and holds it against keys the caller trusts, and
// against an earlier export when there is one. Its memory does not depend on the
// length of the input.
func Verify(in io.Reader, keys []signing.Verifier, earlier *Earlier) (Report, error) {
	v := verifying{chain: NewChain(""), open: map[string]int64{}, earlier: earlier}
	lines := bufio.NewReaderSize(in, MaxLine+1)
	for {
		line, err := readLine(lines)
		if err != nil {
			return v.report(), err
		}
		if envelope, last := cutCheckpoint(line); last {
			return v.end(envelope, lines, keys)
		}
		if err := v.entry(line); err != nil {
			return v.report(), err
		}
	}
}

// ErrNoCheckpoint: an export ends without one.
var ErrNoCheckpoint = errors.New("the export has no checkpoint at its end: it was cut off")

// readLine reads a line of at most MaxLine bytes, without its line feed.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("%w: a line has more than %d bytes", ErrBroken, MaxLine)
	case errors.Is(err, io.EOF):
		return nil, ErrNoCheckpoint
	case err != nil:
		return nil, fmt.Errorf("read the export: %w", err)
	}
	return line[:len(line)-1], nil
}

func cutCheckpoint(line []byte) (envelope []byte, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte(checkpointBegin))
	if !ok || len(line) > maxCheckpoint {
		return nil, false
	}
	return bytes.CutSuffix(rest, []byte(checkpointEnd))
}

type verifying struct {
	chain   *Chain
	open    map[string]int64 // calls that have begun, by request id
	earlier *Earlier
	more    int64
	met     bool // the earlier export's last entry
}

func (v *verifying) entry(line []byte) error {
	e, err := v.chain.Follow(line)
	if err != nil {
		return err
	}
	switch e.Event {
	case CallBegun:
		if len(v.open) < maxUnfinished {
			v.open[e.RequestID] = e.Seq
		} else {
			v.more++
		}
	case CallEnded:
		delete(v.open, e.RequestID)
	}
	if v.earlier != nil && e.Seq == v.earlier.Checkpoint.Seq {
		if v.chain.At().Hash != v.earlier.Checkpoint.Hash {
			return fmt.Errorf("%w: entry %d is not the one of the earlier export", ErrBroken, e.Seq)
		}
		v.met = true
	}
	return nil
}

// end holds what was read against the checkpoint; nothing may follow it.
func (v *verifying) end(envelope []byte, rest io.Reader, keys []signing.Verifier) (Report, error) {
	checkpoint, keyID, err := OpenCheckpoint(envelope, keys)
	if err != nil {
		return v.report(), err
	}
	if n, _ := rest.Read(make([]byte, 1)); n != 0 {
		return v.report(), fmt.Errorf("%w: something follows the checkpoint", ErrBroken)
	}
	at := v.chain.At()
	switch {
	case at.Seq == 0:
		return v.report(), fmt.Errorf("%w: there is no entry", ErrBroken)
	case checkpoint.Tenant != v.chain.Tenant():
		return v.report(), fmt.Errorf("%w: the checkpoint is of tenant %s, the entries of %s", ErrBroken, checkpoint.Tenant, v.chain.Tenant())
	case checkpoint.Seq != at.Seq || checkpoint.Hash != at.Hash:
		return v.report(), fmt.Errorf("%w: the checkpoint is over entry %d (%s), the last one here is %d (%s)",
			ErrBroken, checkpoint.Seq, checkpoint.Hash, at.Seq, at.Hash)
	}
	if err := v.holdsEarlier(); err != nil {
		return v.report(), err
	}
	report := v.report()
	report.Checkpoint, report.KeyID = checkpoint, keyID
	return report, nil
}

func (v *verifying) holdsEarlier() error {
	switch {
	case v.earlier == nil || v.met:
		return nil
	case v.earlier.Checkpoint.Tenant != v.chain.Tenant():
		return fmt.Errorf("the earlier export is of tenant %s, this one of %s", v.earlier.Checkpoint.Tenant, v.chain.Tenant())
	case v.chain.At().Seq < v.earlier.Checkpoint.Seq:
		return fmt.Errorf("%w: it ends at entry %d, the earlier export had %d", ErrBroken, v.chain.At().Seq, v.earlier.Checkpoint.Seq)
	}
	return fmt.Errorf("this export begins at entry %d, behind the end of the earlier one (%d): export it from %d",
		v.chain.First(), v.earlier.Checkpoint.Seq, v.earlier.Checkpoint.Seq)
}

func (v *verifying) report() Report {
	r := Report{Tenant: v.chain.Tenant(), First: v.chain.First(), Last: v.chain.At().Seq, UnfinishedMore: v.more}
	for _, seq := range v.open {
		r.Unfinished = append(r.Unfinished, seq)
	}
	slices.Sort(r.Unfinished)
	return r
}

// ReadEarlier finds the checkpoint at the end of an earlier export; the entries
// before it need not be there.
func ReadEarlier(in io.Reader, keys []signing.Verifier) (*Earlier, error) {
	lines := bufio.NewReaderSize(in, MaxLine+1)
	for {
		line, err := readLine(lines)
		if err != nil {
			return nil, err
		}
		if envelope, last := cutCheckpoint(line); last {
			checkpoint, _, err := OpenCheckpoint(envelope, keys)
			return &Earlier{Checkpoint: checkpoint}, err
		}
	}
}
