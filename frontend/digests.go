package frontend

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"net/http"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
)

// digestTrailer is the trailer field with the digest of what was sent (CONTRACT
// section 3).
const digestTrailer = "X-Export-Digest-Trailer"

// setDigestHeaders names the whole representation: ETag (RFC 9110 section 8.8.3)
// and, unless the client does not want it, Repr-Digest (RFC 9530 section 3).
func setDigestHeaders(h http.Header, digest bundle.Digest, r *http.Request) {
	h.Set("ETag", `"`+digest.String()+`"`)
	if wantsSHA256(r.Header.Values("Want-Repr-Digest")) {
		h.Set("Repr-Digest", digestField(digest))
	}
	h.Set("Cache-Control", "private, no-transform")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Stella-Immutability", "true")
}

// digestField writes a digest as RFC 9530 section 2 has it.
func digestField(digest bundle.Digest) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(digest[:]) + ":"
}

// wantsSHA256 reads a Want-Content-Digest or Want-Repr-Digest (RFC 9530 section 4):
// a dictionary of algorithms with weights from 0, which means none of it, to 10. We
// have one algorithm, and give it unless it is refused by name: who wants others
// only may pass over it.
func wantsSHA256(fields []string) bool {
	for _, member := range strings.Split(strings.Join(fields, ","), ",") {
		name, weight, _ := strings.Cut(strings.Trim(member, " \t"), "=")
		weight, _, _ = strings.Cut(weight, ";")
		if name == "sha-256" && strings.Trim(weight, " \t") == "0" {
			return false
		}
	}
	return true
}

// takesTrailers reports whether the client says that it reads trailers (RFC 9110
// section 10.1.4); HTTP/1.0 has none.
func takesTrailers(r *http.Request) bool {
	if !r.ProtoAtLeast(1, 1) {
		return false
	}
	for _, coding := range strings.Split(strings.Join(r.Header.Values("TE"), ","), ",") {
		name, _, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.Trim(name, " \t"), "trailers") {
			return true
		}
	}
	return false
}

// wholeAnswer prepares the headers of an answer with all bytes: what is sent is
// the representation, so Content-Digest is known before, and the digest of what
// really was sent follows as a trailer if the client takes one.
func wholeAnswer(h http.Header, digest bundle.Digest, r *http.Request) (sum hash.Hash) {
	if wantsSHA256(r.Header.Values("Want-Content-Digest")) {
		h.Set("Content-Digest", digestField(digest))
	}
	if !takesTrailers(r) {
		return nil
	}
	h.Del("Content-Length") // trailers follow chunks (RFC 9112 section 7.1.2)
	h.Set("Trailer", digestTrailer)
	return sha256.New()
}

// setTrailer sets the trailer of an answer that was sent completely, and refuses
// to complete one that is not what was promised.
func setTrailer(h http.Header, sum hash.Hash, promised bundle.Digest) error {
	sent := bundle.Digest(sum.Sum(nil))
	if sent != promised {
		return fmt.Errorf("what was sent has the digest %s, promised was %s", sent, promised)
	}
	h.Set(digestTrailer, sent.String())
	return nil
}
