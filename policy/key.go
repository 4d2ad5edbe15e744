package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
)

// Sorted lines are a key and a payload. A key is a sequence of texts in a form
// whose bytewise order is that of the sequence: a zero byte is written 00 FF,
// and 00 01 ends each text. 00 00 ends the key.

func appendKey(dst []byte, texts ...string) []byte {
	for _, text := range texts {
		for {
			at := strings.IndexByte(text, 0)
			if at < 0 {
				break
			}
			dst = append(append(dst, text[:at]...), 0, 0xff)
			text = text[at+1:]
		}
		dst = append(append(dst, text...), 0, 1)
	}
	return dst
}

// keyEnd is where the key of a sorted line ends and its payload begins.
var keyEnd = []byte{0, 0}

// appendLine makes a sorted line of a key that appendKey made and a payload.
func appendLine(key []byte, payload any) ([]byte, error) {
	raw, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("write %T: %w", payload, err)
	}
	return append(append(bytes.Clone(key), keyEnd...), raw...), nil
}

// splitLine takes a sorted line apart.
func splitLine(line []byte) (key, payload []byte, err error) {
	for at := 0; at+1 < len(line); at++ {
		if line[at] != 0 {
			continue
		}
		if line[at+1] == 0 {
			return line[:at], line[at+2:], nil
		}
		at++
	}
	return nil, nil, fmt.Errorf("a sorted line of %d bytes has no key", len(line))
}

// cutKey is the first count texts of a key, in their written form, and the rest.
func cutKey(key []byte, count int) (head, tail []byte, err error) {
	for at := 0; at+1 < len(key); at++ {
		if key[at] != 0 {
			continue
		}
		if at++; key[at] == 1 {
			if count--; count == 0 {
				return key[:at+1], key[at+1:], nil
			}
		}
	}
	return nil, nil, fmt.Errorf("a key of %d bytes is too short", len(key))
}

// findingKey orders findings: by (sbom subject, component purl, advisory id),
// then by what else tells two of them apart.
func (c *candidate) findingKey() []byte {
	return appendKey(nil, c.SBOM.Subject, c.Component.Purl, c.Advisory.ID,
		c.SBOM.Directory, c.SBOM.Source, c.SBOM.Stream, c.SBOM.UpstreamID, c.SBOM.Digest, c.Component.Ref,
		c.Advisory.Directory, c.Advisory.Source, c.Advisory.Stream, c.Advisory.UpstreamID)
}

// findingID is the finding's name: "sha256:" and the SHA-256 of the canonical
// JSON list of the texts below. It stays when the advisory is revised.
func (c *candidate) findingID() (string, error) {
	raw, err := bundle.MarshalCanonical([]string{
		c.SBOM.Digest, c.Component.Purl, c.Component.Ref, c.Advisory.ID,
		c.SBOM.Directory, c.SBOM.Source, c.SBOM.Stream, c.SBOM.UpstreamID,
		c.Advisory.Directory, c.Advisory.Source, c.Advisory.Stream, c.Advisory.UpstreamID,
	})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// boundaryKey is the finding's place as one text, for cuts and names of files:
// the texts of its key joined by line feeds.
func (c *candidate) boundaryKey() string {
	return strings.Join([]string{c.SBOM.Subject, c.Component.Purl, c.Advisory.ID,
		c.SBOM.Directory, c.SBOM.Source, c.SBOM.Stream, c.SBOM.UpstreamID, c.SBOM.Digest, c.Component.Ref,
		c.Advisory.Directory, c.Advisory.Source, c.Advisory.Stream, c.Advisory.UpstreamID}, "\n")
}
