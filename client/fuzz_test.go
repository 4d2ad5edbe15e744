package client

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"net/http"
	"strconv"
	"testing"

	"github.com/stella-ops/exportcenter/bundle"
)

// anything answers every request with the same bytes.
type anything []byte

func (a anything) RoundTrip(r *http.Request) (*http.Response, error) {
	return http.ReadResponse(bufio.NewReader(bytes.NewReader(a)), r)
}

// Whatever a server answers, a download that succeeds has the bytes it promised,
// and one that fails says why.
func FuzzDownloadAnswer(f *testing.F) {
	body := "some bytes"
	digest := bundle.DigestOf([]byte(body)).String()
	promise := "X-Export-Digest: " + digest + "\r\nX-Export-Length: " + strconv.Itoa(len(body)) + "\r\n"
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\n" + promise + "\r\n" + body,
		"HTTP/1.1 200 OK\r\n" + promise + "Content-Length: 10\r\n\r\n" + body,
		"HTTP/1.1 200 OK\r\n" + promise + "\r\n" + body + "!",
		"HTTP/1.1 206 Partial Content\r\n" + promise + "\r\n" + body,
		"HTTP/1.1 416 \r\n" + promise + "\r\n",
		"HTTP/1.1 200 OK\r\nX-Export-Digest: " + digest + "\r\nX-Export-Length: -1\r\n\r\n",
		"HTTP/1.1 500 \r\nContent-Type: application/problem+json\r\n\r\n{\"code\":\"ERR_EXPORT_INTERNAL\",\"message\":\"x\"}",
		"HTTP/1.1 409 \r\n\r\n<html>",
	} {
		f.Add([]byte(seed), []byte(nil))
		f.Add([]byte(seed), []byte("some "))
		f.Add([]byte(seed), []byte(body))
	}
	f.Fuzz(func(t *testing.T, answer, have []byte) {
		c, err := New("http://server", "token", HTTP(&http.Client{Transport: anything(answer)}))
		if err != nil {
			t.Fatal(err)
		}
		d := &download{client: c, id: "0192f3c4-5d6e-7f80-9a1b-000000000001", sum: newSum(have), written: int64(len(have))}
		var got bytes.Buffer
		d.out = &got
		if err = d.part(t.Context()); err != nil {
			if err.Error() == "" {
				t.Fatal("no reason")
			}
			return
		}
		archive, err := d.finish()
		whole := append(bytes.Clone(have), got.Bytes()...)
		if err == nil && (archive.Digest != bundle.DigestOf(whole).String() || archive.Bytes != int64(len(whole)) || archive.Digest != d.digest.String()) {
			t.Fatalf("%v is not what came: %q", archive, whole)
		}
		if err != nil && !errors.Is(err, ErrDigest) {
			t.Fatalf("not a word about the digest: %v", err)
		}
	})
}

func newSum(have []byte) hash.Hash {
	sum := sha256.New()
	sum.Write(have)
	return sum
}

// However an answer to an import is made, what counts as settled adds up.
func FuzzImportAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"summary":{"read":3,"accepted":3,"unchanged":0,"superseded":0,"rejected":0}}`,
		`{"rejection":{"record":2,"file":"f","entry":"e","reason":"r"}}` + "\n" +
			`{"recorded":{"read":2,"accepted":1,"unchanged":0,"superseded":0,"rejected":1}}` + "\n" +
			`{"summary":{"read":3,"accepted":1,"unchanged":1,"superseded":0,"rejected":1}}`,
		`{"recorded":{"read":2,"accepted":9223372036854775807,"unchanged":9223372036854775807,"superseded":4,"rejected":0}}`,
		`{"rejection":{"record":3}}` + "\n" + `{"rejection":{"record":1}}`,
		`{"error":{"code":"ERR_EXPORT_UNAVAILABLE","message":"later"}}`, `{}`, `null`, `[]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		a := &importAnswer{count: 3}
		for line := range bytes.Lines(answer) {
			done, err := a.line(line)
			s := a.settled()
			if s.Summary.Read < 0 || s.Summary.Read > 3 || s.Summary.Rejected != int64(len(s.Rejections)) {
				t.Fatalf("settled %+v after %q", s, line)
			}
			if done && s.Summary.Read != 3 {
				t.Fatalf("done after %d of 3 records", s.Summary.Read)
			}
			if done || err != nil {
				return
			}
		}
	})
}
