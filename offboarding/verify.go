package offboarding

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/signing"
)

// An export of a record is text: a line for each run, and as the last line the
// record, {"record":<DSSE envelope>}. Every line ends in a line feed.
const (
	recordBegin = `{"record":`
	recordEnd   = `}`
	// maxRecord bounds the last line; one has about 4 KB.
	maxRecord = 64 << 10
)

// What Verify finds wrong, besides what signing does.
var (
	// ErrForm: the file is not an export of a record.
	ErrForm = errors.New("it is not an offboarding record")
	// ErrRuns: the runs are not those that the record is about.
	ErrRuns = errors.New("the runs are not those of the record")
	// ErrNoRecord: the export ends without one.
	ErrNoRecord = errors.New("the file has no record at its end: it was cut off")
)

// RecordLine is the last line of an export, without its line feed.
func RecordLine(envelope []byte) []byte {
	return append(append([]byte(recordBegin), envelope...), recordEnd...)
}

// Report is what reading an export has shown.
type Report struct {
	Record Record `json:"record"`
	KeyID  string `json:"keyId"`
}

// Verify reads an export and holds it against keys the caller trusts. Its memory
// does not depend on the number of runs.
func Verify(in io.Reader, keys []signing.Verifier) (Report, error) {
	lines, sum, last := bufio.NewReaderSize(in, maxRecord), sha256.New(), ""
	for count := int64(0); ; count++ {
		line, err := readLine(lines)
		if err != nil {
			return Report{}, err
		}
		if envelope, is := cutRecord(line); is {
			return end(envelope, lines, keys, Runs{Count: count, Digest: bundle.Digest(sum.Sum(nil))})
		}
		run, err := parseRun(line)
		switch {
		case len(line) > MaxLine:
			return Report{}, fmt.Errorf("%w: line %d has more than %d bytes", ErrForm, count+1, MaxLine)
		case err != nil:
			return Report{}, fmt.Errorf("%w: line %d: %w", ErrForm, count+1, err)
		case run.ID <= last:
			return Report{}, fmt.Errorf("%w: line %d: run %s is behind %s", ErrRuns, count+1, run.ID, last)
		}
		last = run.ID
		sum.Write(line)         //nolint:errcheck // never fails (hash.Hash)
		sum.Write([]byte{'\n'}) //nolint:errcheck // as above
	}
}

// end takes the record and holds the runs before it against it.
func end(envelope []byte, rest *bufio.Reader, keys []signing.Verifier, runs Runs) (Report, error) {
	if _, err := rest.ReadByte(); err == nil {
		return Report{}, fmt.Errorf("%w: something follows its last line", ErrForm)
	} else if !errors.Is(err, io.EOF) {
		return Report{}, err
	}
	record, keyID, err := Open(envelope, keys)
	if err != nil {
		return Report{}, err
	}
	if record.Runs != runs {
		return Report{}, fmt.Errorf("%w: the record is about %d runs with the digest %s, these are %d with %s",
			ErrRuns, record.Runs.Count, record.Runs.Digest, runs.Count, runs.Digest)
	}
	return Report{Record: record, KeyID: keyID}, nil
}

func cutRecord(line []byte) (envelope []byte, is bool) {
	envelope, begun := bytes.CutPrefix(line, []byte(recordBegin))
	envelope, ended := bytes.CutSuffix(envelope, []byte(recordEnd))
	return envelope, begun && ended
}

// readLine reads a line without its line feed. It is valid until the next call.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("%w: a line has more than %d bytes", ErrForm, maxRecord)
	case errors.Is(err, io.EOF):
		return nil, ErrNoRecord
	case err != nil:
		return nil, err
	}
	return line[:len(line)-1], nil
}
