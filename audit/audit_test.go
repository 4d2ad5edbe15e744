package audit_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/signing"
)

var start = time.Date(2026, 11, 21, 8, 0, 0, 123456789, time.UTC)

// record is a chain of a test, and the key that signs it.
type record struct {
	signer signing.Signer
	keys   []signing.Verifier
	lines  [][]byte
	end    audit.Link
}

func newRecord(t testing.TB, tenant string, entries int) *record {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	r := &record{}
	r.signer, err = signing.NewSigner(key)
	require.NoError(t, err)
	public, err := signing.NewVerifier(key.Public())
	require.NoError(t, err)
	r.keys = []signing.Verifier{public}
	for i := range entries {
		event, request := audit.CallBegun, i/2
		if i%2 == 1 {
			event = audit.CallEnded
		}
		r.add(t, tenant, audit.Entry{Event: event, RequestID: fmt.Sprint("request-", request), Subject: "ci", Operation: "CreateRun", Method: "POST"})
	}
	return r
}

func (r *record) add(t testing.TB, tenant string, e audit.Entry) {
	t.Helper()
	e.Tenant, e.At = tenant, start.Add(time.Duration(len(r.lines))*time.Second)
	line, end, err := r.end.Next(e)
	require.NoError(t, err)
	r.lines, r.end = append(r.lines, line), end
}

// checkpoint signs the end of the chain.
func (r *record) checkpoint(t testing.TB, tenant string) []byte {
	t.Helper()
	envelope, err := audit.Checkpoint{Tenant: tenant, Seq: r.end.Seq, Hash: r.end.Hash, At: start}.Sign(t.Context(), r.signer)
	require.NoError(t, err)
	return audit.CheckpointLine(envelope)
}

// text is an export of lines.
func text(lines ...[]byte) string { return string(bytes.Join(lines, []byte("\n"))) + "\n" }

func (r *record) export(t testing.TB, tenant string) string {
	return text(append(r.lines[:len(r.lines):len(r.lines)], r.checkpoint(t, tenant))...)
}

func TestVerify(t *testing.T) {
	r := newRecord(t, "acme", 7)
	report, err := audit.Verify(strings.NewReader(r.export(t, "acme")), r.keys, nil)
	require.NoError(t, err)
	require.Equal(t, "acme", report.Tenant)
	require.Equal(t, [2]int64{1, 7}, [2]int64{report.First, report.Last})
	require.Equal(t, []int64{7}, report.Unfinished, "the last call has begun and not ended")
	require.Equal(t, r.signer.KeyID(), report.KeyID)

	report, err = audit.Verify(strings.NewReader(text(append(r.lines[3:7:7], r.checkpoint(t, "acme"))...)), r.keys, nil)
	require.NoError(t, err, "an export may begin anywhere")
	require.Equal(t, [2]int64{4, 7}, [2]int64{report.First, report.Last})
}

// A record that was touched is refused, whatever was done to it.
func TestVerifyFindsWhatWasDone(t *testing.T) {
	r := newRecord(t, "acme", 6)
	other := newRecord(t, "globex", 6)
	last := r.checkpoint(t, "acme")
	honest := r.export(t, "acme")
	forged := newRecord(t, "acme", 6) // the same entries, signed by somebody else
	for name, damaged := range map[string]string{
		"an entry removed":                 text(r.lines[0], r.lines[1], r.lines[3], r.lines[4], r.lines[5], last),
		"the first removed and renumbered": text(append(newRecord(t, "acme", 5).lines, last)...),
		"the last removed":                 text(append(r.lines[:5:5], last)...),
		"two swapped":                      text(r.lines[0], r.lines[2], r.lines[1], r.lines[3], r.lines[4], r.lines[5], last),
		"one twice":                        text(r.lines[0], r.lines[1], r.lines[1], r.lines[2], r.lines[3], r.lines[4], r.lines[5], last),
		"one changed":                      strings.Replace(honest, `"subject":"ci"`, `"subject":"me"`, 1),
		"spaces":                           strings.Replace(honest, `{"at":`, `{ "at":`, 1),
		"a member twice":                   strings.Replace(honest, `{"at":`, `{"at":"2026-11-21T08:00:00Z","at":`, 1),
		"an unknown member":                strings.Replace(honest, `"method":"POST"`, `"method":"POST","more":1`, 1),
		"another tenant's entry":           text(append(r.lines[:6:6], other.lines[5], last)...),
		"another tenant's checkpoint":      text(append(r.lines[:6:6], other.checkpoint(t, "globex"))...),
		"another key's checkpoint":         text(append(r.lines[:6:6], forged.checkpoint(t, "acme"))...),
		"no checkpoint":                    text(r.lines...),
		"no entry":                         text(last),
		"something behind it":              honest + "\n",
		"no last line feed":                strings.TrimSuffix(honest, "\n"),
		"a long line":                      text([]byte(strings.Repeat("x", audit.MaxLine+1))) + honest,
		"nothing":                          "",
	} {
		t.Run(name, func(t *testing.T) {
			require.NotEqual(t, honest, damaged)
			_, err := audit.Verify(strings.NewReader(damaged), r.keys, nil)
			require.Error(t, err)
		})
	}
}

// Every bit of an export counts.
func TestVerifyRefusesEveryFlip(t *testing.T) {
	r := newRecord(t, "acme", 2)
	honest := []byte(r.export(t, "acme"))
	for i := range honest {
		for bit := range 8 {
			honest[i] ^= 1 << bit
			_, err := audit.Verify(bytes.NewReader(honest), r.keys, nil)
			require.Error(t, err, "byte %d, bit %d", i, bit)
			honest[i] ^= 1 << bit
		}
	}
}

// What was cut off the end, and signed again, shows against an earlier export.
func TestVerifyAgainstAnEarlierExport(t *testing.T) {
	r := newRecord(t, "acme", 4)
	earlier, err := audit.ReadEarlier(strings.NewReader(r.export(t, "acme")), r.keys)
	require.NoError(t, err)

	cut := &record{signer: r.signer, keys: r.keys}
	for _, line := range r.lines[:2] {
		e, err := audit.Decode(line)
		require.NoError(t, err)
		cut.add(t, "acme", e)
	}
	_, err = audit.Verify(strings.NewReader(cut.export(t, "acme")), r.keys, nil)
	require.NoError(t, err, "alone it looks whole")
	_, err = audit.Verify(strings.NewReader(cut.export(t, "acme")), r.keys, earlier)
	require.ErrorIs(t, err, audit.ErrBroken)
	require.ErrorContains(t, err, "the earlier export had 4")

	for range 4 { // and also when it has grown again
		cut.add(t, "acme", audit.Entry{Event: audit.CallRefused, RequestID: "x", Operation: "CreateRun", Method: "POST"})
	}
	_, err = audit.Verify(strings.NewReader(cut.export(t, "acme")), r.keys, earlier)
	require.ErrorIs(t, err, audit.ErrBroken)

	r.add(t, "acme", audit.Entry{Event: audit.CallRefused, RequestID: "y", Operation: "CreateRun", Method: "POST"})
	_, err = audit.Verify(strings.NewReader(r.export(t, "acme")), r.keys, earlier)
	require.NoError(t, err)
	_, err = audit.Verify(strings.NewReader(text(r.lines[4], r.checkpoint(t, "acme"))), r.keys, earlier)
	require.ErrorContains(t, err, "export it from 4")
}

// A record in which many calls never ended is as good as any other.
func TestManyUnfinishedCalls(t *testing.T) {
	r := newRecord(t, "acme", 0)
	for i := range 70_000 {
		r.add(t, "acme", audit.Entry{Event: audit.CallBegun, RequestID: fmt.Sprint(i), Operation: "CreateRun", Method: "POST"})
	}
	report, err := audit.Verify(strings.NewReader(r.export(t, "acme")), r.keys, nil)
	require.NoError(t, err)
	require.Equal(t, int64(70_000), int64(len(report.Unfinished))+report.UnfinishedMore)
}

func TestClip(t *testing.T) {
	require.Equal(t, "abc", audit.Clip("abc", 3))
	require.Equal(t, "ab", audit.Clip("abé", 3), "no half characters")
	require.Equal(t, "a?b", audit.Clip("a\xffb", 9))
}

func FuzzVerify(f *testing.F) {
	r := newRecord(f, "acme", 3)
	f.Add([]byte(r.export(f, "acme")))
	f.Add([]byte("{\"checkpoint\":{}}\n"))
	honest := r.export(f, "acme")
	f.Fuzz(func(t *testing.T, raw []byte) {
		audit.ReadEarlier(bytes.NewReader(raw), r.keys) //nolint:errcheck // it must not panic
		audit.ReadCheckpoint(raw)                       //nolint:errcheck // as above
		if _, err := audit.Verify(bytes.NewReader(raw), r.keys, nil); err == nil {
			// Only what the key has signed is accepted, and it begins anywhere.
			require.True(t, strings.HasSuffix(honest, string(raw)), "accepted: %q", raw)
		}
	})
}
